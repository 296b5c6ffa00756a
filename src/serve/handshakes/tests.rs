#![allow(clippy::unwrap_used)]
use super::*;
use std::future::{pending, ready};
use tokio::task::yield_now;
use tokio::time::Instant;

const ONE: Network = [1; 16];
const OTHER: Network = [2; 16];

/// Two places, both taken by handshakes that never end.
async fn crowded() -> Arc<Handshakes> {
    let handshakes = Handshakes::up_to(2, Gauge::default());
    for _ in 0..2 {
        stuck(&handshakes, ONE);
    }
    while handshakes.under_way.get() < 2 {
        yield_now().await;
    }
    handshakes
}

fn stuck(handshakes: &Arc<Handshakes>, network: Network) {
    let handshakes = Arc::clone(handshakes);
    tokio::spawn(async move { handshakes.take(network, pending::<io::Result<()>>()).await });
}

#[tokio::test(start_paused = true)]
async fn who_stands_still_makes_room_for_one_who_waits() {
    let handshakes = crowded().await;
    let began = Instant::now();
    assert_eq!(handshakes.take(ONE, ready(Ok(7))).await.unwrap(), 7);
    assert!((PATIENCE..PATIENCE * 2).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn who_stands_still_may_while_nobody_waits() {
    let handshakes = crowded().await;
    sleep(PATIENCE * 100).await;
    assert_eq!(handshakes.under_way.get(), 2);
    // A single one waits: a single one goes, at once.
    let began = Instant::now();
    handshakes.take(ONE, ready(Ok(()))).await.unwrap();
    assert_eq!((began.elapsed(), handshakes.under_way.get()), (Duration::ZERO, 1));
    handshakes.take(ONE, ready(Ok(()))).await.unwrap();
    sleep(PATIENCE * 100).await;
    assert_eq!(handshakes.under_way.get(), 1, "there is room, so the other one stays");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_however_its_handshake_ends() {
    let handshakes = Handshakes::up_to(1, Gauge::default());
    let broken = handshakes.take(ONE, ready(Err::<(), _>(io::ErrorKind::BrokenPipe.into()))).await;
    assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let given_up =
        tokio::time::timeout(PATIENCE / 2, handshakes.take(ONE, pending::<io::Result<()>>())).await;
    assert!(given_up.is_err());
    handshakes.take(ONE, ready(Ok(()))).await.unwrap();
    assert_eq!(handshakes.under_way.get(), 0);
    assert_eq!(handshakes.turns.lock().free, 1);
}

/// DS-003
#[tokio::test(start_paused = true)]
async fn a_crowd_of_one_network_keeps_no_other_waiting() {
    let handshakes = crowded().await;
    (0..1000).for_each(|_| stuck(&handshakes, ONE));
    while handshakes.turns.lock().came < 1000 {
        yield_now().await;
    }
    let began = Instant::now();
    handshakes.take(OTHER, ready(Ok(()))).await.unwrap();
    assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn of_one_network_the_newest_goes_first_and_who_has_gone_is_forgotten() {
    let handshakes = crowded().await;
    let old = tokio::spawn({
        let handshakes = Arc::clone(&handshakes);
        async move { handshakes.take(ONE, ready(Ok(()))).await }
    });
    while handshakes.turns.lock().waiting.is_empty() {
        yield_now().await;
    }
    old.abort();
    let _ = old.await;
    let turns = handshakes.turns.lock();
    assert!(turns.waiting.is_empty() && turns.order.is_empty());
    drop(turns);
    let mut turns = Turns::default();
    let (_first, mut second) = (turns.wait(ONE).1, turns.wait(ONE).1);
    let mut third = turns.wait(OTHER).1;
    let nobody = Handshakes::up_to(0, Gauge::default());
    for turn in [&mut second, &mut third] {
        let place = Place { handshakes: Arc::clone(&nobody) };
        turns.next().unwrap().send(place).unwrap();
        assert!(turn.try_recv().is_ok());
    }
}
