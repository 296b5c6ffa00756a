//! Security events pushed to the shipped binary (RFC 8935), signed by npm jose: taken when they are on the feed, so that
//! every replica acts on them, and refused in the words of the RFC when they are not in order.

use crate::support::clinch::Clinch;
use crate::support::eventually;
use crate::support::nats::Nats;
use crate::support::pki::Pki;
use crate::support::proof::{Proof, now};
use crate::support::signals::{PATH, Scene, metric};
use crate::support::wire::{Answer, Caller, converse, get};
use crate::support::world;
use serde_json::{Value, json};

const AUTHORIZATION: (&str, &str) = ("Authorization", "Bearer of-the-transmitter");
const SET: (&str, &str) = ("Content-Type", "application/secevent+jwt");

/// A scene with an agreed header, on this feed.
async fn agreed(nats: Option<Nats>) -> Scene {
    with(nats, "authorization_file: push.secret").await
}

/// The same with these keys of the push port.
async fn with(nats: Option<Nats>, keys: &str) -> Scene {
    let scene = Scene::set(nats, &format!(", push: {{ address: '127.0.0.1:0', {keys} }}"), "", "10s").await;
    scene.folder.write("push.secret", &format!("Bearer of-yesterday\n{}\n", AUTHORIZATION.1));
    scene
}

/// Sends a request to the push port.
async fn send(scene: &Scene, clinch: &Clinch, request: &str) -> Answer {
    Caller::new(clinch.push.expect("a push port"), &scene.pki, None).send(request).await
}

/// Pushes a token as a transmitter does.
async fn push(scene: &Scene, clinch: &Clinch, set: &str) -> Answer {
    send(scene, clinch, &post("/events", &[AUTHORIZATION, SET], set)).await
}

fn post(path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
}

