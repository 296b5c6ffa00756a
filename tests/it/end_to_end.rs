//! The main job: a real client with a token of a real authorization server gets through, and the service learns
//! who called from clinch alone.

use crate::support::echo::Received;
use crate::support::oauth_client::Bind;
use crate::support::proof;
use crate::support::wire::exchange;
use crate::support::world::{World, url};
use serde_json::{Value, json};

/// What every admitted request must tell the service, whatever the proof.
fn assert_identity(received: &Received, token: &str, client: &str, proof: &str, key: &str) {
    let claims = proof::claims(token);
    assert_eq!(received.header("clinch-subject"), claims["sub"].as_str());
    assert_eq!(received.header("clinch-client"), Some(client));
    assert_eq!(received.header("clinch-issuer"), claims["iss"].as_str());
    assert_eq!(received.header("clinch-scope"), Some("accounts.read"));
    assert_eq!(received.header("clinch-token-id"), claims["jti"].as_str());
    assert_eq!(received.header("clinch-proof"), Some(proof));
    assert_eq!(received.header("clinch-key"), Some(key));
    assert_eq!(received.header("authorization"), None, "the token is not the service's to have");
    assert_eq!(received.header("dpop"), None, "the proof is not the service's to have");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_dpop_bound_token_gets_through() {
    let world = World::start().await;
    let calls = json!([
        { "method": "GET", "url": url("/accounts/1") },
        { "method": "GET", "url": url("/accounts/2"), "with": "dpop" },
    ]);
    let outcome = world.client(Bind::Dpop, calls).await;
    for answer in &outcome.answers {
        assert_eq!(answer.status, 200, "{answer:?}\n{}", world.clinch.program.output());
    }
    let body: Value = serde_json::from_str(&outcome.answers[1].body).unwrap();
    assert_eq!(body["target"], "/accounts/2", "the answer is the service's own");
    let received = world.service.received();
    let targets: Vec<&str> = received.iter().map(|r| r.target.as_str()).collect();
    assert_eq!(targets, ["/accounts/1", "/accounts/2"]);
    let key = outcome.key.expect("a DPoP key").thumbprint();
    for request in &received {
        assert_identity(request, &outcome.token, "dpop", "dpop", &key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_certificate_bound_token_gets_through() {
    let world = World::start().await;
    let calls = json!([
        { "method": "GET", "url": url("/accounts/1") },
        { "method": "GET", "url": url("/certified/2") },
    ]);
    let outcome = world.client(Bind::Mtls, calls).await;
    for answer in &outcome.answers {
        assert_eq!(answer.status, 200, "{answer:?}\n{}", world.clinch.program.output());
    }
    let thumbprint = world.pki.client.thumbprint();
    for request in &world.service.received() {
        assert_identity(request, &outcome.token, "mtls", "mtls", &thumbprint);
    }
    assert_eq!(world.service.received().len(), 2);
}

/// FAPI-05, SBCP-01
#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_token_does_not_get_through() {
    let world = World::start().await;
    let outcome = world.client(Bind::None, json!([{ "method": "GET", "url": url("/accounts/1") }])).await;
    let answer = &outcome.answers[0];
    assert_eq!(answer.status, 401);
    assert!(answer.challenge.as_deref().unwrap_or_default().contains("invalid_token"), "{answer:?}");
    assert!(world.service.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_reaches_the_service() {
    let world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read accounts.write").await;
    let proof = proof::Proof::new(&key, "POST", &url("/transfers/1"), &token).sign(&key);
    let request = format!(
        "POST /transfers/1?to=2 HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    );
    assert_eq!(exchange(world.caller(None).connect().await, &request).await.status, 200);
    let received = &world.service.received()[0];
    assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/transfers/1?to=2"));
    assert_eq!(&received.body[..], b"hello world");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_authorization_server_stops_nobody_who_has_a_token() {
    let mut world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    world.server.kill();
    assert_eq!(world.get_as_owner("/accounts/1", &token, &key).await.status, 200);
    world.clinch.becomes_ready().await;
}
