//! Uploads whose response is over, and requests that are given up: what they keep a service busy with counts as theirs.

use super::bystander::{ATTACKER, Bystander, handshake};
use crate::support::frames::{AUTHORITY, Outcome, SCHEME, Wire, frame, literal};
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::streaming::Streaming;
use crate::support::{PATIENCE, eventually};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// A service that answers before it reads, and leaves its connections open.
struct Hasty {
    address: SocketAddr,
    /// Connections with an upload, and the most there ever were at a time.
    uploads: Arc<[AtomicUsize; 2]>,
}

impl Hasty {
    async fn start() -> Hasty {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, uploads) = (listener.local_addr().unwrap(), Arc::<[AtomicUsize; 2]>::default());
        let count = Arc::clone(&uploads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move { answers(stream, &count).await });
            }
        });
        Hasty { address, uploads }
    }

    fn most(&self) -> usize {
        self.uploads[1].load(SeqCst)
    }
}

/// `404` to whatever comes. What follows a POST is read and forgotten, or is not read at all if its path says so.
async fn answers(mut stream: TcpStream, [open, most]: &[AtomicUsize; 2]) -> Option<()> {
    let mut head = Vec::new();
    loop {
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.read_buf(&mut head).await.ok().filter(|read| *read > 0)?;
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await.ok()?;
        if head.starts_with(b"POST /open/deaf") {
            std::future::pending::<()>().await;
        }
        if head.starts_with(b"POST") {
            most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
            while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
            open.fetch_sub(1, SeqCst);
            return None;
        }
        head.clear();
    }
}

/// A service of HTTP/2 that answers at once, resets nothing, and takes four streams at a time.
async fn hasty_http2() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                let mut connection = builder.max_concurrent_streams(4).handshake::<_, &[u8]>(stream).await?;
                // Dropped, a stream would be reset.
                let mut kept = Vec::new();
                while let Some(request) = connection.accept().await {
                    let (request, mut respond) = request?;
                    kept.push((request.into_body(), respond.send_response(http::Response::new(()), true)?));
                }
                Ok::<_, h2::Error>(())
            });
        }
    });
    address
}

/// A service that works on each request until it may answer, and looks at nothing meanwhile.
struct Busy {
    address: SocketAddr,
    /// At work now, and the most there ever were at a time.
    working: Arc<[AtomicUsize; 2]>,
    may_answer: Arc<Semaphore>,
}

impl Busy {
    async fn start() -> Busy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, working) = (listener.local_addr().unwrap(), Arc::<[AtomicUsize; 2]>::default());
        let may_answer = Arc::new(Semaphore::new(0));
        let (count, may) = (Arc::clone(&working), Arc::clone(&may_answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (count, may) = (Arc::clone(&count), Arc::clone(&may));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        stream.read_buf(&mut head).await.ok().filter(|read| *read > 0)?;
                    }
                    count[1].fetch_max(count[0].fetch_add(1, SeqCst) + 1, SeqCst);
                    may.acquire().await.ok()?.forget();
                    count[0].fetch_sub(1, SeqCst);
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok()
                });
            }
        });
        Busy { address, working, may_answer }
    }
}

async fn stage(limits: &str, service: SocketAddr) -> Stage {
    let listen = format!("limits: {{ {limits} }}");
    Stage::set(Setting { tls: VERIFIED, listen, service: Some(service), ..Setting::default() }).await
}

/// Has this of the service, and starts anew with it.
async fn with_service(stage: &mut Stage, settings: &str) {
    stage.configure(&stage.config_with_service(settings));
    stage.restart().await;
}

fn asks(method: &str, path: &str, flags: u8, id: u32) -> Vec<u8> {
    let fields = [(":method", method), SCHEME, AUTHORITY, (":path", path)];
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    frame(HEADERS, END_HEADERS | flags, id, &block)
}

/// A POST without an end.
fn post(id: u32) -> Vec<u8> {
    asks("POST", "/open/upload", 0, id)
}

async fn nothing_in_flight(stage: &Stage) {
    let gone = async || (stage.metric("clinch_in_flight").await == 0).then_some(());
    eventually("nothing to be in flight", gone).await;
}

/// DS-002, DS-010: an upload is in flight to its own end: whoever opens one after the other, and has the answer to each,
/// has no more of them than its share, and the service no more than it takes; and none lasts for long, silent or not.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_response_is_over_is_in_flight_and_ends_soon() {
    for (limits, settings) in [
        ("in_flight_per_key: 4, body_timeout: 300s", "response_timeout: 1s"),
        ("in_flight_per_key: 100, body_timeout: 300s", "response_timeout: 1s, in_flight: 4, queue: 0"),
    ] {
        let service = Hasty::start().await;
        let mut stage = stage(limits, service.address).await;
        with_service(&mut stage, settings).await;
        let mut wire = Wire::to(&stage).await;
        for n in 0..40 {
            assert!(wire.send(&post(2 * n + 1)).await);
            let outcome = timeout(PATIENCE, wire.outcome(2 * n + 1)).await.expect("an answer");
            assert!(matches!(outcome, Outcome::Status(404 | 429 | 503)), "{settings}: {outcome:?}");
        }
        assert!(service.most() <= 4, "{settings}: {} uploads at a time", service.most());
        nothing_in_flight(&stage).await;
        let over = async || (service.uploads[0].load(SeqCst) == 0).then_some(());
        eventually("the service to be rid of all", over).await;
    }
}