/// The error code of an answer that is worded as RFC 8935 section 2.3 has it.
fn code(answer: &Answer) -> String {
    assert_eq!(answer.one("content-type"), "application/json", "{answer:?}");
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(document["description"].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    document["err"].as_str().expect("err").to_owned()
}

fn received(result: &str) -> String {
    format!("clinch_revocation_received_total{{how=\"push\",result=\"{result}\"}}")
}

/// RV-013, PUSH-01, PUSH-02, PUSH-04, SET-06: what one replica takes, all of them act on.
async fn pushed_to_one_it_counts_at_both(nats: Option<Nats>) {
    let mut scene = agreed(nats).await;
    let (one, other) = (scene.clinch().await, scene.clinch().await);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    assert_eq!((scene.status(&one, &alice).await, scene.status(&other, &alice).await), (200, 200));
    let set = scene.set_about("alice").await;
    let answer = push(&scene, &one, &set).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{answer:?}");
    scene.refused(&one, &alice).await;
    scene.refused(&other, &alice).await;
    // The transmitter did not hear the answer, and tries elsewhere.
    assert_eq!(push(&scene, &other, &set).await.status, 202);
    assert_eq!(push(&scene, &one, &set).await.status, 202);
    assert_eq!((scene.status(&one, &bob).await, scene.status(&other, &bob).await), (200, 200));
    assert_eq!(metric(&one, &received("taken")).await, 2);
    assert_eq!(metric(&other, &received("taken")).await, 1);
    // Who starts later knows it from the feed.
    let later = scene.clinch().await;
    assert_eq!(scene.status(&later, &alice).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_to_one_it_counts_at_both_by_a_journal() {
    pushed_to_one_it_counts_at_both(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_to_one_it_counts_at_both_by_nats() {
    pushed_to_one_it_counts_at_both(Some(Nats::start().await)).await;
}

/// RV-036, PUSH-01, PUSH-03, PUSH-05
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_or_sends_something_else_is_told_so() {
    let mut scene = agreed(None).await;
    let mut clinch = scene.clinch().await;
    let set = scene.set_about("alice").await;
    let wrong = ("Authorization", "Bearer of-somebody");
    for headers in
        [&[SET][..], &[wrong, SET], &[AUTHORIZATION, AUTHORIZATION, SET], &[wrong, AUTHORIZATION, SET]]
    {
        let answer = send(&scene, &clinch, &post("/events", headers, &set)).await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "authentication_failed"), "{headers:?}");
        answer.one("www-authenticate");
    }
    let json = ("Content-Type", "application/json");
    for headers in [&[AUTHORIZATION][..], &[AUTHORIZATION, json], &[AUTHORIZATION, SET, SET]] {
        let answer = send(&scene, &clinch, &post("/events", headers, &set)).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "invalid_request"), "{headers:?}");
    }
    for method in ["GET", "PUT", "HEAD", "OPTIONS"] {
        let request = post("/events", &[AUTHORIZATION, SET], "").replacen("POST", method, 1);
        let answer = send(&scene, &clinch, &request).await;
        assert_eq!((answer.status, answer.one("allow")), (405, "POST"), "{method}");
    }
    for path in ["/", "/events/", "/Events", "/metrics", PATH] {
        assert_eq!(
            send(&scene, &clinch, &post(path, &[AUTHORIZATION, SET], &set)).await.status,
            404,
            "{path}"
        );
    }
    let huge = post("/events", &[AUTHORIZATION, SET], &set)
        .replace(&format!("Content-Length: {}", set.len()), "Content-Length: 1000000000");
    assert_eq!(send(&scene, &clinch, &huge).await.status, 413);
    let chunked = format!(
        "POST /events HTTP/1.1\r\nHost: localhost\r\n{}: {}\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n40001\r\n{}",
        AUTHORIZATION.0,
        AUTHORIZATION.1,
        SET.0,
        SET.1,
        "a".repeat(0x40001)
    );
    let mut stream = Caller::new(clinch.push.unwrap(), &scene.pki, None).connect().await;
    assert_eq!(converse(&mut stream, chunked.as_bytes(), false).await.map(|answer| answer.status), Some(413));
    assert_eq!(scene.journal(), "");
    assert_eq!(metric(&clinch, &received("authentication_failed")).await, 4);
    assert_eq!(metric(&clinch, &received("content_type")).await, 3);
    // Yesterday's secret is still good.
    let old = ("Authorization", "Bearer of-yesterday");
    let typed = ("content-type", "Application/SecEvent+JWT; charset=utf-8");
    assert_eq!(send(&scene, &clinch, &post("/events", &[old, typed], &set)).await.status, 202);
    let told = |line: &str| line.contains("authentication_failed").then_some(());
    clinch.program.hear("what was refused", told).await;
    let log = clinch.program.output();
    assert!(!log.contains("of-somebody") && !log.contains(&set), "{log}");
}

/// PUSH-03, SET-01, SET-02, SET-03, SET-06; RV-009, RV-010, RV-011
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_in_order_is_refused_with_its_code_and_kept_off_the_feed() {
    let mut scene = agreed(None).await;
    let clinch = scene.clinch().await;
    let elsewhere = json!("https://elsewhere.example");
    let cases: [(&str, &str, &str, &str, Value); 7] = [
        ("invalid_request", "t1", "header", "typ", json!("JWT")),
        ("invalid_request", "t1", "claims", "exp", json!(now() + 60)),
        ("invalid_request", "t1", "claims", "jti", json!(7)),
        ("invalid_key", "t2", "header", "kid", json!("t1")),
        ("invalid_key", "e1", "header", "alg", json!("ES256")),
        ("invalid_issuer", "t1", "claims", "iss", elsewhere.clone()),
        ("invalid_audience", "t1", "claims", "aud", elsewhere),
    ];
    for (expected, key, part, name, value) in cases {
        let (header, claims) = scene.event("alice");
        let mut both = json!({ "header": header, "claims": claims });
        both[part][name] = value;
        let set = scene.transmitter.sign(key, (both["header"].clone(), both["claims"].clone())).await;
        let answer = push(&scene, &clinch, &set).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, expected), "{part} {name}");
    }
    let token = scene.token("alice");
    for rubbish in ["", "{}", "a.b.c", &token] {
        let answer = push(&scene, &clinch, rubbish).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "invalid_request"), "{rubbish}");
    }
    assert_eq!(scene.journal(), "");
    assert_eq!(scene.status(&clinch, &token).await, 200);
    // A verification that nobody asked for does no harm, and is acknowledged.
    let (header, mut claims) = scene.event("alice");
    let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification";
    claims["events"] = json!({ verification: { "state": "of-somebody" } });
    claims["sub_id"] = json!({ "format": "opaque", "id": "stream" });
    let set = scene.transmitter.sign("t1", (header, claims)).await;
    assert_eq!(push(&scene, &clinch, &set).await.status, 202);
    assert_eq!(scene.journal().lines().count(), 1);
    assert_eq!(scene.status(&clinch, &token).await, 200);
}

