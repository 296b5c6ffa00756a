//! Requests that cost: signatures to be bought, places to be held, memories to be filled.

use super::bystander::{ATTACKER, Bystander, limited};
use crate::support::proof::{ProofKey, now, unique};
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::wire::{converse, get};
use crate::support::{PATIENCE, eventually};
use clinch::pop::policy::{Access, Route, Routes};
use futures_util::future::join_all;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn reason(answer: &str) -> &str {
    let named = answer.split_once("\"reason\":\"").unwrap_or_else(|| panic!("no reason: {answer}")).1;
    named.split('"').next().unwrap()
}

fn retry_after(answer: &str) -> u64 {
    let line =
        answer.to_lowercase().lines().find_map(|line| line.strip_prefix("retry-after: ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("no Retry-After: {answer}")).parse().unwrap()
}

/// DS-011: whoever fails too often gets no signature checked any more, unless for a token that is known; the neighbours
/// behind the same address go on, and so does everybody elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_can_not_be_bought_for_free() {
    let stage = limited("failures_per_peer: { per_second: 1, burst: 20 }").await;
    let (mut neighbour, mut elsewhere) = (Bystander::at(&stage, HERE), Bystander::of(&stage));
    neighbour.is_served(&stage).await;
    elsewhere.is_served(&stage).await;
    let mut attacker = Bystander::at(&stage, HERE);
    let misses = "clinch_token_cache_misses_total";
    let (mut reasons, began) = (Vec::new(), Instant::now());
    for _ in 0..40 {
        attacker.renews(&stage);
        let good = attacker.request();
        // The last character of the token's signature is another one.
        let (head, tail) = good.split_once("\r\nDPoP:").unwrap();
        let forged = format!("{}AAAA\r\nDPoP:{tail}", &head[..head.len() - 4]);
        let answer = attacker.asks(&stage, &forged).await;
        if status(Some(&answer)) == Some(429) {
            assert!((1..=3).contains(&retry_after(&answer)), "{answer}");
        }
        reasons.push(reason(&answer).to_owned());
    }
    let (failed, over) = reasons.split_at(20);
    assert!(failed.iter().all(|reason| reason == "token_signature"), "{failed:?}");
    let refused = over.iter().filter(|reason| *reason == "too_many_failures").count();
    let passed = (over.len() - refused) as u64;
    assert!(passed <= began.elapsed().as_secs() + 1, "one a second at most: {over:?}");
    let looked_at = stage.metric(misses).await;
    // A signature that is good, but not known.
    attacker.renews(&stage);
    let answer = attacker.asks(&stage, &attacker.request()).await;
    if reason_or_none(&answer) == Some("too_many_failures") {
        assert_eq!(stage.metric(misses).await, looked_at, "nobody looked at it");
    }
    neighbour.is_served(&stage).await;
    elsewhere.renews(&stage);
    elsewhere.is_served(&stage).await;
    neighbour.renews(&stage);
    let served = async {
        while status(Some(&neighbour.asks(&stage, &neighbour.request()).await)) != Some(200) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, served).await.expect("it passes by");
}

fn reason_or_none(answer: &str) -> Option<&str> {
    answer.contains("\"reason\":").then(|| reason(answer))
}

/// DS-011: what is cheap to see is seen before the proof's signature is checked, which is wrong in all of these.
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_the_last_thing_that_is_checked() {
    let stage = limited("failures_per_peer: null").await;
    let client = Bystander::at(&stage, HERE);
    client.is_served(&stage).await;
    let other = ProofKey::new();
    let good = || client.proof();
    for (proof, expected) in [
        (good(), "proof_signature"),
        (good().header("typ", "JWT"), "proof_type"),
        (good().header("alg", "none"), "proof_algorithm"),
        (good().header("alg", "HS256"), "proof_algorithm"),
        (good().claim("iat", now() - 3600), "proof_expired"),
        (good().claim("htm", "POST"), "proof_method"),
        (good().claim("htu", "https://api.example.com/other"), "proof_target"),
        (good().claim("ath", "x"), "proof_token_hash"),
        (good().claim("jti", "x".repeat(300)), "proof_claims"),
        (good().header("jwk", other.jwk()), "key_mismatch"),
    ] {
        let answer = client.asks(&stage, &client.request_with(&proof.with_signature([7; 64]))).await;
        assert_eq!(reason(&answer), expected);
    }
}

/// DS-012, HTTP-39: good requests without end from one client: 429, and when to come back. What was refused has not
/// used up its proof, nor a place in the replay memory; other clients have rates of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_key_has_its_rate() {
    let stage = limited("requests_per_key: { per_second: 1, burst: 5 }").await;
    let (client, other) = (Bystander::at(&stage, HERE), Bystander::at(&stage, HERE));
    let (mut answers, mut over) = (Vec::new(), 0);
    while over < 3 && answers.len() < 100 {
        let request = client.request();
        let answer = client.asks(&stage, &request).await;
        over += usize::from(status(Some(&answer)) == Some(429));
        answers.push((answer, request));
    }
    let limited: Vec<_> = answers.iter().filter(|(answer, _)| status(Some(answer)) == Some(429)).collect();
    assert!(answers[..5].iter().all(|(answer, _)| status(Some(answer)) == Some(200)));
    assert!(limited.len() >= 3, "five at once, and one a second");
    let served = answers.len() - limited.len();
    assert_eq!(stage.metric("clinch_replay_entries").await as usize, served);
    for (answer, _) in &limited {
        assert_eq!(reason(answer), "rate_limited");
        assert!((1..=2).contains(&retry_after(answer)), "{answer}");
        assert!(!answer.to_lowercase().contains("www-authenticate"), "the credentials are good: {answer}");
    }
    other.is_served(&stage).await;
    let (_, request) = limited[0];
    let again = async {
        while status(Some(&client.asks(&stage, request).await)) != Some(200) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("the same request passes later");
    let replayed = async || {
        let answer = client.asks(&stage, request).await;
        (status(Some(&answer)) != Some(429)).then(|| reason(&answer).to_owned())
    };
    assert_eq!(eventually("an answer that is about the proof", replayed).await, "proof_replayed");
}

/// DS-012: a proof that a thief shows again and again is refused as used, and costs its holder nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_proof_uses_up_nobodys_rate() {
    let stage = limited("requests_per_key: { per_second: 1, burst: 5 }").await;
    let client = Bystander::at(&stage, HERE);
    let stolen = client.request();
    assert_eq!(status(Some(&client.asks(&stage, &stolen).await)), Some(200));
    for _ in 0..20 {
        assert_eq!(reason(&client.asks(&stage, &stolen).await), "proof_replayed");
    }
    for _ in 0..4 {
        assert_eq!(status(Some(&client.asks(&stage, &client.request()).await)), Some(200));
    }
}

