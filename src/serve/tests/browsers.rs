//! What HTTP/2 tells otherwise than HTTP/1.1: content without a length, and answers to HEAD.

use super::*;
use crate::pop::metadata::WELL_KNOWN;
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::convert::Infallible;

fn preflight() -> http::request::Builder {
    get(Version::HTTP_2, "/orders/7")
        .method(Method::OPTIONS)
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "GET")
}

fn letting_preflights_pass(config: &mut Config) {
    let proof = ProofRule { dpop: true, ..ProofRule::default() };
    let demands = Requirements { proof, cors_preflight: true, ..Requirements::default() };
    config.routes = Routes::default();
    config.routes.add(route("/orders/{id}", vec![Method::GET], Access::Protected(demands))).unwrap();
    config.listen.resource_metadata = true;
}

/// DG-027
#[tokio::test]
async fn a_preflight_with_content_of_no_known_length_is_none() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, letting_preflights_pass).await;
    let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"body")))];
    let content = StreamBody::new(futures_util::stream::iter(frames));
    let response = sidecar.ask(Version::HTTP_2, preflight().body(content).unwrap()).await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(service.requests(), 0);
    let response = sidecar.ask(Version::HTTP_2, preflight().body(empty()).unwrap()).await;
    assert_eq!((response.status().as_u16(), service.requests()), (200, 1));
}

/// PRM-02
#[tokio::test]
async fn metadata_is_there_over_every_version() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, letting_preflights_pass).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let path = format!("{WELL_KNOWN}/orders/7");
        let document = sidecar.ask(version, get(version, &path).body(empty()).unwrap()).await;
        let length = document.headers()["content-length"].clone();
        let document: serde_json::Value = serde_json::from_str(&text(document).await).unwrap();
        assert_eq!(document["resource"], "https://api.example.com/orders/7");
        let head = get(version, &path).method(Method::HEAD).body(empty()).unwrap();
        let head = sidecar.ask(version, head).await;
        assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &length));
        assert_eq!(text(head).await, "");
    }
    assert_eq!(service.requests(), 0);
}
