//! The rig tested without clinch: a test that fails should accuse the sidecar, not its surroundings.

use super::authorization_server::AuthorizationServer;
use super::echo::Echo;
use super::issuer::{Issuer, JWKS, METADATA, Reply};
use super::nats::Nats;
use super::oauth_client::{self, Bind};
use super::pki::Pki;
use super::proof::{self, ProofKey};
use super::wire::{Caller, get, plain_get};
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

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_does_as_it_is_told() {
    let pki = Pki::new();
    let issuer = Issuer::start(&pki).await;
    let address = issuer.name.trim_start_matches("https://localhost:").parse().unwrap();
    let caller = Caller::new(SocketAddr::from(([127, 0, 0, 1], address)), &pki, None);
    let metadata = caller.send(&get(METADATA, &[])).await;
    assert!(metadata.status == 200 && metadata.body.contains(&issuer.at(JWKS)), "{metadata:?}");
    for alg in ["ES256", "ES384", "EdDSA", "RS256", "PS256", "PS384", "PS512"] {
        let key = ProofKey::of(alg);
        issuer.publish(&[("k2", &key)]);
        let keys = caller.send(&get(JWKS, &[])).await.body;
        assert!(keys.contains(key.jwk()["kty"].as_str().unwrap()) && keys.contains("k2"), "{keys}");
        let token = issuer.token_for(&key).header("alg", alg).sign(&key);
        let json = clinch::pop::jose::Json::parse(keys.as_bytes()).unwrap();
        let set = clinch::pop::key_set::KeySet::parse(&json).unwrap();
        let algorithm = clinch::pop::algorithm::Algorithm::from_name(alg).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let key = set.candidates(Some("k2"), algorithm).next().expect("a key that fits");
        assert!(key.key.verifies(algorithm, message.as_bytes(), signature), "{alg}");
    }
    issuer.answer(JWKS, Reply::redirect("http://evil.example/"));
    assert_eq!(caller.send(&get(JWKS, &[])).await.one("location"), "http://evil.example/");
    assert_eq!((issuer.fetches(), caller.send(&get("/other", &[])).await.status), (8, 404));
}
