//! Trailers, both ways, over every pair of versions: they pass as trailers, and never as anything else (HTTP-13).

use super::upstream::{BOTH, speaking};
use super::*;
use http::{HeaderMap, HeaderValue};
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Frames, the last one first.
struct Frames(Vec<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}

fn ending_in(names: &[&'static str]) -> Frames {
    let mut trailers = HeaderMap::new();
    for name in names {
        trailers.insert(*name, HeaderValue::from_static("at-the-end"));
    }
    Frames(vec![Frame::trailers(trailers), Frame::data(Bytes::from("data"))])
}

/// HTTP-13, SBCP-04
#[tokio::test]
async fn those_of_a_request_reach_the_service_without_our_names() {
    for to in BOTH {
        let service = Service::speaking(to).await;
        let sidecar = Sidecar::with(&service, speaking(to)).await;
        for from in BOTH {
            let names = ["x-checksum", "clinch-subject", "authorization", "cookie", "x-forwarded-for"];
            let request = get(from, "/open/a")
                .method(Method::POST)
                .header("trailer", names.join(", "))
                .body(ending_in(&names))
                .unwrap();
            let seen = text(sidecar.ask(from, request).await).await;
            assert!(seen.contains("\ntrailer: x-checksum\n"), "{from:?} to {to:?}: {seen}");
            let (head, body) = seen.split_once("\n\n").unwrap();
            assert_eq!(body, "data\ntrailer x-checksum: at-the-end", "{from:?} to {to:?}");
            assert!(!head.contains("at-the-end"), "{from:?} to {to:?}: {seen}");
        }
    }
}

/// HTTP-13
#[tokio::test]
async fn those_of_a_response_reach_the_client_without_our_names() {
    for to in BOTH {
        let service = Service::speaking(to).await;
        let sidecar = Sidecar::with(&service, speaking(to)).await;
        for from in BOTH {
            let request = get(from, "/open/trailers").header("te", "trailers");
            let request = if from == Version::HTTP_2 { request } else { request.header("connection", "te") };
            let response = sidecar.ask(from, request.body(empty()).unwrap()).await;
            assert!(!response.headers().contains_key("x-checksum"));
            let collected = response.into_body().collect().await.unwrap();
            let trailers = collected.trailers().unwrap();
            assert_eq!(trailers["x-checksum"], "c", "{from:?} to {to:?}");
            assert_eq!(trailers.len(), 1, "{from:?} to {to:?}");
            assert_eq!(collected.to_bytes(), "data");
        }
    }
}
