//! Security events that the shipped binary fetches from a stream (RFC 8936): acknowledged when they are on the feed,
//! reported when they are good for nothing; and a stream that can't be asked shows.

use crate::support::clinch::Clinch;
use crate::support::eventually;
use crate::support::nats::Nats;
use crate::support::proof::{ProofKey, now, unique};
use crate::support::signals::{Scene, metric};
use crate::support::stream::Manner;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const POLL: &str = "poll: { endpoint: 'ENDPOINT', authorization_file: poll.secret }";

async fn polled(nats: Option<Nats>) -> Scene {
    Scene::set(nats, "", POLL, "4s").await
}

/// A long poll ends after half of this.
const LONG: &str = "40s";

/// The `jti` of a signed event.
fn jti(set: &str) -> String {
    crate::support::proof::claims(set)["jti"].as_str().expect("jti").to_owned()
}

fn received(result: &str) -> String {
    format!("clinch_revocation_received_total{{how=\"poll\",result=\"{result}\"}}")
}

/// Puts the end of a subject's sessions on the stream; gives its name.
async fn offer(scene: &mut Scene, subject: &str) -> String {
    let set = scene.set_about(subject).await;
    scene.stream.offer(&jti(&set), &set);
    jti(&set)
}

async fn acknowledged(scene: &Scene, jti: &str) {
    let told = async || scene.stream.acknowledged().iter().any(|one| one == jti).then_some(());
    eventually("the event to be acknowledged", told).await;
}

async fn reported(scene: &Scene, jti: &str) -> String {
    eventually("the event to be reported", async || scene.stream.error(jti)).await
}

