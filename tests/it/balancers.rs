//! Behind a load balancer that passes TLS through and says whose connection it is (PROXY protocol): a real HAProxy, curl,
//! and everything that neither of them would send.

use crate::support::authority::Shown;
use crate::support::eventually;
use crate::support::haproxy::Haproxy;
use crate::support::oauth_client::HOST;
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, exchange, get};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

const HERE: &str = "proxy_protocol_from: [127.0.0.0/8]";

async fn behind(listen: &str) -> Stage {
    Stage::set(Setting { tls: VERIFIED, listen: listen.to_owned(), ..Setting::default() }).await
}

/// A request over TLS from this address of ours, with these bytes before the first of TLS; `None` if there was no TLS.
async fn ask(
    stage: &Stage,
    client: &ClientConfig,
    (from, to): (&str, SocketAddr),
    first: &[u8],
    request: &str,
) -> Option<Answer> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream.write_all(first).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let connect = TlsConnector::from(Arc::new(client.clone())).connect(name, stream);
    let connected = tokio::time::timeout(crate::support::PATIENCE, connect).await;
    let stream =
        connected.unwrap_or_else(|_| panic!("neither TLS nor its end:\n{}", stage.clinch.program.output()));
    Some(exchange(stream.ok()?, request).await)
}

fn v2(client: [u8; 4], more: &[u8]) -> Vec<u8> {
    let length = u16::try_from(12 + more.len()).unwrap().to_be_bytes();
    let addresses = [&client[..], &[127, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb]].concat();
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &length[..], &addresses, more].concat()
}

