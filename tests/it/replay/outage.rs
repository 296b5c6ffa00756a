//! What becomes of proofs when the store is out of reach, slow, emptied, or guarded; one body over both stores.

use super::replicas::{Replicas, Store};
use crate::support::eventually;
use crate::support::nats::Nats;
use crate::support::pki::Pki;
use crate::support::redis::Redis;
use crate::support::wire::Answer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn redis_fails_and_heals() {
    fails_and_heals(Store::Redis(Redis::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_fails_and_heals() {
    fails_and_heals(Store::Nats(Nats::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_emptied() {
    is_emptied(Store::Redis(Redis::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_emptied() {
    is_emptied(Store::Nats(Nats::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_decides_alone_where_the_operator_says_so_with_redis() {
    decides_alone(Store::Redis(Redis::start().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_decides_alone_where_the_operator_says_so_with_nats() {
    decides_alone(Store::Nats(Nats::start().await)).await;
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("replay_unavailable"), "{answer:?}");
    answer.one("retry-after");
    assert!(answer.all("www-authenticate").is_empty(), "{answer:?}");
}

/// RP-002, RP-005, RP-007: what one replica has seen the other refuses, also after a restart of the first, and
/// without the store everything is refused.
async fn fails_and_heals(mut store: Store) {
    let mut replicas = Replicas::start(2, &store.keys()).await;
    let proof = replicas.proof();
    assert_eq!(replicas.show(0, &proof).await.status, 200);
    assert_replayed(&replicas.show(1, &proof).await);
    replicas.replace(0).await;
    assert_replayed(&replicas.show(0, &proof).await);

    store.kill();
    let forwarded = replicas.service.count();
    let spent = replicas.proof();
    assert_unavailable(&replicas.show(1, &spent).await);
    // Whether it was recorded nobody knows: it counts as spent.
    assert_replayed(&replicas.show(1, &spent).await);
    for clinch in &replicas.clinches {
        let unready = clinch.becomes_unready().await;
        assert!(unready.body.contains(r#""replay":"down""#), "{}", unready.body);
    }
    assert_unavailable(&replicas.show(0, &replicas.proof()).await);
    assert_eq!(replicas.metric(1, r#"clinch_replay_store_state{state="down"}"#).await, 1.0);
    assert_eq!(replicas.service.count(), forwarded, "something got through");

    store.restart().await;
    for clinch in &replicas.clinches {
        clinch.becomes_ready().await;
        replicas.admits(clinch).await;
    }
    for at in [0, 1] {
        let answer = replicas.show(at, &proof).await;
        assert_eq!(answer.status, 401, "a proof of before the outage: {answer:?}");
    }
    let proof = replicas.proof();
    assert_eq!(replicas.show(0, &proof).await.status, 200);
    assert_replayed(&replicas.show(1, &proof).await);
}

fn assert_replayed(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.body.contains("proof_replayed"), "{answer:?}");
}

/// RP-006: a store that has lost its memory can't vouch for proofs of before. It is noticed at the first
/// question, by each replica, with an alarm.
async fn is_emptied(store: Store) {
    let mut replicas = Replicas::start(2, &store.keys()).await;
    let proof = replicas.proof();
    assert_eq!(replicas.show(0, &proof).await.status, 200);
    store.empty().await;
    let forwarded = replicas.service.count();
    let answer = replicas.show(1, &proof).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.body.contains("proof_before_start"), "{answer:?}");
    assert_eq!(replicas.service.count(), forwarded);
    assert_replayed(&replicas.show(0, &proof).await);

    // The challenge heals it: a proof with a nonce of this moment can't have been used before.
    if let Some(nonce) = replicas.nonce(1).await {
        assert_eq!(replicas.show(1, &replicas.proof_with(Some(&nonce))).await.status, 200);
    }
    let clinch = &mut replicas.clinches[1];
    let alarm = |line: &str| line.contains("the replay store has lost its memory").then_some(());
    clinch.program.hear("the alarm", alarm).await;
    // It ends by itself, and it is told once.
    for clinch in &replicas.clinches {
        replicas.admits(clinch).await;
    }
    assert_eq!(replicas.metric(0, "clinch_replay_store_losses_total").await, 1.0);
    assert_eq!(replicas.metric(1, "clinch_replay_store_losses_total").await, 1.0);
}

/// RP-006: a bucket that is deleted is made anew, and knows that it is new.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_nats_is_deleted() {
    let store = Store::Nats(Nats::start().await);
    let replicas = Replicas::start(2, &store.keys()).await;
    let proof = replicas.proof();
    assert_eq!(replicas.show(0, &proof).await.status, 200);
    let forwarded = replicas.service.count();
    store.delete().await;
    // The first one may find no bucket, a later one the new bucket.
    let answered = async || Some(replicas.show(1, &proof).await).filter(|answer| answer.status != 503);
    let answer = eventually("an answer of the new bucket", answered).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    for clinch in &replicas.clinches {
        replicas.admits(clinch).await;
    }
    for at in [0, 1] {
        assert_replayed(&replicas.show(at, &proof).await);
    }
    let passed = replicas.service.received().split_off(forwarded);
    assert!(passed.iter().all(|request| request.header("dpop").is_none()));
    assert_eq!(passed.len(), 2, "only the proofs that were made since");
}

async fn decides_alone(mut store: Store) {
    let mut replicas = Replicas::start(2, &format!("{}, on_unavailable: allow", store.keys())).await;
    store.kill();
    let proof = replicas.proof();
    let first = async || (replicas.show(0, &replicas.proof()).await.status == 200).then_some(());
    eventually("a proof to pass without the store", first).await;
    assert_eq!(replicas.show(0, &proof).await.status, 200);
    assert_replayed(&replicas.show(0, &proof).await);
    assert_eq!(replicas.show(1, &proof).await.status, 200, "that is what `allow` means");
    assert_eq!(replicas.clinches[0].ready().await.unwrap().status, 200);
    assert!(replicas.metric(0, "clinch_replay_admitted_alone_total").await >= 2.0);
    let told = |line: &str| line.contains("pass on this replica's own memory").then_some(());
    replicas.clinches[0].program.hear("that it decides alone", told).await;
}

/// RP-007: the wait is bounded, and only the first ones wait at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stalls_costs_a_bounded_wait_and_then_none() {
    for store in [Store::Redis(Redis::start().await), Store::Nats(Nats::start().await)] {
        let (port, stall) = relay(&store).await;
        let keys = store.keys_with_timeout("500ms").replace(&store.port().to_string(), &port.to_string());
        let replicas = Replicas::start(1, &keys).await;
        stall.send_replace(true);
        let begun = Instant::now();
        assert_unavailable(&replicas.show(0, &replicas.proof()).await);
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(5), "{waited:?}");
        let asked = async |result: &str| {
            let name = format!(r#"clinch_replay_store_operations_total{{result="{result}"}}"#);
            replicas.metric(0, &name).await
        };
        let slow = asked("timeout").await;
        for _ in 0..10 {
            assert_unavailable(&replicas.show(0, &replicas.proof()).await);
        }
        assert!(asked("unreached").await >= 10.0, "who comes later does not wait");
        assert_eq!(asked("timeout").await, slow);
        stall.send_replace(false);
        replicas.admits(&replicas.clinches[0]).await;
    }
}

/// A way to the store that can be made to swallow everything. Connections of before stay as they are.
async fn relay(store: &Store) -> (u16, Arc<watch::Sender<bool>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, to) = (listener.local_addr().unwrap().port(), store.port());
    let stall = Arc::new(watch::Sender::new(false));
    let stalled = Arc::clone(&stall);
    tokio::spawn(async move {
        while let Ok((inner, _)) = listener.accept().await {
            let Ok(outer) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
            let ((from_inner, to_inner), (from_outer, to_outer)) = (inner.into_split(), outer.into_split());
            tokio::spawn(pump(from_inner, to_outer, stalled.subscribe()));
            tokio::spawn(pump(from_outer, to_inner, stalled.subscribe()));
        }
    });
    (port, stall)
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut stalled: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if stalled.wait_for(|stalled| !stalled).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_never_reached_is_named_and_nobody_passes() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("store: redis, url: 'redis://{}'", silent.local_addr().unwrap());
    let replicas = Replicas::start_unready(Pki::new(), 1, &keys).await;
    let keys_are_there = async || {
        let ready = replicas.clinches[0].ready().await?;
        ready.body.contains(r#""keys":"current""#).then_some(ready)
    };
    let ready = eventually("the keys to be there", keys_are_there).await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains(r#""replay":"connecting""#), "{}", ready.body);
    assert_unavailable(&replicas.show(0, &replicas.proof()).await);
    assert!(replicas.service.received().is_empty());
}

/// TLS with an anchor of our own, and a user who may do no more than the documentation asks for. The password
/// is nowhere to be seen.
#[tokio::test(flavor = "multi_thread")]
async fn redis_over_tls_with_a_user_who_may_do_little() {
    let pki = Pki::new();
    let redis = Redis::start_guarded(&pki, "clinch", "a-s3cret-of-this-test").await;
    let url = |password: &str| format!("rediss://clinch:{password}@localhost:{}/0", redis.port());
    let keys = |password: &str| format!("store: redis, url: '{}', ca: ca.crt", url(password));
    let refused = Replicas::start_unready(pki.clone(), 1, &keys("a-wr0ng-one")).await;
    let replicas = Replicas::start_unready(pki, 1, &keys("a-s3cret-of-this-test")).await;
    replicas.admits(&replicas.clinches[0]).await;
    let proof = replicas.proof();
    assert_eq!(replicas.show(0, &proof).await.status, 200);
    assert_replayed(&replicas.show(0, &proof).await);

    let mut clinch = refused.clinches.into_iter().next().unwrap();
    let told = |line: &str| line.contains("the replay store is out of reach").then(|| line.to_owned());
    let line = clinch.program.hear("why the store is out of reach", told).await;
    assert!(line.contains("authentication failed"), "{line}");
    let said = clinch.program.output() + &replicas.clinches[0].program.output();
    assert!(!said.contains("s3cret") && !said.contains("wr0ng"), "{said}");
}
