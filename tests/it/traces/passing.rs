//! A span lasts as long as its answer, and says how that ended.

use super::{CALLER, PATH, SERVER, TRACE, Traced};
use crate::support::proof::{Proof, claims, now, unique};
use crate::support::streaming::Streaming;
use crate::support::wire::get;
use crate::support::world::url;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// clinch before a service whose answers do not end, with a journal of revocations.
async fn streaming() -> (Traced, Streaming) {
    let service = Streaming::start().await;
    (before(service.address).await, service)
}

/// clinch before this service.
async fn before(service: SocketAddr) -> Traced {
    let upstream = format!("upstream: {{ url: 'http://{service}' }}");
    let revocation = "revocation: { feed: { kind: file, path: journal }, accept_plain: true }\n";
    Traced::with("sample: 1.0", |text| {
        let text: Vec<&str> = text.lines().collect();
        let ours =
            |line: &&str| if line.starts_with("upstream:") { upstream.clone() } else { line.to_string() };
        text.iter().map(ours).collect::<Vec<_>>().join("\n") + "\n" + revocation
    })
    .await
}

/// A stream of events of which the first has come; and the token it was asked for with.
async fn open(world: &Traced, path: &str) -> (impl AsyncReadExt + Unpin + use<>, String) {
    let token = world.token();
    let proof = Proof::new(&world.key, "GET", &url(path), &token).sign(&world.key);
    let (authorization, parent) = (format!("DPoP {token}"), format!("00-{TRACE}-{CALLER}-01"));
    let fields = [("Authorization", authorization.as_str()), ("DPoP", &proof), ("traceparent", &parent)];
    let mut stream = world.caller().connect().await;
    stream.write_all(get(path, &fields).as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("still here") {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    (stream, token)
}

const HELD: Duration = Duration::from_millis(300);
const OTHER: &str = "5bf92f3577b34da6a3ce929d0e0e4736";

/// RV-039
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_has_a_span_to_its_end_that_says_so() {
    let (world, _service) = streaming().await;
    let (mut stream, token) = open(&world, "/accounts/events").await;
    tokio::time::sleep(HELD).await;
    // What has been refused since is told, and this is not.
    world.get("no-token", Some(OTHER), &[]).await;
    world.collector.named(SERVER, OTHER).await;
    let of_stream = |span: &crate::support::otlp::Span| span.0.name == SERVER && span.trace() == TRACE;
    assert!(!world.collector.spans().iter().any(of_stream), "it has not ended");
    let said = claims(&token);
    let event = json!({ "id": unique(), "iss": said["iss"], "revoke": { "jti": said["jti"] }, "at": now() });
    std::fs::write(world.folder.at("journal"), format!("{event}\n")).unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let server = world.collector.named(SERVER, TRACE).await;
    for (key, value) in [
        ("http.response.status_code", "200"),
        ("clinch.verdict", "granted"),
        ("clinch.cut", "revoked"),
        ("error.type", "revoked"),
    ] {
        assert_eq!(server.says(key).as_deref(), Some(value), "{key}");
    }
    let call =
        world.collector.span("the call", |span| span.parent() == server.id() && span.0.name == "GET").await;
    let lasted = |span: &crate::support::otlp::Span| span.0.end_time_unix_nano - span.0.start_time_unix_nano;
    assert!(lasted(&server) >= HELD.as_nanos() as u64, "to the last byte");
    assert!(lasted(&call) < lasted(&server), "the call is over with the head of its answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_has_cancelled() {
    let (world, _service) = streaming().await;
    let (stream, _) = open(&world, "/accounts/events").await;
    drop(stream);
    let server = world.collector.named(SERVER, TRACE).await;
    assert_eq!(server.says("error.type").as_deref(), Some("cancelled"));
    assert_eq!(server.says("clinch.cut"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_breaks_off_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = before(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_buf(&mut Vec::with_capacity(8192)).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nstill here").await;
        }
    });
    let (mut stream, _) = open(&world, PATH).await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let server = world.collector.named(SERVER, TRACE).await;
    assert_eq!(server.says("error.type").as_deref(), Some("upstream_broken"));
    assert_eq!(server.says("http.response.status_code").as_deref(), Some("200"));
}

/// Of what came to its end nothing bad is said, over either version of HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_is_no_error() {
    let world = Traced::start("sample: 1.0").await;
    assert_eq!(world.get(&world.token(), Some(TRACE), &[]).await.status, 200);
    let token = world.token();
    let proof = Proof::new(&world.key, "GET", &url(PATH), &token).sign(&world.key);
    let fields = [("authorization", format!("DPoP {token}")), ("dpop", proof)];
    let mut client = world.caller().connect_h2().await;
    let request =
        fields.iter().fold(Request::get(url(PATH)), |request, (name, value)| request.header(*name, value));
    client.ready().await.unwrap();
    let answer = client.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    for version in ["1.1", "2"] {
        let of = |span: &crate::support::otlp::Span| {
            span.0.name == SERVER && span.says("network.protocol.version").as_deref() == Some(version)
        };
        let server = world.collector.span(version, of).await;
        assert_eq!((server.says("error.type"), server.0.status), (None, None), "HTTP/{version}");
    }
}
