//! JW: the issuer's keys, when the issuer or the network misbehaves.

use super::answers::Code::{A2, A9};
use super::case::{Call, Case, PATH, granted, refused, token};
use super::stage::{Parts, Stage, difference};
use crate::support::issuer::{JWKS, METADATA, OPENID, Reply};
use crate::support::keys::ProofKey;
use crate::support::proof::unique;
use crate::support::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A good request whose token was signed by `signer` under the name `kid`.
fn by(signer: &ProofKey, kid: impl Into<Value>) -> impl Fn(&Stage) -> Call + Send + Sync + 'static {
    let (signer, kid) = (signer.clone(), kid.into());
    move |s| {
        let token =
            s.issuer.token_for(&s.key).header("kid", kid.clone()).header("alg", signer.alg()).sign(&signer);
        Call::get(PATH).dpop(&token, &s.good_proof(&token).sign(&s.key))
    }
}

fn accepted(id: &str, signer: &ProofKey, kid: impl Into<Value>) -> Case {
    granted(id, |_| true, by(signer, kid))
}

async fn with_jwks(settings: &str) -> Stage {
    Stage::with(|config| config.replace("ca: ca.crt", &format!("ca: ca.crt, jwks: {{ {settings} }}"))).await
}

/// A sidecar whose issuer first behaves as it is told.
async fn before_keys(settings: &str, behave: impl Fn(&Parts)) -> Stage {
    let stage = Stage::unready(
        |config| config.replace("ca: ca.crt", &format!("ca: ca.crt, jwks: {{ {settings} }}")),
        behave,
    )
    .await;
    assert_ne!(stage.clinch.ready().await.expect("the admin port").status, 200);
    stage
}

/// Asks for keys that nobody has until the issuer was asked once more.
async fn fetched(stage: &Stage) {
    let before = stage.issuer.fetches();
    eventually("another fetch", async || {
        stage.send(&by(&ProofKey::new(), unique())(stage), false).await;
        (stage.issuer.fetches() > before).then_some(())
    })
    .await;
}

async fn refuses_without_keys(stage: &Stage, id: &str) {
    let case = refused(id, A9, "keys_unavailable", |s| s.good(PATH));
    stage.attempt(&case).await.unwrap_or_else(|fault| panic!("{id}: {fault}"));
}

/// JWKS-05
#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_and_unknown_ones_cost_one_fetch() {
    let stage = with_jwks("cooldown: 1h").await;
    stage.clinch.becomes_ready().await;
    let (fetches, new) = (stage.issuer.fetches(), ProofKey::new());
    stage.issuer.publish(&[("k1", &stage.issuer.key), ("k2", &new)]);
    stage.run(vec![accepted("JW-001", &new, "k2"), accepted("JW-001", &stage.issuer.key, "k1")]).await;
    assert_eq!(stage.issuer.fetches(), fetches + 1, "JW-001");
    // Whatever is asked for within the cooldown, and however often.
    let before = stage.counts().await;
    let calls: Vec<Call> = (0..200).map(|_| by(&ProofKey::new(), unique())(&stage)).collect();
    let began = Instant::now();
    let answers = futures_util::future::join_all(calls.iter().map(|call| stage.send(call, false))).await;
    assert!(answers.iter().all(|(answer, _)| answer.as_ref().is_some_and(|a| a.status == 401)), "JW-003");
    assert!(began.elapsed() < PATIENCE, "JW-003: {:?}", began.elapsed());
    assert_eq!(difference(&before, &stage.counts().await)["token_key_unknown"], 200, "JW-003");
    assert_eq!(stage.issuer.fetches(), fetches + 1, "JW-003");
    stage.finish().await;
}

/// JWKS-07
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_leaves_the_known_keys() {
    let stage = with_jwks("cooldown: 1s, refresh: 1h").await;
    stage.clinch.becomes_ready().await;
    let known = || accepted("JW-004", &stage.issuer.key, "k1");
    let unknown = || refused("JW-004", A9, "keys_unavailable", by(&ProofKey::new(), unique()));
    for reply in [
        Reply::text(500, "down"),
        Reply::text(200, "<html>"),
        Reply::text(200, "{\"keys\":[]}"),
        Reply::redirect("https://evil.example/"),
    ] {
        stage.issuer.answer(JWKS, reply);
        fetched(&stage).await;
        stage.run(vec![unknown(), known(), unknown(), known()]).await;
    }
    stage.issuer.go_dark(true);
    stage.run(vec![unknown(), known()]).await;
    stage.issuer.go_dark(false);
    stage.issuer.publish(&[("k1", &stage.issuer.key)]);
    eventually("keys to be fetched again", async || {
        let (answer, _) = stage.send(&by(&ProofKey::new(), unique())(&stage), false).await;
        answer.filter(|answer| answer.status == 401)
    })
    .await;
    stage.run(vec![known()]).await;
    stage.finish().await;
}