/// RV-037: each port has its own paths and its own credentials.
#[tokio::test(flavor = "multi_thread")]
async fn the_public_port_takes_no_events_and_the_push_port_no_requests() {
    let mut scene = agreed(None).await;
    let clinch = scene.clinch().await;
    let set = scene.set_about("alice").await;
    let request = post("/events", &[AUTHORIZATION, SET], &set).replace("localhost", "api.example.com");
    let public = Caller::new(clinch.address, &scene.pki, None).send(&request).await;
    assert!(public.status == 404 || public.status == 403 || public.status == 401, "{public:?}");
    let token = scene.token("alice");
    let proof = Proof::new(&scene.key, "GET", &world::url(PATH), &token).sign(&scene.key);
    let authorization = format!("DPoP {token}");
    let request = get(PATH, &[("Authorization", &authorization), ("DPoP", &proof)]);
    assert_eq!(send(&scene, &clinch, &request).await.status, 404);
    assert_eq!(send(&scene, &clinch, &get("/healthz", &[])).await.status, 404);
    assert_eq!(scene.journal(), "");
    assert_eq!(scene.status(&clinch, &token).await, 200);
}

/// PUSH-02: what can't be kept is not acknowledged, and comes again.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_feed_is_out_of_reach_the_transmitter_is_asked_to_wait() {
    let mut scene = agreed(Some(Nats::start().await)).await;
    let clinch = scene.clinch().await;
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (first, second) = (scene.set_about("alice").await, scene.set_about("bob").await);
    assert_eq!(push(&scene, &clinch, &first).await.status, 202);
    scene.refused(&clinch, &alice).await;
    scene.nats.as_mut().unwrap().kill();
    let answer = push(&scene, &clinch, &second).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.one("retry-after");
    scene.nats.as_mut().unwrap().restart().await;
    let taken = async || (push(&scene, &clinch, &second).await.status == 202).then_some(());
    eventually("the event to be taken", taken).await;
    scene.refused(&clinch, &bob).await;
    assert!(metric(&clinch, &received("feed_unavailable")).await >= 1);
}

/// PUSH-02: neither is what can't be verified yet.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_keys_are_out_of_reach_the_transmitter_is_asked_to_wait() {
    let mut scene = agreed(None).await;
    scene.transmitter.keys.go_dark(true);
    let clinch = scene.clinch().await;
    let (alice, set) = (scene.token("alice"), scene.set_about("alice").await);
    let answer = push(&scene, &clinch, &set).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.one("retry-after");
    assert_eq!(scene.journal(), "");
    scene.transmitter.keys.go_dark(false);
    let taken = async || (push(&scene, &clinch, &set).await.status == 202).then_some(());
    eventually("the event to be taken", taken).await;
    scene.refused(&clinch, &alice).await;
}

/// PUSH-05
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_can_be_asked_for_instead() {
    let mut scene = with(None, "client_ca: [ca.crt], path: /ssf").await;
    let clinch = scene.clinch().await;
    let set = scene.set_about("alice").await;
    let request = post("/ssf", &[SET], &set);
    let address = clinch.push.unwrap();
    let mut stranger = Caller::new(address, &scene.pki, None).connect().await;
    assert!(converse(&mut stranger, request.as_bytes(), false).await.is_none());
    let foreign = Caller::new(address, &scene.pki, Some(&Pki::new().client));
    assert!(converse(&mut foreign.connect().await, request.as_bytes(), false).await.is_none());
    let known = Caller::new(address, &scene.pki, Some(&scene.pki.client));
    assert_eq!(known.send(&request).await.status, 202);
    assert_eq!(scene.journal().lines().count(), 1);
}
