//! Questions under way: one for each token, however many requests wait for its answer, and only so many in all.
//!
//! Each runs in a task of its own, so a caller who goes away takes no answer from the others.

use crate::pop::Denial;
use crate::pop::access_token::{AccessToken, TokenHash};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// What came of a question: the token, why it is refused, or that nobody could tell.
pub(super) type Outcome = Result<Arc<AccessToken>, Denial>;

/// The questions to one server.
#[derive(Debug)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<TokenHash, watch::Receiver<Option<Outcome>>>>,
    room: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Flights {
    /// None yet, and never more than these: questions, and requests that wait for answers.
    pub(super) fn new(questions: usize, waiting: usize) -> Arc<Flights> {
        let (room, waiting) = (Arc::new(Semaphore::new(questions)), Semaphore::new(waiting));
        Arc::new(Flights { under_way: Mutex::default(), room, waiting })
    }

    /// The outcome of the question about this token: one under way if `join`, else a new one. `None` if there is no
    /// room for another question or another who waits.
    pub(super) async fn outcome<F>(
        self: &Arc<Self>,
        hash: TokenHash,
        join: bool,
        ask: impl FnOnce() -> F,
    ) -> Option<Outcome>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let _place = self.waiting.try_acquire().ok()?;
        let mut answer = self.take_off(hash, join, ask)?;
        // A question that ends without an answer has panicked.
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        Some(answer.unwrap_or(Err(Denial::IntrospectionUnavailable)))
    }

    fn take_off<F>(
        self: &Arc<Self>,
        hash: TokenHash,
        join: bool,
        ask: impl FnOnce() -> F,
    ) -> Option<watch::Receiver<Option<Outcome>>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut under_way = self.under_way.lock();
        if let Some(answer) = under_way.get(&hash).filter(|_| join) {
            return Some(answer.clone());
        }
        let place = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let (tell, answer) = watch::channel(None);
        under_way.insert(hash, answer.clone());
        let (landing, question) = (Landing(Arc::clone(self), hash), ask());
        tokio::spawn(async move {
            let (_place, landing) = (place, landing);
            let outcome = question.await;
            drop(landing);
            tell.send_replace(Some(outcome));
        });
        Some(answer)
    }
}

/// Takes a question off the list when it ends, in whatever way.
struct Landing(Arc<Flights>, TokenHash);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.under_way.lock().remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        answers: Notify,
    }

    async fn ask(server: Arc<Server>) -> Outcome {
        server.asked.fetch_add(1, Ordering::SeqCst);
        server.answers.notified().await;
        Err(Denial::TokenInactive)
    }

    async fn wait_until(holds: impl Fn() -> bool) {
        while !holds() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn many_who_ask_the_same_are_one_question() {
        let (flights, server) = (Flights::new(9, 9), Arc::new(Server::default()));
        let request = || {
            let (flights, server) = (Arc::clone(&flights), Arc::clone(&server));
            tokio::spawn(async move { flights.outcome(TokenHash::of("a"), true, || ask(server)).await })
        };
        let (one, gone, other) = (request(), request(), request());
        wait_until(|| flights.waiting.available_permits() == 6).await;
        gone.abort();
        assert!(gone.await.is_err());
        server.answers.notify_waiters();
        for waiting in [one, other] {
            assert_eq!(waiting.await.unwrap().unwrap().unwrap_err(), Denial::TokenInactive);
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().is_empty());
        assert_eq!((flights.waiting.available_permits(), flights.room.available_permits()), (9, 9));
    }

    #[tokio::test]
    async fn questions_and_those_who_wait_are_bounded() {
        let (flights, server) = (Flights::new(2, 3), Arc::new(Server::default()));
        let request = |token: &'static str, join| {
            let (flights, server) = (Arc::clone(&flights), Arc::clone(&server));
            tokio::spawn(async move { flights.outcome(TokenHash::of(token), join, || ask(server)).await })
        };
        let first = [request("a", true), request("b", true)];
        wait_until(|| flights.room.available_permits() == 0).await;
        assert!(request("c", true).await.unwrap().is_none(), "no room for a third question");
        assert!(request("a", false).await.unwrap().is_none(), "nor for one that joins none");
        let third = request("a", true);
        wait_until(|| flights.waiting.available_permits() == 0).await;
        assert!(request("a", true).await.unwrap().is_none(), "no place to wait");
        server.answers.notify_waiters();
        for waiting in first.into_iter().chain([third]) {
            assert!(waiting.await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_question_that_panics_is_our_failure_and_leaves_nothing_behind() {
        let flights = Flights::new(1, 1);
        let outcome = flights.outcome(TokenHash::of("a"), true, async || panic!("on purpose")).await;
        assert_eq!(outcome.unwrap().unwrap_err(), Denial::IntrospectionUnavailable);
        assert!(flights.under_way.lock().is_empty());
    }
}
