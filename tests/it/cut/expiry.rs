//! `exp`: a stream ends with its token, unless its route says otherwise; what is no stream does not.

use super::{Scene, broken_off, reset};
use crate::support::eventually;
use crate::support::proof::now;
use http_body_util::BodyExt;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token_unless_its_route_lets_it_live() {
    let scene = Scene::start().await;
    let exp = now() + 8;
    let token = |name: &str| scene.front.token(&json!({ "jti": name, "exp": exp }));
    let mut lasting = scene.open("/lasting/events", &token("lasting")).await;
    let mut client = scene.front.caller(None).connect_h2().await;
    let mut second = scene.open_h2(&mut client, "/silent", &token("second")).await.into_body();
    let mut first = scene.open("/events", &token("first")).await;
    broken_off(&mut first).await;
    let late = wall().saturating_sub(Duration::from_secs(exp));
    assert!(wall() >= Duration::from_secs(exp), "cut before its time");
    println!("cut {late:.1?} after exp");
    second.frame().await.unwrap().unwrap();
    assert_eq!(reset(&mut second).await, h2::Reason::INTERNAL_ERROR);
    eventually("both to be counted", async || (scene.cuts("expired").await == 2).then_some(())).await;
    assert!(scene.told().iter().all(|told| told["reason"] == "expired"));
    // The same token, on a route where a stream may outlive it: revocation ends it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    eventually("one to be left", async || (scene.service.open() == 1).then_some(())).await;
    scene.revoke(json!({ "jti": "lasting" })).await;
    broken_off(&mut lasting).await;
    eventually("the third to be counted", async || (scene.cuts("revoked").await == 1).then_some(())).await;
    assert_eq!(scene.cuts("expired").await, 2);
}

/// A request that was in time waits for its answer, however long that takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_not_cut_by_exp() {
    let scene = Scene::start().await;
    let exp = now() + 6;
    let stream = scene.send("/wait", &scene.front.token(&json!({ "exp": exp }))).await;
    let over = Duration::from_secs(exp + 2).saturating_sub(wall());
    tokio::time::sleep(over).await;
    assert_eq!(scene.service.open(), 1);
    assert_eq!(scene.cuts("expired").await, 0);
    drop(stream);
    scene.service_is_rid_of_all().await;
}
