//! Revocation over a Redis stream by the shipped binary, from the command line to the refusal.

use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::proof::{Proof, ProofKey, claims};
use crate::support::redis::Redis;
use crate::support::world::{World, url};

const PATH: &str = "/accounts/1";

/// `clinch revoke` of one token, as an operator would type it; what it says.
async fn revoke(feed: &str, token: &str) -> String {
    revoke_and(feed, token, &["--json"]).await
}

async fn revoke_and(feed: &str, token: &str, more: &[&str]) -> String {
    let claims = claims(token);
    let (jti, issuer) = (claims["jti"].as_str().unwrap(), claims["iss"].as_str().unwrap());
    let arguments = ["revoke", "--feed", feed, "--jti", jti, "--issuer", issuer];
    let output = finish(command().args(arguments).args(more)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stops_working_and_a_lost_stream_shows() {
    let mut redis = Redis::start().await;
    let feed = format!("{}?stream=revoked", redis.url());
    let mut world = World::with_feed(&format!("kind: redis, url: '{}', stream: revoked", redis.url())).await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (spared, spared_key) = world.dpop_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);

    let said: serde_json::Value = serde_json::from_str(&revoke(&feed, &token).await).unwrap();
    assert_eq!(said["feed"], "revoked");
    assert!(said["sequence"].as_str().unwrap().ends_with("-0"), "{said}");
    let refusal = eventually("the revoked token to be refused", async || {
        Some(world.get_as_owner(PATH, &token, &key).await).filter(|answer| answer.status != 200)
    });
    assert_eq!(refusal.await.status, 401);
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 200);

    // A new replica knows it before its first answer (RV-025).
    world.replace_clinch().await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 401);

    // This Redis keeps nothing over a crash: what it held is missing, not forgiven.
    redis.kill();
    redis.restart().await;
    let unready = world.clinch.becomes_unready().await;
    assert!(unready.body.contains(r#""revocations":"stale""#), "{}", unready.body);
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 503);
    let (other, other_key) = world.dpop_token("accounts.read").await;
    revoke(&feed, &other).await;
    world.clinch.becomes_ready().await;
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 200);
    assert_eq!(world.get_as_owner(PATH, &other, &other_key).await.status, 401);
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 401, "what was read stays");
}

/// RV-025, RV-027
#[tokio::test(flavor = "multi_thread")]
async fn every_replica_refuses_and_one_that_starts_later_does_before_it_is_ready() {
    let redis = Redis::start().await;
    let feed = format!("{}?stream=revoked", redis.url());
    let world = World::with_feed(&format!("kind: redis, url: '{}', stream: revoked", redis.url())).await;
    let second = world.another_clinch().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (spared, spared_key) = world.dpop_token("accounts.read").await;
    let admins = [world.clinch.admin, second.admin].map(|admin| format!("http://{admin}"));
    revoke_and(&feed, &token, &["--wait", &admins.join(",")]).await;
    // No more waiting: whoever was told that all have it relies on that.
    let used = |token: &str, key: &ProofKey| Proof::new(key, "GET", &url(PATH), token).sign(key);
    for replica in [&world.clinch, &second] {
        assert_eq!(world.get_at(replica, PATH, &token, &used(&token, &key)).await.status, 401);
        let proof = used(&spared, &spared_key);
        assert_eq!(world.get_at(replica, PATH, &spared, &proof).await.status, 200);
    }

    let third = world.another_clinch_unready().await;
    let mut answers = Vec::new();
    let ready = async || {
        answers.push(world.get_at(&third, PATH, &token, &used(&token, &key)).await.status);
        third.ready().await.filter(|answer| answer.status == 200)
    };
    eventually("the third replica to be ready", ready).await;
    answers.push(world.get_at(&third, PATH, &token, &used(&token, &key)).await.status);
    assert!(answers.iter().all(|status| [401, 503].contains(status)), "{answers:?}");
    assert_eq!(answers.last(), Some(&401));
    let proof = used(&spared, &spared_key);
    assert_eq!(world.get_at(&third, PATH, &spared, &proof).await.status, 200);
}
