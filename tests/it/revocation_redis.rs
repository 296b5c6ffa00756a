//! Revocation over a Redis stream by the shipped binary, from the command line to the refusal.

use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::proof::claims;
use crate::support::redis::Redis;
use crate::support::world::World;

const PATH: &str = "/accounts/1";

/// `clinch revoke` of one token, as an operator would type it; what it says.
async fn revoke(feed: &str, token: &str) -> String {
    let claims = claims(token);
    let (jti, issuer) = (claims["jti"].as_str().unwrap(), claims["iss"].as_str().unwrap());
    let output =
        finish(command().args(["revoke", "--feed", feed, "--jti", jti, "--issuer", issuer, "--json"])).await;
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
