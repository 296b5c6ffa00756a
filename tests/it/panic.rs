//! A panic in a request, with the program itself: it costs that request alone, is counted, and never lets it through.
//!
//! Where it is to happen is asked for by `clinch-drill`, which only a build for tests understands (feature `panic-drill`).

use crate::support::eventually;
use crate::support::front::Front;
use crate::support::oauth_client::HOST;
use crate::support::proof::{Proof, unique};
use crate::support::wire::{Answer, H2, plain_get};
use crate::support::world::url;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// At the start of the check, with everything granted and the proof used up, and on the way to the service: an answer of ours.
const PLACES: [&str; 3] = ["check", "grant", "forward"];

/// With the answer under way.
const BODY: &str = "body";

const LISTEN: &str = "  public_origins: ['https://api.example.com']";
const ROUTES: &str = "  - { path: '/{*rest}', proof: [dpop] }\nruntime: { worker_threads: THREADS }\ntelemetry: { log: { level: debug } }";

/// One thread, on which everybody lives, and two.
async fn fronts() -> [Front; 2] {
    let front = async |threads: &str| Front::start(LISTEN, &ROUTES.replace("THREADS", threads)).await;
    [front("1").await, front("2").await]
}

/// Credentials for one request, and a wish for a panic.
fn fields(front: &Front, path: &str, place: Option<&str>) -> Vec<(&'static str, String)> {
    let token = front.token(&json!({ "jti": unique() }));
    let proof = Proof::new(&front.client, "GET", &url(path), &token).sign(&front.client);
    let mut fields = vec![("authorization", format!("DPoP {token}")), ("dpop", proof)];
    fields.extend(place.map(|place| ("clinch-drill", place.to_owned())));
    fields
}

async fn metric(front: &Front, name: &str) -> u64 {
    let page = plain_get(front.clinch.admin, "/metrics").await.expect("metrics").body;
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
}

async fn refused(front: &Front) -> u64 {
    metric(front, r#"clinch_requests_total{route="-",verdict="refused",reason="internal"}"#).await
}

async fn send(mut client: H2, path: &str, fields: Vec<(&'static str, String)>) -> Response<Incoming> {
    let request = fields.iter().fold(Request::get(url(path)), |r, (name, value)| r.header(*name, value));
    client.ready().await.unwrap();
    client.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
}

async fn http2(client: H2, path: &str, fields: Vec<(&'static str, String)>) -> (u16, String) {
    let answer = send(client, path, fields).await;
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

/// All that was in flight has ended but this many, and the panics were counted.
async fn comes_to_rest(front: &Front, in_flight: u64, panics: u64) {
    let rest = async || (metric(front, "clinch_in_flight").await == in_flight).then_some(());
    eventually("the request to end", rest).await;
    assert_eq!(metric(front, "clinch_panics_total").await, panics);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_http_2_ends_its_stream_only() {
    for front in fronts().await {
        let client = front.caller(None).connect_h2().await;
        let others = tokio::spawn(http2(client.clone(), "/held", fields(&front, "/held", None)));
        front.service.held().await;
        let (count, errors) = (front.service.count(), r#"clinch_responses_total{code="5xx"}"#);
        for (number, place) in (1..).zip(PLACES) {
            let (status, text) =
                http2(client.clone(), "/orders", fields(&front, "/orders", Some(place))).await;
            assert_eq!(status, 500, "{place}: {text}");
            assert!(text.contains(r#""reason":"internal""#), "{place}: {text}");
            assert_eq!(metric(&front, errors).await, number, "{place}");
        }
        assert_eq!(front.service.count(), count, "none came to the service");
        assert_eq!(refused(&front).await, 2, "those that were not decided");
        assert_eq!(metric(&front, "clinch_in_flight").await, 1, "the one that is held");
        let broken = send(client.clone(), "/orders", fields(&front, "/orders", Some(BODY))).await;
        assert_eq!(broken.status(), 200);
        assert!(broken.into_body().collect().await.is_err(), "nobody takes it for complete");
        comes_to_rest(&front, 1, PLACES.len() as u64 + 1).await;
        let (status, _) = http2(client.clone(), "/orders", fields(&front, "/orders", None)).await;
        assert_eq!(status, 200, "on the same connection");
        front.service.release();
        assert_eq!(others.await.unwrap().0, 200, "and beside it");
        assert_eq!(metric(&front, "clinch_connections").await, 1);
    }
}

/// An HTTP/1.1 connection is closed after its answer, for where the next request begins may be in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_http_1_ends_its_connection_only() {
    for front in fronts().await {
        let mut beside = front.caller(None).connect().await;
        let head = |path, place| -> String {
            let fields = fields(&front, path, place);
            let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n")
        };
        beside.write_all(head("/held", None).as_bytes()).await.unwrap();
        front.service.held().await;
        let count = front.service.count();
        for place in PLACES {
            let answer: Answer = front.caller(None).send(&head("/orders", Some(place))).await;
            assert_eq!((answer.status, answer.one("connection")), (500, "close"), "{place}: {answer:?}");
            assert!(answer.body.contains(r#""reason":"internal""#), "{place}: {answer:?}");
            let id = answer.one("clinch-request-id").to_owned();
            let decision = |line: &str| line.contains("clinch::decision") && line.contains(&id);
            let told = async || front.clinch.program.output().lines().any(decision).then_some(());
            eventually("the decision in the log", told).await;
        }
        assert_eq!(front.service.count(), count, "none came to the service");
        assert_eq!(refused(&front).await, 2, "those that were not decided");
        let mut broken = front.caller(None).connect().await;
        broken.write_all(head("/orders", Some(BODY)).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = broken.read_to_end(&mut answer).await;
        assert!(!answer.ends_with(b"}"), "no whole answer: {}", String::from_utf8_lossy(&answer));
        comes_to_rest(&front, 1, PLACES.len() as u64 + 1).await;
        front.service.release();
        let mut status = [0; 12];
        beside.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        let told = || front.clinch.program.output().matches(r#""message":"panic""#).count();
        let all = async || (told() > PLACES.len()).then_some(());
        eventually("each to be told", all).await;
        let said = front.clinch.program.output();
        assert_eq!(told(), PLACES.len() + 1, "{said}");
        assert!(said.contains("src/gate/drill.rs:"), "with its place: {said}");
    }
}