/// JWKS-10
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nothing_passes() {
    let stage = before_keys("refresh: 10s", |stage| stage.issuer.go_dark(true)).await;
    refuses_without_keys(&stage, "JW-005").await;
    // The other issuer's keys are there, and open nothing for this one.
    other_issuer_serves(&stage, "JW-005").await;
    stage.issuer.go_dark(false);
    stage.run(vec![accepted("JW-005", &stage.issuer.key, "k1")]).await;
    stage.finish().await;
}

/// JWKS-07
#[tokio::test(flavor = "multi_thread")]
async fn keys_grow_too_old() {
    let stage = with_jwks("refresh: 10s, cooldown: 1s, max_stale: 10s").await;
    stage.run(vec![accepted("JW-006", &stage.issuer.key, "k1")]).await;
    stage.issuer.answer(JWKS, Reply::text(500, ""));
    stage.clinch.becomes_unready().await;
    refuses_without_keys(&stage, "JW-006").await;
    stage.finish().await;
}

/// JWKS-01, JWKS-03, JWKS-04, AT-10
#[tokio::test(flavor = "multi_thread")]
async fn a_published_key_serves_what_it_says() {
    let stage = with_jwks("cooldown: 1s").await;
    stage.clinch.becomes_ready().await;
    let (first, second, rsa) = (ProofKey::new(), ProofKey::new(), ProofKey::of("RS256"));
    let jwk = |key: &ProofKey, more: Value| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    };
    stage.issuer.publish(&[("k", &first), ("k", &rsa), ("k", &second)]);
    stage.run([&second, &rsa, &first].map(|key| accepted("JW-008", key, "k")).into()).await;
    let useless = [
        json!({ "use": "enc" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "HS256" }),
        json!({ "d": "AA" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "use": null }),
        json!({ "kid": 7 }),
    ];
    let mut jwks: Vec<Value> = useless.map(|more| jwk(&first, more)).into();
    let secret = jwk(&first, json!({ "kid": "hs" })).to_string();
    jwks.push(json!({ "kty": "oct", "kid": "hs", "k": super::forge::b64(&secret) }));
    jwks.push(jwk(&second, json!({ "kid": "good" })));
    stage.issuer.publish_jwks(jwks);
    fetched(&stage).await;
    stage
        .run(vec![
            accepted("JW-010", &second, "good"),
            token("JW-010", "token_key_unknown", move |_, t| t.header("kid", "k1").sign(&first)),
            token("JW-010", "token_algorithm", move |_, t| {
                let t = t.header("kid", "hs").header("alg", "HS256");
                t.with_signature(super::forge::hmac(secret.as_bytes(), &t.signing_input()))
            }),
        ])
        .await;
    // Last: where a key has no name, no name is unknown, and nothing makes clinch ask again before its time.
    stage.issuer.publish_jwks(vec![second.jwk()]);
    fetched(&stage).await;
    let unnamed = [json!("any"), json!("k1"), Value::Null];
    stage.run(unnamed.map(|kid| accepted("JW-009", &second, kid)).into()).await;
    stage.finish().await;
}

