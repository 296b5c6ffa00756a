//! Reviews at a fixed rate. How quick they are is measured by `cargo bench --bench injector`; here none may fail, or take longer
//! than the API server waits.

use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{connect, pod, review, send};
use crate::support::temporary::Folder;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_reviews_a_second_are_answered_in_time() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let injector = Injector::start(&write_with_files(&folder, &pki, "", "")).await;
    let (begun, mut under_way) = (Instant::now(), JoinSet::new());
    for number in 0..RATE * SECONDS {
        let scheduled = begun + Duration::from_secs(1) * number / RATE;
        let (address, authority) = (injector.address, pki.ca_pem.clone());
        tokio::time::sleep_until(scheduled).await;
        // A handshake each: more than an API server makes.
        under_way.spawn(async move {
            let stream = connect(address, authority.as_bytes(), None, number % 2 == 0).await?;
            let response = send(stream, "/inject/namespace", &review("shop", &pod())).await?;
            Ok::<_, String>((response["allowed"] == true, scheduled.elapsed()))
        });
    }
    let mut took: Vec<Duration> = Vec::new();
    while let Some(answered) = under_way.join_next().await {
        let (allowed, elapsed) = answered.unwrap().unwrap();
        assert!(allowed);
        took.push(elapsed);
    }
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(p99 < Duration::from_secs(5), "p99 {p99:?}, at most {:?}", took.last());
}

const RATE: u32 = 200;
const SECONDS: u32 = 3;
