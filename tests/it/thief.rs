//! A stolen token is worthless: each way a thief would try, and the answer to it.

use crate::support::proof::{Proof, ProofKey};
use crate::support::wire::{Answer, get};
use crate::support::world::{World, url};
use serde_json::json;

const PATH: &str = "/accounts/1";

/// Refused with this status, and with this error on a challenge of this scheme.
fn assert_refused(answer: &Answer, status: u16, scheme: &str, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let challenges = answer.all("www-authenticate");
    let blamed = format!("{scheme} error=\"{error}\"");
    assert!(challenges.iter().any(|c| c.starts_with(&blamed)), "no {blamed} in {challenges:?}");
    assert_eq!(answer.one("cache-control"), "no-store");
}

/// DPOP-10, DPOP-14, DPOP-17, DPOP-18, DPOP-23, DPOP-31, BEAR-08
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_dpop_token_is_worthless() {
    let world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let good = || Proof::new(&key, "GET", &url(PATH), &token);
    let thief = ProofKey::new();
    let with = async |proof: &str| world.get_with_proof(PATH, &token, proof).await;

    // Without the key.
    let bearer = world.caller(None).send(&get(PATH, &[("Authorization", &format!("Bearer {token}"))])).await;
    assert_refused(&bearer, 401, "Bearer", "invalid_token");
    let bare = world.caller(None).send(&get(PATH, &[("Authorization", &format!("DPoP {token}"))])).await;
    assert_refused(&bare, 401, "DPoP", "invalid_dpop_proof");
    // With another key, honest about it or not.
    let other = Proof::new(&thief, "GET", &url(PATH), &token).sign(&thief);
    assert_refused(&with(&other).await, 401, "DPoP", "invalid_token");
    assert_refused(&with(&good().sign(&thief)).await, 401, "DPoP", "invalid_dpop_proof");
    // With a proof that was made for something else, or long ago.
    for proof in [
        good().claim("htu", json!(url("/accounts/2"))),
        good().claim("htu", json!("https://evil.example/accounts/1")),
        good().claim("htm", json!("POST")),
        good().claim("ath", json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo")),
        good().claim("ath", json!(null)),
        good().claim("iat", json!(crate::support::proof::now() - 600)),
        good().claim("iat", json!(crate::support::proof::now() + 600)),
        good().claim("jti", json!(null)),
        good().header("typ", json!("JWT")),
        good().header("alg", json!("none")),
        good().header("jwk", json!(null)),
    ] {
        assert_refused(&with(&proof.sign(&key)).await, 401, "DPoP", "invalid_dpop_proof");
    }
    assert!(world.service.received().is_empty(), "something got through: {:?}", world.service.received());
    // And the owner is not locked out by any of this.
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);
}

/// DPOP-41, DPOP-47, FAPI-10, RP-001, RP-003
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_works_once() {
    let world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let proof = Proof::new(&key, "GET", &url(PATH), &token).sign(&key);
    assert_eq!(world.get_with_proof(PATH, &token, &proof).await.status, 200);
    assert_refused(&world.get_with_proof(PATH, &token, &proof).await, 401, "DPoP", "invalid_dpop_proof");

    // A hundred at once, on a hundred connections: one of them, and one only.
    let proof = Proof::new(&key, "GET", &url(PATH), &token).sign(&key);
    let request = get(PATH, &[("Authorization", &format!("DPoP {token}")), ("DPoP", &proof)]);
    let race = (0..100).map(|_| {
        let (caller, request) = (world.caller(None), request.clone());
        tokio::spawn(async move { caller.send(&request).await })
    });
    let mut admitted = 0;
    for racer in race.collect::<Vec<_>>() {
        let answer = racer.await.unwrap();
        match answer.status {
            200 => admitted += 1,
            _ => assert_refused(&answer, 401, "DPoP", "invalid_dpop_proof"),
        }
    }
    assert_eq!(admitted, 1);
    assert_eq!(world.service.received().len(), 2);
}