/// BCP-10, DISC-02, JWKS-09
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_followed_and_nobody_else_believed() {
    for path in [JWKS, METADATA] {
        let stage = before_keys("refresh: 10s", |stage| {
            stage.issuer.answer(path, Reply::redirect(&stage.other.at("/elsewhere")));
            stage.issuer.answer(OPENID, Reply::redirect(&stage.issuer.at(OPENID)));
        })
        .await;
        eventually("the redirect to be seen", async || {
            (!stage.issuer.received(path).is_empty()).then_some(())
        })
        .await;
        refuses_without_keys(&stage, "JW-011").await;
        assert!(stage.other.received("/elsewhere").is_empty(), "JW-011: {path} was followed");
    }
    for wrong in ["/", "/tenant", "?x"] {
        let stage = before_keys("refresh: 10s", |stage| {
            let metadata = json!({ "issuer": stage.issuer.at(wrong), "jwks_uri": stage.issuer.at(JWKS) });
            stage.issuer.answer(METADATA, Reply::json(&metadata));
            stage.issuer.answer(OPENID, Reply::json(&metadata));
        })
        .await;
        eventually("the metadata to be read", async || {
            (!stage.issuer.received(METADATA).is_empty()).then_some(())
        })
        .await;
        refuses_without_keys(&stage, "JW-014").await;
        assert_eq!(stage.issuer.fetches(), 0, "JW-014: {wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_issuer_delays_nobody() {
    let drip = |stage: &Parts| {
        let keys = json!({ "keys": [stage.issuer.key.jwk()] }).to_string();
        stage.issuer.answer(JWKS, Reply::text(200, &keys).dripping(Duration::from_secs(1)));
    };
    let stage = before_keys("refresh: 1h", drip).await;
    let began = Instant::now();
    other_issuer_serves(&stage, "JW-012").await;
    let slow = "result=\"slow\"} 1";
    eventually("the fetch to be given up", async || stage.metrics().await.contains(slow).then_some(())).await;
    assert!(began.elapsed() < PATIENCE, "JW-012: {:?}", began.elapsed());
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_causes_one_fetch() {
    let slow = |parts: &Parts| {
        let mut jwk = parts.issuer.key.jwk();
        jwk["kid"] = json!("k1");
        parts.issuer.answer(JWKS, Reply::json(&json!({ "keys": [jwk] })).after(Duration::from_secs(3)));
    };
    let stage = before_keys("refresh: 1h", slow).await;
    eventually("the fetch to begin", async || (stage.issuer.fetches() > 0).then_some(())).await;
    let calls: Vec<Call> = (0..200).map(|_| stage.good(PATH)).collect();
    let answers = futures_util::future::join_all(calls.iter().map(|call| stage.send(call, false))).await;
    assert!(answers.iter().flat_map(|(answer, _)| answer).all(|a| [200, 503].contains(&a.status)), "JW-018");
    assert_eq!(answers.iter().filter(|(answer, _)| answer.is_some()).count(), 200, "JW-018");
    stage.run(vec![accepted("JW-018", &stage.issuer.key, "k1")]).await;
    assert_eq!(stage.issuer.fetches(), 1, "JW-018");
    stage.finish().await;
}

/// Whoever guesses must not be spared the trace of it by hanging up in time.
#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_keys_are_fetched_is_recorded_all_the_same() {
    let stage = with_jwks("cooldown: 1s, refresh: 1h").await;
    let mut jwk = stage.issuer.key.jwk();
    jwk["kid"] = json!("k1");
    stage.issuer.answer(JWKS, Reply::json(&json!({ "keys": [jwk] })).after(Duration::from_secs(4)));
    // As soon as the issuer may be asked again, a request waits for it. One that is late for other reasons is none of these.
    eventually("a request that waits to be counted", async || {
        let call = by(&ProofKey::new(), unique())(&stage);
        let _ = tokio::time::timeout(Duration::from_millis(700), stage.send(&call, false)).await;
        let metrics = stage.metrics().await;
        let mut counts = metrics.lines().filter_map(|line| line.split_once("reason=\"cancelled\"} "));
        counts.any(|(_, count)| count != "0").then_some(())
    })
    .await;
    eventually("a line", async || stage.clinch.program.output().contains("\"cancelled\"").then_some(()))
        .await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_says_how_often() {
    let cached = |age: &'static str| {
        move |parts: &Parts| {
            let mut jwk = parts.issuer.key.jwk();
            jwk["kid"] = json!("k1");
            let keys = Reply::json(&json!({ "keys": [jwk] }));
            parts.issuer.answer(JWKS, keys.with("cache-control", age).with("expires", "0"));
        }
    };
    let refresh = |config: String| config.replace("ca: ca.crt", "ca: ca.crt, jwks: { refresh: 10s }");
    let stage = Stage::unready(refresh, cached("max-age=0, no-store")).await;
    let began = Instant::now();
    stage.run((0..20).map(|_| accepted("JW-019", &stage.issuer.key, "k1")).collect()).await;
    assert!(stage.issuer.fetches() == 1 || began.elapsed() > Duration::from_secs(8), "JW-019: fetched again");
    let stage = Stage::unready(refresh, cached("max-age=315360000, immutable")).await;
    eventually("a refresh all the same", async || (stage.issuer.fetches() >= 2).then_some(())).await;
}

/// JW-020, JWKS-06: the same name with another key: the old key is gone with the next fetch.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_replaces() {
    let stage = with_jwks("cooldown: 1s").await;
    let (old, new) = (stage.issuer.key.clone(), ProofKey::new());
    stage.run(vec![accepted("JW-020", &old, "k1")]).await;
    let cached = by(&old, "k1")(&stage);
    stage.issuer.publish(&[("k1", &new)]);
    fetched(&stage).await;
    eventually("the new key", async || {
        let (answer, _) = stage.send(&by(&new, "k1")(&stage), false).await;
        answer.filter(|answer| answer.status == 200)
    })
    .await;
    let again = cached.fields[0].1.clone();
    let case =
        |id: &str, make: Box<dyn Fn(&Stage) -> Call + Send + Sync>| refused(id, A2, "token_signature", make);
    stage
        .run(vec![
            case("JW-020", Box::new(by(&old, "k1"))),
            case(
                "JW-020",
                Box::new(move |s| s.good(PATH).without("Authorization").field("Authorization", &again)),
            ),
            accepted("JW-020", &new, "k1"),
        ])
        .await;
    stage.finish().await;
}

/// What one issuer does is nothing to another one's tokens.
async fn other_issuer_serves(stage: &Stage, id: &str) {
    let call = |s: &Stage| {
        let token = s.other.sign(&s.issuer.token_for(&s.key).claim("iss", s.other.name.as_str()));
        Call::get(PATH).dpop(&token, &s.good_proof(&token).sign(&s.key))
    };
    let served = async || stage.send(&call(stage), false).await.0.filter(|answer| answer.status == 200);
    eventually("the other issuer's keys", served).await;
    stage.attempt(&granted(id, |_| true, call)).await.unwrap_or_else(|fault| panic!("{id}: {fault}"));
}
