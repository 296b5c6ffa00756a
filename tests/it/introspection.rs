//! Opaque tokens of a real authorization server: clinch asks it about them, and possession is proved as ever.

use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::oauth_client::Bind;
use crate::support::proof::{Proof, ProofKey, sha256};
use crate::support::wire::{Answer, plain_get};
use crate::support::world::{World, url};
use serde_json::json;

const PATH: &str = "/accounts/1";

/// The issuer's `introspection` section for this client, with more keys. A server that is slow for a moment is no outage.
fn section(client: &str, more: &str) -> String {
    format!(
        "    introspection: {{ client_id: '{client}', client_secret_file: introspection.secret, timeout: 10s{more} }}\n"
    )
}

async fn world(more: &str) -> World {
    World::with_issuer(&section("resource server", more)).await
}

fn assert_refused(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.body.contains(&format!(r#""reason":"{reason}""#)), "{answer:?}");
    assert!(answer.all("www-authenticate")[0].starts_with("DPoP error="), "{answer:?}");
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains(r#""reason":"introspection_unavailable""#), "{answer:?}");
    answer.one("retry-after");
    assert!(answer.all("www-authenticate").is_empty(), "another token would not help: {answer:?}");
}

/// The operator is told why.
async fn logged(world: &mut World, text: &str) {
    let line = |line: &str| (line.contains("can't be introspected") && line.contains(text)).then_some(());
    world.clinch.program.hear("the reason in the log", line).await;
}

/// INTR-01, DPOP-20, MTLS-05
#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_gets_its_holder_through_and_nobody_else() {
    let world = world("").await;
    let calls = json!([
        { "method": "GET", "url": url(PATH) },
        { "method": "GET", "url": url("/accounts/2"), "with": "dpop" },
        { "method": "GET", "url": url("/transfers/1") },
    ]);
    let outcome = world.client(Bind::DpopOpaque, calls).await;
    assert!(!outcome.token.contains('.'), "no JWT");
    let statuses: Vec<u64> = outcome.answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 403], "{:?}\n{}", outcome.answers, world.clinch.program.output());
    // TK-034: the answer is kept, the scopes are judged each time.
    assert!(outcome.answers[2].challenge.as_deref().unwrap().contains("insufficient_scope"));

    let (token, key) = (&outcome.token, outcome.key.as_ref().unwrap());
    let received = world.service.received();
    assert_eq!(received.len(), 2);
    for request in &received {
        assert_eq!(request.header("clinch-client"), Some("dpop-opaque"));
        assert_eq!(request.header("clinch-subject"), Some("dpop-opaque"), "client credentials");
        assert_eq!(request.header("clinch-issuer"), Some(world.server.issuer.as_str()));
        assert_eq!(request.header("clinch-scope"), Some("accounts.read"));
        assert_eq!(request.header("clinch-key"), Some(key.thumbprint().as_str()));
        assert_eq!(
            request.header("clinch-token-id"),
            Some(sha256(token).as_str()),
            "its hash, for want of a jti"
        );
        assert_eq!(request.header("authorization"), None);
    }

    // A thief has the token and not the key.
    let thief = ProofKey::new();
    assert_refused(&world.get_as_owner(PATH, token, &thief).await, "key_mismatch");
    let bearer = format!(
        "GET {PATH} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(world.caller(None).send(&bearer).await.status, 401);
    let proof = Proof::new(key, "GET", &url(PATH), token).sign(key);
    assert_eq!(world.get_with_proof(PATH, token, &proof).await.status, 200);
    assert_refused(&world.get_with_proof(PATH, token, &proof).await, "proof_replayed");
    assert_refused(&world.get_as_owner(PATH, "a-guess", key).await, "token_inactive");
    assert_eq!(world.service.received().len(), 3);

    let metrics = plain_get(world.clinch.admin, "/metrics").await.unwrap().body;
    let counted = |result: &str, count: u8| {
        let line = format!(
            r#"clinch_introspections_total{{issuer="{}",result="{result}"}} {count}"#,
            world.server.issuer
        );
        assert!(metrics.contains(&line), "{line} in {metrics}");
    };
    counted("active", 1);
    counted("inactive", 1);
    let said = world.clinch.program.output();
    assert!(!said.contains(token) && !metrics.contains(token.as_str()), "a token in the open");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_revokes_is_refused_when_its_answer_has_run_out() {
    let world = world(", cache: 1s").await;
    let (token, key) = world.opaque_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);
    world.server.revoke(&world.pki, "dpop-opaque", &token).await;
    let refused = eventually("the revoked token to be refused", async || {
        Some(world.get_as_owner(PATH, &token, &key).await).filter(|answer| answer.status == 401)
    });
    assert_refused(&refused.await, "token_inactive");
}

/// INTR-05
#[tokio::test(flavor = "multi_thread")]
async fn without_a_cache_a_revocation_counts_at_once() {
    let world = world(", cache: 0s").await;
    let (token, key) = world.opaque_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);
    world.server.revoke(&world.pki, "dpop-opaque", &token).await;
    assert_refused(&world.get_as_owner(PATH, &token, &key).await, "token_inactive");
}

