//! Requests that a client gives up before it has an answer, over HTTP/2: each has cost us and the service something,
//! and the client next to nothing (CVE-2023-44487; DS-006).
//!
//! Some are, by every client: somebody types on, or asks twice and takes the first answer. A connection that gives up more
//! than [`MOST`] and more than half of all its requests is no client of that kind, and ends. What hyper has not accepted
//! yet is counted by itself (`listener`).

use super::activity::Activity;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many of a connection's requests were given up.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    asked: AtomicUsize,
    given_up: AtomicUsize,
}

/// A request without an answer. Dropped, it was given up.
#[derive(Debug)]
pub(super) struct Asking<'a>(Option<&'a Activity>);

impl GivenUp {
    /// Whether the connection has to go for them.
    pub(super) fn are_too_many(&self) -> bool {
        let given_up = self.given_up.load(Relaxed);
        given_up > MOST && given_up > self.asked.load(Relaxed) / 2
    }
}

impl Asking<'_> {
    /// One more.
    pub(super) fn on(activity: &Activity) -> Asking<'_> {
        activity.given_up.asked.fetch_add(1, Relaxed);
        Asking(Some(activity))
    }

    /// Its answer's head is there.
    pub(super) fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(activity) = self.0 {
            activity.given_up.given_up.fetch_add(1, Relaxed);
            activity.supervisor.wake();
        }
    }
}

/// Given up on one connection, whatever becomes of the others.
const MOST: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// DS-006
    #[test]
    fn a_connection_may_give_up_many_but_not_most() {
        let activity = Activity::new(None);
        let gives_up = |count| (0..count).for_each(|_| drop(Asking::on(&activity)));
        gives_up(MOST);
        assert!(!activity.given_up.are_too_many(), "of a few requests it may be all");
        gives_up(1);
        assert!(activity.given_up.are_too_many());
        (0..=MOST).for_each(|_| Asking::on(&activity).answered());
        assert!(!activity.given_up.are_too_many(), "half of them");
        gives_up(2);
        assert!(activity.given_up.are_too_many(), "and more");
    }
}
