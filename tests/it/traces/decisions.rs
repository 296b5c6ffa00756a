//! The steps of a decision that take time, and why it was a refusal.

use super::{PATH, SERVER, TRACE, Traced};
use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::issuer::Reply;
use crate::support::proof::{Proof, ProofKey, claims};
use crate::support::redis::Redis;
use crate::support::world::url;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_keys_says_so() {
    let world = Traced::start("sample: 1.0").await;
    let newer = ProofKey::new();
    world.issuer.publish(&[("k1", &world.issuer.key), ("k2", &newer)]);
    let token = world.issuer.token_for(&world.key).header("kid", "k2").sign(&newer);
    assert_eq!(world.get(&token, Some(TRACE), &[]).await.status, 200);
    let collector = &world.collector;
    let server = collector.named(SERVER, TRACE).await;
    let verified = collector.named("verify token", TRACE).await;
    let waited = collector.named("wait for keys", TRACE).await;
    assert_eq!((verified.parent(), waited.parent()), (server.id(), verified.id()));
    let linked =
        |span: &crate::support::otlp::Span| span.0.name == "fetch keys" && waited.links_to(span, "fetch");
    let fetch = collector.span("the fetch that it waited for", linked).await;
    assert_eq!(fetch.says("clinch.keys").as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_to_the_issuer_is_a_step() {
    let world = Traced::with("sample: 1.0", |text| {
        let issuer = text.split("issuer: ").nth(1).unwrap().split('\n').next().unwrap().to_owned();
        let section = format!(
            "    ca: ca.crt\n    introspection: {{ endpoint: '{issuer}/introspect', client_id: c, \
             client_secret_file: introspection.secret }}\n"
        );
        text.replacen("    ca: ca.crt\n", &section, 1)
    })
    .await;
    let active = json!({
        "active": true, "iss": world.issuer.name, "aud": "https://api.example.com", "sub": "alice",
        "client_id": "app", "scope": "accounts.read", "exp": crate::support::proof::now() + 60,
        "iat": crate::support::proof::now() - 1, "jti": "j", "token_type": "DPoP",
        "cnf": { "jkt": world.key.thumbprint() },
    });
    world.issuer.answer("/introspect", Reply::json(&active).after(Duration::from_millis(30)));
    let answer = world.get("an-opaque-token", Some(TRACE), &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", world.clinch.program.output());
    let verified = world.collector.named("verify token", TRACE).await;
    let asked = world.collector.named("introspect token", TRACE).await;
    assert_eq!(
        (asked.parent(), asked.says("clinch.issuer")),
        (verified.id(), Some(world.issuer.name.clone()))
    );
    assert!(asked.0.end_time_unix_nano - asked.0.start_time_unix_nano >= 30_000_000);
    assert!(!world.collector.has_seen("an-opaque-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_store_is_a_step_and_says_how_it_ended() {
    let mut redis = Redis::start().await;
    let store = format!("replay: {{ store: redis, url: '{}', timeout: 1s }}", redis.url());
    let world =
        Traced::with("sample: 1.0", |text| text.replace("\ndpop:\n", &format!("\ndpop:\n  {store}\n"))).await;
    let token = world.token();
    let proof = Proof::new(&world.key, "GET", &url(PATH), &token).sign(&world.key);
    let connected = async || {
        let proof = Proof::new(&world.key, "GET", &url(PATH), &token).sign(&world.key);
        (world.get_with_proof(&token, &proof, None, &[]).await.status == 200).then_some(())
    };
    eventually("the store to be there", connected).await;
    assert_eq!(world.get_with_proof(&token, &proof, Some(TRACE), &[]).await.status, 200);
    let server = world.collector.named(SERVER, TRACE).await;
    let claimed = world.collector.named("claim proof", TRACE).await;
    assert_eq!(
        (claimed.parent(), claimed.says("clinch.replay.store").as_deref()),
        (server.id(), Some("redis"))
    );
    assert!(claimed.0.status.is_none());

    redis.kill();
    let other = TRACE.replace("4bf9", "5bf9");
    let answer = world.get(&token, Some(&other), &[]).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let claimed = world.collector.named("claim proof", &other).await;
    assert_eq!(claimed.says("error.type").as_deref(), Some("replay_unavailable"));
    assert!(!world.collector.has_seen(&proof));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_event_that_caused_it() {
    let journal = crate::support::temporary::Folder::new();
    let feed = format!("file://{}", journal.at("revocations.jsonl").display());
    let path = journal.at("revocations.jsonl").display().to_string();
    // Recorded because it is a refusal: the share is nothing.
    let world = Traced::with("sample: 0.0, sample_refusals: true", |text| {
        format!("{text}revocation:\n  feed: {{ kind: file, path: '{path}' }}\n  accept_plain: true\n")
    })
    .await;
    let token = world.token();
    assert_eq!(world.get(&token, Some(TRACE), &[]).await.status, 200);
    let claims = claims(&token);
    let (jti, issuer) = (claims["jti"].as_str().unwrap(), claims["iss"].as_str().unwrap());
    let arguments = ["revoke", "--feed", &feed, "--jti", jti, "--issuer", issuer];
    let output = finish(command().args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let refused = async || {
        let answer = world.get(&token, Some(TRACE), &[]).await;
        (answer.status == 401).then_some(())
    };
    eventually("the token to be refused", refused).await;

    let server = world.collector.named(SERVER, TRACE).await;
    assert_eq!(server.says("clinch.reason").as_deref(), Some("token_revoked"));
    assert_eq!(server.says("clinch.kept").as_deref(), Some("refusal"));
    let id = server.says("clinch.revocation.event").expect("the event has a name");
    let event = world.collector.span("the event", |span| span.0.name == "revocation event").await;
    assert_eq!(event.says("clinch.revocation.event"), Some(id.clone()));
    assert_eq!(event.says("clinch.revocation.facts").as_deref(), Some("jti"));
    assert!(server.links_to(&event, "revocation") && event.parent().is_empty());
    assert!(world.clinch.program.output().contains(&format!("\"event\":\"{id}\"")), "the log names it, too");
    assert!(
        !world.collector.spans().iter().any(|span| span.says("clinch.verdict").as_deref() == Some("granted"))
    );
}