/// JINT-01, JINT-02
#[tokio::test(flavor = "multi_thread")]
async fn signed_answers_are_believed() {
    let world = World::with_issuer(&section("resource-server-es256", ", signed_answers: true")).await;
    let (token, key) = world.opaque_token("accounts.read").await;
    let answer = world.get_as_owner(PATH, &token, &key).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.clinch.program.output());
    assert_refused(&world.get_as_owner(PATH, "a-guess", &key).await, "token_inactive");
}

/// The server signs this client's answers with the client's own secret: that is no signature of the issuer.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_anybody_with_the_secret_could_sign_are_not_believed() {
    let mut world = World::with_issuer(&section("resource-server-hs256", ", signed_answers: true")).await;
    let (token, key) = world.opaque_token("accounts.read").await;
    assert_unavailable(&world.get_as_owner(PATH, &token, &key).await);
    logged(&mut world, r#""fault":"unverified""#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_known_tokens_pass_and_others_are_our_failure() {
    let mut world = world(", cache: 5m").await;
    let (known, known_key) = world.opaque_token("accounts.read").await;
    let (unknown, unknown_key) = world.opaque_token("accounts.read").await;
    let (jwt, jwt_key) = world.dpop_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &known, &known_key).await.status, 200);
    world.server.kill();
    assert_unavailable(&world.get_as_owner(PATH, &unknown, &unknown_key).await);
    assert_eq!(world.get_as_owner(PATH, &known, &known_key).await.status, 200);
    assert_eq!(world.get_as_owner(PATH, &jwt, &jwt_key).await.status, 200);
    world.clinch.becomes_ready().await;
}

/// RV-040, INTR-07: a kept answer admits no token that the feed revokes; a token without a `jti` goes by its hash.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_event_counts_whatever_answer_is_kept() {
    let world = World::with_nats_and_issuer(&section("resource server", ", cache: 5m")).await;
    let (token, key) = world.opaque_token("accounts.read").await;
    assert_eq!(world.get_as_owner(PATH, &token, &key).await.status, 200);
    let (feed, name, issuer) = (world.nats().url(), sha256(&token), &world.server.issuer);
    let revoke = ["revoke", "--feed", &feed, "--jti", &name, "--issuer", issuer];
    assert!(finish(command().args(revoke)).await.status.success());
    let refused = eventually("the revoked token to be refused", async || {
        Some(world.get_as_owner(PATH, &token, &key).await).filter(|answer| answer.status == 401)
    });
    assert_refused(&refused.await, "token_revoked");
}

/// INTR-06: a wrong secret of ours is no fault of the token's.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_may_not_ask_is_our_failure() {
    let mut world = World::with_issuer(&section("nobody", "")).await;
    let (token, key) = world.opaque_token("accounts.read").await;
    assert_unavailable(&world.get_as_owner(PATH, &token, &key).await);
    logged(&mut world, "401").await;
}
