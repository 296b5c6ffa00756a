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
use tokio::io::AsyncWriteExt;

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
    let store = format!("replay: {{ store: redis, url: '{}', timeout: 5s }}", redis.url());
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

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_fails_the_call_and_the_request() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = Traced::with("sample: 1.0", |text| {
        let upstream = text.lines().find(|line| line.starts_with("upstream:")).unwrap().to_owned();
        text.replace(&upstream, &format!("upstream: {{ url: 'http://{nobody}' }}"))
    })
    .await;
    assert_eq!(world.get(&world.token(), Some(TRACE), &[]).await.status, 502);
    let server = world.collector.named(SERVER, TRACE).await;
    let client = world.collector.named("GET", TRACE).await;
    assert_eq!((client.parent(), client.says("http.response.status_code")), (server.id(), None));
    for span in [&server, &client] {
        assert_eq!(span.says("error.type").as_deref(), Some("upstream_unreachable"), "{span:?}");
        assert!(span.0.status.is_some());
    }
    assert_eq!(server.says("http.response.status_code").as_deref(), Some("502"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_it_has_a_target_has_path_and_scheme_all_the_same() {
    let world = Traced::start("sample: 1.0").await;
    let ask = |trace: &str, method: &str, path: &str, host: &str| {
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\ntraceparent: {parent}\r\nConnection: close\r\n\r\n"
        )
    };
    for (number, (method, path, host, reason)) in [
        ("GET", PATH, "evil.example", "host_unknown"),
        ("GET", "/accounts/%2e%2e/1", "api.example.com", "path_ambiguous"),
        ("TRACE", PATH, "api.example.com", "method_refused"),
        ("OPTIONS", "*", "api.example.com", "request_malformed"),
    ]
    .into_iter()
    .enumerate()
    {
        let trace = TRACE.replace("4bf9", &format!("{number}bf9"));
        world.caller().send(&ask(&trace, method, path, host)).await;
        let server = world.collector.named(method, &trace).await;
        assert_eq!(server.says("clinch.reason").as_deref(), Some(reason));
        assert_eq!(server.says("url.path").as_deref(), Some(path), "{reason}");
        assert_eq!(server.says("url.scheme").as_deref(), Some("https"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_fails_is_a_trace_of_its_own() {
    let world = Traced::start("sample: 1.0").await;
    let mut stream = tokio::net::TcpStream::connect(world.clinch.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let failed = world.collector.span("the handshake", |span| span.0.name == "TLS handshake").await;
    assert_eq!(failed.says("tls.established").as_deref(), Some("false"));
    assert_eq!(failed.says("network.peer.port"), Some(stream.local_addr().unwrap().port().to_string()));
    assert!(failed.says("error.type").is_some() && failed.parent().is_empty());
}
