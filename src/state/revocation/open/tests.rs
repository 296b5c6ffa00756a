//! The judge on its own, with an index of the test's own.

use super::*;
use crate::pop::forge;
use futures_util::task::noop_waker;
use std::collections::HashSet;
use std::future::poll_fn;

fn token(id: &str) -> Arc<AccessToken> {
    let jwt = forge::token(|_, claims| claims["jti"] = id.into());
    Arc::new(forge::establish(&jwt).unwrap())
}

/// A judge, and the names of the tokens that it takes for revoked.
fn judged() -> (Arc<OpenRequests>, Arc<Mutex<HashSet<String>>>) {
    let (registry, revoked) = (Arc::<OpenRequests>::default(), Arc::<Mutex<HashSet<String>>>::default());
    let asked = Arc::clone(&revoked);
    registry.start(move |token| asked.lock().contains(token.token_id())).unwrap();
    (registry, revoked)
}

fn count(registry: &OpenRequests) -> usize {
    registry.shards.iter().map(|shard| shard.lock().len()).sum()
}

async fn cut(open: &OpenRequest) -> Cut {
    tokio::time::timeout(Duration::from_secs(10), poll_fn(|cx| open.poll_cut(cx))).await.expect("it is ended")
}

/// RV-039: the one token that is revoked is ended, by whatever is open with it.
#[tokio::test]
async fn an_event_ends_what_is_open_with_its_token() {
    let (registry, revoked) = judged();
    let (one, other) = (token("one"), token("other"));
    let open: Vec<_> = (0..3).map(|_| registry.enter(&one)).collect();
    let spared = registry.enter(&other);
    assert_eq!(count(&registry), 4);
    revoked.lock().insert("one".to_owned());
    registry.news();
    for open in &open {
        assert_eq!(cut(open).await, Cut::Revoked);
    }
    assert_eq!(spared.cut(), None);
    drop((open, spared));
    assert_eq!(count(&registry), 0, "what has ended is forgotten");
    registry.stop();
}

/// Whoever is entered before the index knows is found afterwards, whatever the judge did in between.
#[tokio::test]
async fn swarms_of_events_miss_nobody() {
    let (registry, revoked) = judged();
    for round in 0..200 {
        let name = format!("token {round}");
        let open = registry.enter(&token(&name));
        revoked.lock().insert(name);
        registry.news();
        if round % 20 == 0 {
            assert_eq!(cut(&open).await, Cut::Revoked, "{round}");
        }
    }
    registry.stop();
}

/// The forged token expired long ago, by the judge's clock.
#[tokio::test]
async fn a_stream_ends_with_its_token_and_a_request_that_waits_does_not() {
    let (registry, _) = judged();
    let (stream, waiting) = (registry.enter(&token("stream")), registry.enter(&token("waiting")));
    tokio::time::sleep(3 * TICK).await; // long enough for the judge to rest
    let began = Instant::now();
    stream.ends_with_its_token();
    assert_eq!(cut(&stream).await, Cut::Expired);
    assert!(began.elapsed() >= LAST_BYTES, "its last bytes had {:?}", began.elapsed());
    assert_eq!(waiting.cut(), None);
    registry.stop();
}

#[test]
fn a_cut_that_came_first_is_seen_at_once() {
    let registry = Arc::<OpenRequests>::default();
    let open = registry.enter(&token("one"));
    registry.judge(Some(&|_| true), forge::NOW);
    let waker = noop_waker();
    assert_eq!(open.poll_cut(&mut Context::from_waker(&waker)), Poll::Ready(Cut::Revoked));
    open.open.end(Cut::Expired);
    assert_eq!(open.cut(), Some(Cut::Revoked), "the first reason stays");
}

/// What every request pays, far below a microsecond in a build for use.
#[test]
fn entering_is_cheap() {
    let registry = Arc::<OpenRequests>::default();
    let token = token("one");
    let others: Vec<_> = (0..10_000).map(|_| registry.enter(&token)).collect();
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        for _ in 0..1000 {
            drop(registry.enter(&token));
        }
        best = best.min(began.elapsed() / 1000);
    }
    let most = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(best < Duration::from_micros(most), "{best:?} to enter and to leave, with {} open", others.len());
}