/// DS-014: a large upload after the refusal: the answer comes at once, little more is read, and the connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_read_to_its_end() {
    let stage = limited("idle_timeout: 5s").await;
    let bystander = Bystander::of(&stage);
    let attack = async {
        let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
        let head = "POST /either/1 HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 1000000000\r\n\r\n";
        let answer = converse(&mut stream, head.as_bytes(), false).await.expect("an answer");
        assert_eq!((answer.status, answer.one("connection")), (401, "close"));
        let (chunk, mut sent, began) = (vec![b'x'; 64 << 10], 0, Instant::now());
        while timeout(PATIENCE, stream.write_all(&chunk)).await.expect("no standstill").is_ok() {
            sent += chunk.len();
            assert!(began.elapsed() < PATIENCE, "{sent} bytes were taken, and still more are");
        }
        // What the buffers of the kernel hold comes on top.
        assert!(sent < 32 << 20, "{sent} bytes were taken");
    };
    bystander.is_served_during(&stage, attack).await;
    assert!(stage.service.received().iter().all(|request| request.method == "GET"));
}

/// DS-017: a service that does not answer: no more than `in_flight` wait for it, each no longer than
/// `response_timeout`, and everybody else is told at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_does_not_take_everybody_along() {
    let stage = limited("in_flight: 8, in_flight_per_key: 8").await;
    let client = stage.anonymous();
    let held = (0..8).map(|_| stage.ask(&client, SLOW));
    let others = async {
        for _ in 0..8 {
            stage.service.held().await;
        }
        let began = Instant::now();
        let answer = stage.ask(&client, &get("/open/1", &[])).await.expect("an answer");
        assert_eq!((status(Some(&answer)), reason(&answer)), (Some(503), "overloaded"));
        assert!((1..=5).contains(&retry_after(&answer)));
        assert!(began.elapsed() < Duration::from_secs(4), "at once");
    };
    let (waited, ()) = tokio::join!(join_all(held), others);
    for answer in waited {
        assert_eq!(status(answer.as_deref()), Some(504), "{answer:?}");
    }
    Bystander::of(&stage).is_served(&stage).await;
}