/// DS-010: a service that answers and then neither reads nor closes is asked for nothing any more, and nobody's upload waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_reads_ends_soon_after_its_response() {
    let service = Hasty::start().await;
    let stage = stage("body_timeout: 300s", service.address).await;
    let mut stream = handshake(&stage, ATTACKER).await.unwrap();
    let head = "POST /open/deaf HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reads, mut writes) = tokio::io::split(stream);
    let uploads = tokio::spawn(async move { while writes.write_all(&[b'x'; 64 << 10]).await.is_ok() {} });
    let mut answer = [0; 12];
    reads.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
    nothing_in_flight(&stage).await;
    let closed = async || (stage.metric("clinch_upstream_connections").await == 0).then_some(());
    eventually("its connection to be closed", closed).await;
    uploads.abort();
}

/// DS-010: as many streams as the service takes on a connection, all answered and none at its end: the next request goes
/// elsewhere instead of waiting behind them.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_answered_and_open_stop_nobody() {
    let mut stage = stage("body_timeout: 300s", hasty_http2().await).await;
    with_service(&mut stage, "response_timeout: 2s, protocol: http2").await;
    let bystander = Bystander::of(&stage);
    // So that the service's settings are known.
    bystander.is_served(&stage).await;
    let mut wire = Wire::to(&stage).await;
    for n in 0..12 {
        assert!(wire.send(&post(2 * n + 1)).await);
        let outcome = timeout(PATIENCE, wire.outcome(2 * n + 1)).await.expect("an answer");
        assert_eq!(outcome, Outcome::Status(200), "{n}");
        bystander.is_served(&stage).await;
    }
    nothing_in_flight(&stage).await;
    assert_eq!(stage.metric("clinch_upstream_failures_total{reason=\"upstream_timeout\"}").await, 0);
}

/// DS-006, DS-010: requests that are reset once the service has them are still at work there, if it does not look: the
/// service gets no more at a time than it takes, and than the client has a share of, whoever waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_counts_while_the_service_works_on_it() {
    for (limits, settings, refused) in [
        ("in_flight_per_key: 4", "response_timeout: 300s", 429),
        ("in_flight_per_key: 100", "response_timeout: 300s, in_flight: 4, queue: 0", 503),
    ] {
        let service = Busy::start().await;
        let mut stage = stage(limits, service.address).await;
        with_service(&mut stage, settings).await;
        let mut wire = Wire::to(&stage).await;
        for n in 0..20 {
            let id = 2 * n + 1;
            // Every other one has an upload, whose end is what tells of the reset.
            let request = if n % 2 == 0 {
                asks("GET", "/open/1", END_STREAM, id)
            } else {
                asks("POST", "/open/1", 0, id)
            };
            assert!(wire.send(&request).await);
            if n >= 4 {
                let outcome = timeout(PATIENCE, wire.outcome(id)).await.expect("an answer");
                assert_eq!(outcome, Outcome::Status(refused), "{settings}: {n}");
                continue;
            }
            let there = async || (service.working[0].load(SeqCst) > n as usize).then_some(());
            eventually("the service to have it", there).await;
            assert!(wire.send(&frame(RST_STREAM, 0, id, &CANCEL)).await);
        }
        assert_eq!(service.working[1].load(SeqCst), 4, "{settings}");
        assert_eq!(stage.metric("clinch_in_flight").await, 4, "{settings}");
        service.may_answer.add_permits(100);
        nothing_in_flight(&stage).await;
        assert!(wire.send(&asks("GET", "/open/1", END_STREAM, 101)).await);
        let outcome = timeout(PATIENCE, wire.outcome(101)).await.expect("an answer");
        assert_eq!(outcome, Outcome::Status(200), "{settings}");
    }
}

/// DS-006: a connection on which most requests are given up, each after it was accepted, ends; until it has, nothing
/// of it reaches the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_gives_up_what_it_asks_for_ends() {
    let service = Streaming::start().await;
    let mut stage = stage("idle_timeout: 300s", service.address).await;
    with_service(&mut stage, "response_timeout: 300s").await;
    let mut wire = Wire::to(&stage).await;
    for n in 0..101 {
        assert!(wire.send(&asks("GET", "/open/wait", END_STREAM, 2 * n + 1)).await, "{n}");
        eventually("the service to have it", async || (service.open() == 1).then_some(())).await;
        assert!(wire.send(&frame(RST_STREAM, 0, 2 * n + 1, &CANCEL)).await, "{n}");
        eventually("the service to be rid of it", async || (service.open() == 0).then_some(())).await;
    }
    if wire.send(&asks("GET", "/open/wait", END_STREAM, 203)).await {
        let outcome = timeout(PATIENCE, wire.outcome(203)).await.expect("an outcome");
        assert!(matches!(outcome, Outcome::Status(503) | Outcome::Closed), "{outcome:?}");
    }
    assert_eq!(timeout(PATIENCE, wire.outcome(0)).await.expect("an end"), Outcome::Closed);
    assert_eq!(service.open(), 0);
}
