//! Revocation over a real NATS: a revoked token stops working everywhere, and an outage of the bus shows.

use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::proof::claims;
use crate::support::temporary::Folder;
use crate::support::world::World;

const PATH: &str = "/accounts/1";

/// `clinch revoke` of one token, as an operator would type it.
async fn revoke(world: &World, token: &str) {
    let (feed, claims) = (world.nats().url(), claims(token));
    let (jti, issuer) = (claims["jti"].as_str().unwrap(), claims["iss"].as_str().unwrap());
    let arguments = ["revoke", "--feed", &feed, "--jti", jti, "--issuer", issuer];
    let output = finish(command().args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stops_working() {
    let mut world = World::with_nats().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (spared, spared_key) = world.dpop_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);

    revoke(&world, &token).await;
    let refusal = eventually("the revoked token to be refused", async || {
        Some(world.get_as_owner(PATH, &token, &key).await).filter(|answer| answer.status != 200)
    });
    let refusal = refusal.await;
    assert_eq!(refusal.status, 401, "{refusal:?}");
    assert!(refusal.all("www-authenticate")[0].starts_with(r#"DPoP error="invalid_token""#), "{refusal:?}");
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 200);

    // A new replica is not ready before it knows what was revoked: its first answer is a refusal.
    world.replace_clinch().await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 401);
    assert_eq!(world.get_as_owner(PATH, &spared, &spared_key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_bus_shows_and_heals() {
    let mut world = World::with_nats().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let (revoked, revoked_key) = world.dpop_token("accounts.read").await;
    revoke(&world, &revoked).await;

    world.nats.as_mut().unwrap().kill();
    let unready = world.clinch.becomes_unready().await;
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains(r#""revocations":"stale""#), "{}", unready.body);
    // Fail closed, and not with a 401: the token is good, and asking for another would not help.
    let refusal = world.get_as_owner(PATH, &token, &key).await;
    assert_eq!(refusal.status, 503, "{refusal:?}");
    refusal.one("retry-after");
    assert!(refusal.all("www-authenticate").is_empty());

    world.nats.as_mut().unwrap().restart().await;
    world.clinch.becomes_ready().await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);
    assert_eq!(world.get_as_owner(PATH, &revoked, &revoked_key).await.status, 401);
    let (token, key) = world.dpop_token("accounts.read").await;
    revoke(&world, &token).await;
    let refused = async || (world.get_as_owner(PATH, &token, &key).await.status == 401).then_some(());
    eventually("a revocation after the outage to arrive", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_may_begin_with_a_hyphen() {
    let folder = Folder::new();
    let feed = folder.at("journal");
    let arguments = ["revoke", "--jti", "-p6", "--issuer", "https://as.example.com", "--feed"];
    let output = finish(command().args(arguments).arg(&feed)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read_to_string(&feed).unwrap().contains(r#""jti":"-p6""#));
}
