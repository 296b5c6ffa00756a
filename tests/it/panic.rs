//! A panic in a request, with the program itself: it costs that request alone, is counted, and never lets it through.
//!
//! Where it is to happen is asked for by `clinch-drill`, which only a build for tests understands (feature `panic-drill`).

use crate::support::front::Front;
use crate::support::oauth_client::HOST;
use crate::support::proof::{Proof, unique};
use crate::support::wire::{Answer, H2, plain_get};
use crate::support::world::url;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// At the start of the check, with everything granted and the proof used up, and on the way to the service.
const PLACES: [&str; 3] = ["check", "grant", "forward"];

const LISTEN: &str = "  public_origins: ['https://api.example.com']";
const ROUTES: &str = "  - { path: '/{*rest}', proof: [dpop] }\nruntime: { worker_threads: THREADS }";

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

async fn http2(mut client: H2, path: &str, fields: Vec<(&'static str, String)>) -> (u16, String) {
    let request = fields.iter().fold(Request::get(url(path)), |r, (name, value)| r.header(*name, value));
    client.ready().await.unwrap();
    let answer = client.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
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
            answer.one("clinch-request-id");
        }
        assert_eq!(front.service.count(), count, "none came to the service");
        assert_eq!(refused(&front).await, 2, "those that were not decided");
        front.service.release();
        let mut status = [0; 12];
        beside.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        let said = front.clinch.program.output();
        assert_eq!(said.matches(r#""message":"panic""#).count(), PLACES.len(), "{said}");
        assert!(said.contains("src/gate/drill.rs:"), "with its place: {said}");
    }
}
