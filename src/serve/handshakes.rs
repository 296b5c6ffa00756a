//! TLS handshakes take turns: so many at a time, in the order in which their first byte came.
//!
//! A client that has a place and does not go on keeps others waiting, so it must be quick while others wait: after
//! [`PATIENCE`] its place goes to the next one. To keep all places, an attacker needs three times as many
//! handshakes each second as there are places. While nobody waits, everyone has the time that the caller gives it.

use prometheus_client::metrics::gauge::Gauge;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// The places.
#[derive(Debug)]
pub(super) struct Handshakes {
    places: Semaphore,
    waiting: AtomicUsize,
    crowd: Notify,
    under_way: Gauge,
}

impl Handshakes {
    /// So many at a time.
    pub(super) fn up_to(places: usize, under_way: Gauge) -> Handshakes {
        let places = Semaphore::new(places.min(Semaphore::MAX_PERMITS));
        Handshakes { places, waiting: AtomicUsize::new(0), crowd: Notify::new(), under_way }
    }

    /// Waits for a place and goes through the handshake there.
    ///
    /// # Errors
    /// Those of the handshake; [`io::ErrorKind::ResourceBusy`] if its place went to another.
    pub(super) async fn take<T>(&self, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let _place = self.place().await?;
        let _counted = Counted::new(&self.under_way);
        tokio::select! {
            biased;
            done = handshake => done,
            () = self.crowded_out() => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    async fn place(&self) -> io::Result<SemaphorePermit<'_>> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _waiting = Waiting::new(&self.waiting);
        self.crowd.notify_one();
        self.places.acquire().await.map_err(io::Error::other)
    }

    /// Each who waits asks one to go, of those who were there for long enough.
    async fn crowded_out(&self) {
        sleep(PATIENCE).await;
        while self.waiting.load(SeqCst) == 0 {
            self.crowd.notified().await;
        }
    }
}

/// One who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn new(waiting: &AtomicUsize) -> Waiting<'_> {
        waiting.fetch_add(1, SeqCst);
        Waiting(waiting)
    }
}
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// One handshake, until it is dropped.
struct Counted<'a>(&'a Gauge);

impl Counted<'_> {
    fn new(gauge: &Gauge) -> Counted<'_> {
        gauge.inc();
        Counted(gauge)
    }
}
impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A round trip to the other side of the world.
const PATIENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::{pending, ready};
    use std::sync::Arc;
    use tokio::task::yield_now;
    use tokio::time::Instant;

    /// Two places, both taken by handshakes that never end.
    async fn crowded() -> Arc<Handshakes> {
        let handshakes = Arc::new(Handshakes::up_to(2, Gauge::default()));
        for _ in 0..2 {
            let stuck = Arc::clone(&handshakes);
            tokio::spawn(async move { stuck.take(pending::<io::Result<()>>()).await });
        }
        while handshakes.under_way.get() < 2 {
            yield_now().await;
        }
        handshakes
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_makes_room_for_one_who_waits() {
        let handshakes = crowded().await;
        let began = Instant::now();
        assert_eq!(handshakes.take(ready(Ok(7))).await.unwrap(), 7);
        assert!((PATIENCE..PATIENCE * 2).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_may_while_nobody_waits() {
        let handshakes = crowded().await;
        sleep(PATIENCE * 100).await;
        assert_eq!(handshakes.under_way.get(), 2);
        // A single one waits: a single one goes, at once.
        let began = Instant::now();
        handshakes.take(ready(Ok(()))).await.unwrap();
        assert_eq!((began.elapsed(), handshakes.under_way.get()), (Duration::ZERO, 1));
        handshakes.take(ready(Ok(()))).await.unwrap();
        sleep(PATIENCE * 100).await;
        assert_eq!(handshakes.under_way.get(), 1, "there is room, so the other one stays");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_however_its_handshake_ends() {
        let handshakes = Handshakes::up_to(1, Gauge::default());
        let broken = handshakes.take(ready(Err::<(), _>(io::ErrorKind::BrokenPipe.into()))).await;
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let given_up = tokio::time::timeout(PATIENCE / 2, handshakes.take(pending::<io::Result<()>>())).await;
        assert!(given_up.is_err());
        handshakes.take(ready(Ok(()))).await.unwrap();
        assert_eq!(handshakes.under_way.get(), 0);
    }
}