/// POLL-01, POLL-03: what comes while a poll waits counts at once, at every replica, and is acknowledged only when it is on
/// the feed.
async fn what_is_fetched_counts(nats: Option<Nats>) {
    let mut scene = Scene::set(nats, "", POLL, LONG).await;
    let (one, other) = (scene.clinch().await, scene.clinch().await);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    assert_eq!((scene.status(&one, &alice).await, scene.status(&other, &alice).await), (200, 200));
    let name = offer(&mut scene, "alice").await;
    let offered = Instant::now();
    scene.refused(&one, &alice).await;
    scene.refused(&other, &alice).await;
    assert!(offered.elapsed() < Duration::from_secs(10), "{:?}", offered.elapsed());
    acknowledged(&scene, &name).await;
    assert_eq!((scene.status(&one, &bob).await, scene.status(&other, &bob).await), (200, 200));
    assert!(metric(&one, &received("taken")).await + metric(&other, &received("taken")).await >= 1);
    // What the stream no longer has, the feed has.
    let later = scene.clinch().await;
    assert_eq!(scene.status(&later, &alice).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_counts_by_a_journal() {
    what_is_fetched_counts(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_counts_by_nats() {
    what_is_fetched_counts(Some(Nats::start().await)).await;
}

/// POLL-02, POLL-03; RV-038: poison between good ones, and under a wrong name, is reported and blocks nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_one_between_good_ones_is_reported_and_the_good_ones_count() {
    let mut scene = polled(None).await;
    let journal = scene.folder.at("journal");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    scene.stream.watch(move |name| {
        let text = std::fs::read_to_string(&journal).unwrap();
        noted.lock().unwrap().push(text.lines().any(|line| jti(line) == name));
    });
    let (ended, spared) = (["alice", "bob"].map(|name| scene.token(name)), scene.token("carol"));
    let first = offer(&mut scene, "alice").await;
    let bad: Vec<(&str, String, String)> = {
        let mut bad = Vec::new();
        for (expected, key, part, name, value) in [
            ("invalid_key", "t2", "header", "kid", json!("t1")),
            ("invalid_request", "t1", "claims", "exp", json!(now() + 60)),
            ("invalid_audience", "t1", "claims", "aud", json!("https://elsewhere.example")),
            ("invalid_issuer", "t1", "claims", "iss", json!("https://elsewhere.example")),
        ] {
            let (header, claims) = scene.event("carol");
            let mut both = json!({ "header": header, "claims": claims });
            both[part][name] = value;
            let set = scene.transmitter.sign(key, (both["header"].clone(), both["claims"].clone())).await;
            bad.push((expected, jti(&set), set));
        }
        bad.push(("invalid_request", unique(), "rubbish".to_owned()));
        bad.push(("invalid_request", unique(), scene.set_about("carol").await));
        bad
    };
    for (_, name, set) in &bad {
        scene.stream.offer(name, set);
    }
    let last = offer(&mut scene, "bob").await;
    let clinch = scene.clinch().await;
    for token in &ended {
        scene.refused(&clinch, token).await;
    }
    acknowledged(&scene, &first).await;
    acknowledged(&scene, &last).await;
    for (expected, name, _) in &bad {
        assert_eq!(reported(&scene, name).await, *expected);
    }
    assert_eq!(scene.status(&clinch, &spared).await, 200);
    assert_eq!(*seen.lock().unwrap(), [true, true], "on the feed before it is acknowledged");
    assert_eq!(scene.journal().lines().count(), 2);
    assert_eq!(metric(&clinch, &received("taken")).await, 2);
    assert_eq!(metric(&clinch, &received("invalid_request")).await, 3);
}

/// POLL-03: a backlog of several answers is fetched before the replica is ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_is_fetched_before_the_replica_is_ready() {
    let mut scene = polled(None).await;
    let token = |number| scene.token(&format!("user-{number}"));
    let (ended, spared) = ([0, 99, 100, 249].map(token), scene.token("somebody"));
    for number in 0..250 {
        offer(&mut scene, &format!("user-{number}")).await;
    }
    let clinch = scene.clinch().await;
    assert_eq!(scene.journal().lines().count(), 250);
    let asked: Vec<Value> = scene.stream.polls();
    assert!(asked.iter().all(|poll| poll["maxEvents"] == 100), "{asked:?}");
    for token in &ended {
        scene.refused(&clinch, token).await;
    }
    eventually("all to be acknowledged", async || (scene.stream.acknowledged().len() == 250).then_some(()))
        .await;
    assert_eq!(scene.status(&clinch, &spared).await, 200);
}

/// RV-038: whoever says that there is always more, ignores what is acknowledged or answers everything at once does not keep
/// us busy; and one that never tells all makes the feed stale.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_bad_manners_is_asked_once_a_second() {
    let mut scene = polled(None).await;
    let clinch = scene.clinch().await;
    let once_a_second = async |scene: &Scene| {
        let (before, began) = (scene.stream.polls().len(), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let another = async || (scene.stream.polls().len() > before).then_some(());
        eventually("another poll", another).await;
        let polls = scene.stream.polls().len() - before;
        let took = began.elapsed();
        assert!(polls as u64 <= took.as_secs() + 2, "{polls} polls in {took:?}");
    };
    scene.stream.behave(Manner::Impatient);
    once_a_second(&scene).await;
    scene.stream.behave(Manner::Deaf);
    let token = scene.token("alice");
    offer(&mut scene, "alice").await;
    scene.refused(&clinch, &token).await;
    once_a_second(&scene).await;
    assert_eq!(clinch.ready().await.unwrap().status, 200);
    scene.stream.behave(Manner::AlwaysMore);
    once_a_second(&scene).await;
    let unready = clinch.becomes_unready().await;
    assert!(unready.body.contains(r#""revocations":"stale""#), "{}", unready.body);
    scene.stream.behave(Manner::Good);
    clinch.becomes_ready().await;
}

/// RV-024: what a stream that can't be asked holds is not known: before the first answer nobody is ready, later the feed is
/// stale after `max_staleness`, and heals.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_down_makes_the_feed_stale() {
    let mut scene = polled(None).await;
    scene.stream.behave(Manner::Down);
    let mut clinch = Clinch::start_unready(&scene.config).await;
    eventually("a first poll", async || (!scene.stream.polls().is_empty()).then_some(())).await;
    let ready = clinch.ready().await.unwrap();
    assert!(ready.status == 503 && ready.body.contains("catching_up"), "{}", ready.body);
    scene.stream.behave(Manner::Good);
    clinch.becomes_ready().await;
    let token = scene.token("alice");
    assert_eq!(scene.status(&clinch, &token).await, 200);

    scene.stream.behave(Manner::Down);
    let unready = clinch.becomes_unready().await;
    assert!(unready.body.contains(r#""revocations":"stale""#), "{}", unready.body);
    assert_eq!(scene.status(&clinch, &token).await, 503);
    let told = |line: &str| {
        (line.contains("the transmitter's events can't be fetched") && line.contains("503")).then_some(())
    };
    clinch.program.hear("why not", told).await;

    let name = offer(&mut scene, "alice").await;
    scene.stream.behave(Manner::Good);
    clinch.becomes_ready().await;
    scene.refused(&clinch, &token).await;
    acknowledged(&scene, &name).await;
    assert_eq!(scene.status(&clinch, &scene.token("bob")).await, 200);
}

/// POLL-03: what can't be put on the feed is neither acknowledged nor reported, and comes again.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_feed_is_out_of_reach_nothing_is_acknowledged() {
    let mut scene = polled(Some(Nats::start().await)).await;
    let clinch = scene.clinch().await;
    let token = scene.token("alice");
    scene.nats.as_mut().unwrap().kill();
    let name = offer(&mut scene, "alice").await;
    let failed = async || (metric(&clinch, &received("feed_unavailable")).await >= 2).then_some(());
    eventually("the event to be tried twice", failed).await;
    assert!(scene.stream.acknowledged().is_empty() && scene.stream.error(&name).is_none());
    scene.nats.as_mut().unwrap().restart().await;
    acknowledged(&scene, &name).await;
    clinch.becomes_ready().await;
    scene.refused(&clinch, &token).await;
}

/// A long poll that nothing answers is followed by one that asks for an answer at once: so silence is no outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_is_not_stale() {
    let scene = Scene::set(None, "", POLL, "8s").await;
    let clinch = scene.clinch().await;
    let both = async || {
        let polls = scene.stream.polls();
        let immediately = |yes: bool| polls.iter().filter(|p| p["returnImmediately"] == json!(yes)).count();
        (immediately(true) >= 3 && immediately(false) >= 3).then_some(())
    };
    eventually("three rounds", both).await;
    assert_eq!(clinch.ready().await.unwrap().status, 200);
    assert!(!clinch.program.output().contains("stale"), "{}", clinch.program.output());
}

/// The keys of those who sign events are on record, first and whenever they are others.
#[tokio::test(flavor = "multi_thread")]
async fn another_key_of_a_transmitter_is_on_record() {
    let mut scene = polled(None).await;
    let text = std::fs::read_to_string(&scene.config).unwrap();
    scene.folder.write("clinch.yaml", &(text + "audit: { file: audit.jsonl }\n"));
    let mut clinch = scene.clinch().await;
    scene.transmitter.keys.publish(&[("next", &ProofKey::new())]);
    // An event by a key that is not known: the keys are asked for.
    let (mut header, claims) = scene.event("alice");
    header["kid"] = json!("next");
    let set = scene.transmitter.sign("t2", (header, claims)).await;
    scene.stream.offer(&jti(&set), &set);
    assert_eq!(reported(&scene, &jti(&set)).await, "invalid_key");
    clinch.program.terminate();
    assert!(clinch.program.ended().await.success());
    let log = std::fs::read_to_string(scene.folder.at("audit.jsonl")).unwrap();
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let keys: Vec<Value> = records.filter(|record| record["kind"] == "keys").collect();
    let of = |member: &str, name: &str| {
        let theirs = keys.iter().filter(|record| record[member] == name);
        theirs.map(|record| (record["added"].clone(), record["removed"].clone())).collect::<Vec<_>>()
    };
    let first = (json!(["t1", "e1"]), json!([]));
    let then = (json!(["next"]), json!(["t1", "e1"]));
    assert_eq!(of("transmitter", &scene.transmitter.name), [first, then]);
    assert_eq!(of("issuer", &scene.issuer.name).len(), 1, "and its own records are the issuer's");
    assert!(of("issuer", &scene.transmitter.name).is_empty());
}