const SLOW: &str = "GET /open/held HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n";

/// DS-019: a path is matched in time that the policy bounds: here with a thousand ways to be wrong at its last segment.
#[test]
fn a_path_is_no_riddle() {
    let mut routes = Routes::default();
    for number in 0..1024_u32 {
        let segment =
            |bit: u32| if number >> bit & 1 == 0 { "/a".to_owned() } else { format!("/{{p{bit}}}") };
        let path: String = (0..10).map(segment).collect();
        let route = Route {
            path: format!("{path}/end{number}").into(),
            methods: vec![],
            access: Access::Unprotected,
        };
        routes.add(route).unwrap();
    }
    let (get, began) = (http::Method::GET, Instant::now());
    for path in ["/a".repeat(10) + "/nowhere", "/a".repeat(10_000), "/".to_owned() + &"a".repeat(30_000)] {
        for _ in 0..10 {
            assert!(routes.find(&get, &path).is_err());
        }
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?} for thirty paths", began.elapsed());
}

/// DS-020: more tokens, proofs and failing addresses than there is room for: memory stays, and what has no room is
/// refused, not let in.
#[tokio::test(flavor = "multi_thread")]
async fn full_memories_are_full_and_nothing_more() {
    let listen = "limits: { requests_per_key: { per_second: 100000 } }".to_owned();
    let stage = Stage::set(Setting {
        tls: VERIFIED,
        listen,
        // None of them is forgotten, however long they take.
        dpop: "max_age: 5m\n  replay: { max_entries: 1000 }",
        ..Setting::default()
    })
    .await;
    let mut client = Bystander::at(&stage, HERE);
    let before = stage.memory();
    let mut open = client.connects(&stage).await;
    let mut statuses = Vec::new();
    for number in 0..1500 {
        // Each token is another one, and every third is none.
        client.renews(&stage);
        let mut request = client.request().replace("Connection: close\r\n", "");
        if number % 3 == 0 {
            request =
                request.replace("Authorization: DPoP ", &format!("X: {}\r\nAuthorization: DPoP x", unique()));
        }
        statuses.push(converse(&mut open, request.as_bytes(), false).await.expect("an answer").status);
    }
    let full = Bystander::at(&stage, HERE);
    for _ in 0..20 {
        client.renews(&stage);
        full.asks(&stage, &client.request()).await;
    }
    let of = |status: u16| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((of(200), of(401)), (1000, 500), "{} others", statuses.len() - of(200) - of(401));
    let answer = client.asks(&stage, &client.request()).await;
    assert_eq!(reason(&answer), "replay_full");
    let grown = stage.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

/// DS-022: bytes that nobody would send on purpose, some cut in the middle of a character: every one is answered or
/// closed, nothing panics, and the process lives.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_makes_it_panic() {
    let stage = limited("failures_per_peer: null").await;
    let bystander = Bystander::of(&stage);
    let good = bystander.request().into_bytes();
    let odd: [&[u8]; 8] =
        [b"\xff", "é".as_bytes(), b"\0", b"%", b"%ff", b"\xe2\x82", b"999999999999999999999999", b"..\\/.;"];
    let attack = async {
        for at in (0..good.len()).step_by(7) {
            let what = odd[at % odd.len()];
            let request = [&good[..at], what, &good[at..], b"\r\n\r\n"].concat();
            let mut stream = super::bystander::handshake(&stage, ATTACKER).await.unwrap();
            let _ = stream.write_all(&request).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
        }
    };
    bystander.is_served_during(&stage, attack).await;
    let told = stage.clinch.program.output();
    assert!(!told.contains("panicked"), "{told}");
    assert_eq!(stage.metric("clinch_responses_total{code=\"5xx\"}").await, 0);
}
