//! The feed is out of reach for longer than `max_staleness`: what each choice of `on_stale` makes of it.

use crate::support::eventually;
use crate::support::proof::ProofKey;
use crate::support::wire::plain_get;
use crate::support::world::World;

const PATH: &str = "/accounts/1";
const INTROSPECTION: &str = "    introspection: { client_id: 'resource server', client_secret_file: introspection.secret, cache: 1s }\n";

/// With this `on_stale`, and an issuer that can be asked.
async fn world(on_stale: &str) -> World {
    World::with_nats_and_config(|text| {
        text.replacen("    ca: ca.crt\n", &format!("    ca: ca.crt\n{INTROSPECTION}"), 1)
            .replace("on_stale: deny", &format!("on_stale: {on_stale}"))
    })
    .await
}

async fn silence(world: &mut World) {
    world.nats.as_mut().unwrap().kill();
    world.clinch.becomes_unready().await;
}

/// What the service was told of the last request.
async fn marked(world: &World, token: &str, key: &ProofKey) -> Option<String> {
    let answer = world.get_as_owner(PATH, token, key).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.clinch.program.output());
    world.service.received().last().unwrap().header("clinch-revocation").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_is_asked_and_what_passes_is_marked() {
    let mut world = world("introspect").await;
    let (token, key) = world.opaque_token("accounts.read").await;
    assert_eq!(marked(&world, &token, &key).await, None);
    silence(&mut world).await;
    assert_eq!(marked(&world, &token, &key).await.as_deref(), Some("introspected"));

    world.server.revoke(&world.pki, "dpop-opaque", &token).await;
    let refused = async || (world.get_as_owner(PATH, &token, &key).await.status == 401).then_some(());
    eventually("what the issuer revoked to be refused", refused).await;
    let metrics = plain_get(world.clinch.admin, "/metrics").await.unwrap().body;
    assert!(
        metrics.contains(r#"clinch_revocation_unchecked_requests_total{how="introspected"}"#),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_allows_requests_without_the_feed_sees_which_ones_passed() {
    let mut world = world("allow").await;
    let (token, key) = world.dpop_token("accounts.read").await;
    assert_eq!(marked(&world, &token, &key).await, None);
    silence(&mut world).await;
    assert_eq!(marked(&world, &token, &key).await.as_deref(), Some("unchecked"));
    let metrics = plain_get(world.clinch.admin, "/metrics").await.unwrap().body;
    assert!(
        metrics.contains(r#"clinch_revocation_unchecked_requests_total{how="unchecked"} 1"#),
        "{metrics}"
    );

    world.nats.as_mut().unwrap().restart().await;
    world.clinch.becomes_ready().await;
    assert_eq!(marked(&world, &token, &key).await, None);
}
