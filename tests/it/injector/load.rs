//! Reviews at a fixed rate over connections that are kept, as API servers keep them. How quick they are is measured by
//! `cargo bench --bench injector`; here none may fail, or take longer than the API server waits.

use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{connect, pod, review};
use crate::support::temporary::Folder;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_reviews_a_second_are_answered_in_time() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let injector = Injector::start(&write_with_files(&folder, &pki, "", "")).await;
    let mut senders = Vec::new();
    for _ in 0..3 {
        let stream = connect(injector.address, pki.ca_pem.as_bytes(), None, true).await.unwrap();
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        senders.push(sender);
    }
    let (begun, mut under_way) = (Instant::now(), JoinSet::new());
    for number in 0..RATE * SECONDS {
        let scheduled = begun + Duration::from_secs(1) * number / RATE;
        let mut sender = senders[number as usize % senders.len()].clone();
        tokio::time::sleep_until(scheduled).await;
        under_way.spawn(async move {
            let review = review("shop", &pod());
            let request = Request::post("https://x/inject/namespace")
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(review.to_string())))
                .unwrap();
            sender.ready().await.unwrap();
            let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
            let answer: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
            assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
            assert_eq!(answer["response"]["allowed"], true);
            scheduled.elapsed()
        });
    }
    let mut took = under_way.join_all().await;
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(p99 < Duration::from_secs(10), "p99 {p99:?}, at most {:?}", took.last());
}

const RATE: u32 = 200;
const SECONDS: u32 = 3;
