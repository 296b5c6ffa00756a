//! The rig tested without clinch: a test that fails should accuse the sidecar, not its surroundings.

use super::authorization_server::AuthorizationServer;
use super::echo::Echo;
use super::nats::Nats;
use super::oauth_client::{self, Bind};
use super::pki::Pki;
use super::proof;
use super::wire::plain_get;
use super::world::url;
use serde_json::json;
use std::net::SocketAddr;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_bound_to_what_the_client_holds() {
    let pki = Pki::new();
    let server = AuthorizationServer::start(&pki, &url("")).await;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let get = async |bind| oauth_client::run(&server, &pki, bind, "accounts.read", nowhere, json!([])).await;

    let dpop = get(Bind::Dpop).await;
    let cnf = proof::claims(&dpop.token)["cnf"].clone();
    assert_eq!(cnf, json!({ "jkt": dpop.key.expect("a DPoP key").thumbprint() }));
    let mtls = proof::claims(&get(Bind::Mtls).await.token);
    assert_eq!(mtls["cnf"], json!({ "x5t#S256": pki.client.thumbprint() }));
    let plain = proof::claims(&get(Bind::None).await.token);
    assert!(plain["cnf"].is_null() && plain["aud"] == json!(url("")), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_held_requests_when_told() {
    let service = Echo::start().await;
    let address = service.address;
    let held = tokio::spawn(async move { plain_get(address, "/a/held").await });
    service.held().await;
    assert!(!held.is_finished());
    service.release();
    let answer = held.await.unwrap().expect("the service listens");
    assert_eq!((answer.status, service.received()[0].target.as_str()), (200, "/a/held"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_comes_back_with_what_it_knew() {
    let mut nats = Nats::start().await;
    let url = nats.url();
    let publish = async || {
        let client = async_nats::connect(&url).await.ok()?;
        let stream = async_nats::jetstream::new(client);
        let ack = stream.publish("clinch.revocations.test", "{}".into()).await.ok()?.await.ok()?;
        Some(ack.sequence)
    };
    assert_eq!(publish().await, Some(1));
    nats.kill();
    assert_eq!(publish().await, None);
    nats.restart().await;
    assert_eq!(publish().await, Some(2));
}