async fn failures(stage: &Stage, reason: &str) -> u64 {
    stage.metric(&format!("clinch_proxy_protocol_failures_total{{reason=\"{reason}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_says_who_the_client_is() {
    let stage = behind(HERE).await;
    let client = stage.anonymous();
    for words in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy inter 20ms",
    ] {
        let haproxy = Haproxy::before(stage.clinch.address, words).await;
        for from in ["127.0.0.9", "127.3.2.1"] {
            let route = (from, haproxy.address);
            let passed = ask(&stage, &client, route, b"", &get("/open/1", &[])).await.expect("TLS");
            assert_eq!(passed.status, 200, "{words}");
            let received = stage.service.received().pop().unwrap();
            assert_eq!(received.header("x-forwarded-for"), Some(from), "{words}");
            assert!(received.header("forwarded").unwrap().contains(&format!("for={from}")), "{words}");
            let refused = ask(&stage, &client, route, b"", &get("/certified/1", &[])).await.expect("TLS");
            assert_eq!(refused.status, 401, "{words}");
            // A line of the log is written after the answer.
            let named = [format!("\"{from}:"), format!("\"{from}\"")];
            eventually("the refusal to be logged with the client", async || {
                let logged = stage.clinch.program.output();
                named.iter().any(|name| logged.contains(name)).then_some(())
            })
            .await;
        }
    }
    for reason in ["absent", "malformed", "too_long", "checksum"] {
        assert_eq!(failures(&stage, reason).await, 0, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_says_who_it_is() {
    let (stage, folder) = (behind(HERE).await, Folder::new());
    let ca = folder.write("ca.crt", &stage.pki.ca_pem);
    let to = format!("{HOST}:443:{}", stage.clinch.address);
    let url = format!("https://{HOST}/open/1");
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--interface", "127.0.0.5", "--connect-to", &to, "--cacert"]);
        curl.arg(&ca).args(more).arg(&url).output().expect("curl is installed")
    };
    let answered = curl(&["--haproxy-protocol"]);
    assert!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
    assert_eq!(stage.service.received()[0].header("x-forwarded-for"), Some("127.0.0.5"));
    assert!(!curl(&[]).status.success(), "whoever must tell and does not is not let in");
    assert_eq!(failures(&stage, "absent").await, 1);
}

/// DS-024: nothing but a header in order leads any further, and none of it costs the others anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_header_is_refused() {
    let stage = behind("limits: { header_timeout: 5s }\n  proxy_protocol_from: [127.0.0.0/8]").await;
    let client = stage.anonymous();
    let route = ("127.0.0.1", stage.clinch.address);
    let huge = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", &[0x04_u8; 65_535][..]].concat();
    let tlv = v2([192, 0, 2, 1], &[4, 0xff, 0xff, 0]);
    let garbage: Vec<u8> = (0..=255).collect();
    let endless = [b"PROXY TCP4 ", &[b'1'; 100_000][..]].concat();
    let checksum = v2([192, 0, 2, 1], b"\x03\0\x04\0\0\0\0");
    for (bytes, reason) in [
        (&huge[..], "too_long"),
        (&endless, "too_long"),
        (&tlv, "malformed"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "malformed"),
        (&garbage, "absent"),
        (b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "absent"),
        (&checksum, "checksum"),
        (b"PROXY TCP4 192.0.2", "timeout"),
    ] {
        let before = failures(&stage, reason).await;
        let mut stream = tokio::net::TcpStream::connect(stage.clinch.address).await.unwrap();
        // What is closed early can't be written to its end.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(crate::support::PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok() && answer.is_empty(), "{reason}: closed without a word");
        assert_eq!(failures(&stage, reason).await, before + 1, "{reason}");
        let answer = ask(&stage, &client, route, &v2([192, 0, 2, 1], b""), &get("/open/1", &[])).await;
        assert_eq!(answer.expect("TLS").status, 200, "after {reason}");
    }
    let received = stage.service.received();
    assert!(received.iter().all(|request| request.header("x-forwarded-for") == Some("192.0.2.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_from_anybody_else_is_no_tls() {
    let stage = behind("proxy_protocol_from: [10.0.0.0/8, '::1']").await;
    let client = stage.anonymous();
    let route = ("127.0.0.1", stage.clinch.address);
    let header = v2([10, 0, 0, 1], b"");
    assert!(ask(&stage, &client, route, &header, &get("/open/1", &[])).await.is_none());
    let plain = ask(&stage, &client, route, b"", &get("/open/1", &[])).await.expect("TLS");
    assert_eq!(plain.status, 200);
    assert_eq!(stage.service.received()[0].header("x-forwarded-for"), Some("127.0.0.1"));
}

/// MTLS-09, CC-06: a client behind a balancer is no terminator, whichever address is told of it and wherever the
/// balancer stands.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_behind_a_balancer_is_a_terminator_by_address() {
    let owner = Shown::self_signed(|_| {});
    let shown = format!(":{}:", BASE64.encode(&owner.chain[0]));
    let request = |stage: &Stage| {
        let token = stage.token(&json!({ "x5t#S256": owner.thumbprint() }));
        get("/certified/1", &[("Authorization", &format!("Bearer {token}")), ("Client-Cert", &shown)])
    };
    for trusted in ["127.0.0.0/8", "192.0.2.0/24", "0.0.0.0/0"] {
        let stage = behind(&format!("{HERE}\n  client_cert_from: {{ addresses: ['{trusted}'] }}")).await;
        let route = ("127.0.0.1", stage.clinch.address);
        for header in
            [&v2([192, 0, 2, 1], b"")[..], b"PROXY UNKNOWN\r\n", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"]
        {
            let answer = ask(&stage, &stage.anonymous(), route, header, &request(&stage)).await;
            assert_eq!(answer.expect("TLS").status, 401, "{trusted}");
        }
    }
    // One that shows its certificate is one, and is where the connection comes from.
    let first = behind(HERE).await;
    let own = first.pki.client.thumbprint();
    let files = vec![("proxies.crt", first.pki.ca_pem.clone())];
    let tls = "client_certificate: optional\n    client_ca: [ca.crt, proxies.crt]";
    for (addresses, expected) in [("127.0.0.0/8", 200), ("192.0.2.0/24", 401)] {
        let trusted = format!("client_cert_from: {{ addresses: ['{addresses}'], certificates: [{own}] }}");
        let listen = format!("{HERE}\n  {trusted}");
        let stage = Stage::set(Setting { tls, listen, files: files.clone(), ..Setting::default() }).await;
        let (chain, key) = first.pki.client.der();
        let client = crate::support::stage::client(&rustls::version::TLS13)
            .with_root_certificates(stage.pki.roots())
            .with_client_auth_cert(chain, key)
            .unwrap();
        let route = ("127.0.0.1", stage.clinch.address);
        let answer = ask(&stage, &client, route, &v2([192, 0, 2, 1], b""), &request(&stage)).await;
        assert_eq!(answer.expect("TLS").status, expected, "{addresses}");
    }
}