/// MTLS-01, MTLS-02, MTLS-03, MTLS-12, TL-014
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_bound_token_is_worthless() {
    let world = World::start().await;
    let token = world.client(crate::support::oauth_client::Bind::Mtls, json!([])).await.token;
    let request = get(PATH, &[("Authorization", &format!("Bearer {token}"))]);
    let without = world.caller(None).send(&request).await;
    assert_refused(&without, 401, "Bearer", "invalid_token");
    let other = world.caller(Some(&world.pki.thief)).send(&request).await;
    assert_refused(&other, 401, "Bearer", "invalid_token");
    // A certificate in a header is hearsay.
    let hearsay = [("Authorization", &*format!("Bearer {token}")), ("X-Forwarded-Client-Cert", "Hash=abc")];
    assert_refused(&world.caller(None).send(&get(PATH, &hearsay)).await, 401, "Bearer", "invalid_token");
    assert!(world.service.received().is_empty());
    assert_eq!(world.caller(Some(&world.pki.client)).send(&request).await.status, 200);
}

/// SBCP-04, AT-11, HD-001, HD-003
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_clinch_says_who_called() {
    let world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let proof = Proof::new(&key, "GET", &url(PATH), &token).sign(&key);
    let authorization = format!("DPoP {token}");
    let spoofed = [
        ("clinch-subject", "root"),
        ("Clinch_Subject", "root"),
        ("clinch.subject", "root"),
        ("CLINCH-ROLE", "root"),
    ];
    let headers = [&[("Authorization", &*authorization), ("DPoP", &*proof)], &spoofed[..]].concat();
    assert_eq!(world.caller(None).send(&get(PATH, &headers)).await.status, 200);
    assert_eq!(world.caller(None).send(&get("/healthz", &spoofed)).await.status, 200);

    let received = world.service.received();
    assert_eq!(received[0].header("clinch-subject"), Some("dpop"));
    for request in &received {
        assert!(request.headers.iter().all(|(_, value)| value != "root"), "{:?}", request.headers);
    }
    let open = &received[1];
    assert!(open.headers.iter().all(|(name, _)| !name.starts_with("clinch")), "{:?}", open.headers);
}

/// DPOP-25, DPOP-26, DPOP-27, BEAR-04, BEAR-05, BEAR-08, BEAR-09, AT-09, HTTP-06, HTTP-34
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_is_missing_and_no_more() {
    let world = World::start().await;
    let nothing = world.caller(None).send(&get(PATH, &[])).await;
    assert_eq!(nothing.status, 401);
    let document =
        |path: &str| format!(r#"resource_metadata="{}{path}""#, url("/.well-known/oauth-protected-resource"));
    let (dpop, bearer) = (r#"DPoP algs="ES256 EdDSA""#, "Bearer");
    let named = document(PATH);
    assert_eq!(nothing.all("www-authenticate"), [format!("{dpop}, {named}"), format!("{bearer} {named}")]);
    let dpop_only = world.caller(None).send(&get("/transfers/1", &[])).await;
    assert_eq!(dpop_only.all("www-authenticate"), [format!("{dpop}, {}", document("/transfers/1"))]);

    let (token, key) = world.dpop_token("accounts.read").await;
    let scope = world.get_as_owner("/transfers/1", &token, &key).await;
    assert_refused(&scope, 403, "DPoP", "insufficient_scope");
    assert!(
        scope.all("www-authenticate")[0].contains(r#"scope="accounts.read accounts.write""#),
        "{scope:?}"
    );
    let certified = world.get_as_owner("/certified/1", &token, &key).await;
    assert_refused(&certified, 401, "DPoP", "invalid_token");

    let unknown = world.get_as_owner("/nowhere", &token, &key).await;
    assert_eq!((unknown.status, unknown.all("www-authenticate").len()), (403, 0));
    let elsewhere = "GET /accounts/1 HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(world.caller(None).send(elsewhere).await.status, 421);
    let query = world.caller(None).send(&get(&format!("{PATH}?access_token={token}"), &[])).await;
    assert_eq!(query.status, 400);
    assert!(world.service.received().is_empty());
}
