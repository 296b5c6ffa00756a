//! Connections with their handshake behind them: where there is no room for another one, some of those go that do nothing.
//!
//! To stay costs whoever has shown nothing a request now and then that is refused. So it is those that have [shown](Shown)
//! least that make room; of them, those of the network with the most; and there, those that have done nothing for longest
//! (DS-003). Where a request is in flight, or a WebSocket open, nobody is sent away. Who has yet to finish its
//! handshake goes first ([`arrivals`](super::arrivals)).

use super::activity::Activity;
use super::arrivals::PATIENCE;
use crate::gate::Admission;
use crate::state::rates::Network;
use parking_lot::Mutex;
use slab::Slab;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Who is connected.
#[derive(Debug, Default)]
pub(super) struct Settled {
    all: Mutex<Slab<Here>>,
}

#[derive(Debug)]
struct Here {
    network: Network,
    activity: Arc<Activity>,
}

/// One connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    settled: Arc<Settled>,
    number: usize,
}

/// What the requests of a connection have shown, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Shown {
    /// None was admitted.
    Nothing,
    /// One was, but not for credentials.
    Admitted,
    /// One was granted.
    Granted,
}

impl Shown {
    pub(super) fn of(admission: &Admission) -> Shown {
        match admission {
            Admission::Granted(_) => Shown::Granted,
            Admission::Observed(_) | Admission::Unprotected | Admission::Preflight => Shown::Admitted,
        }
    }

    /// How long such a connection has to have done nothing to go.
    fn patience(self) -> Duration {
        match self {
            Shown::Nothing => PATIENCE,
            Shown::Admitted | Shown::Granted => BETWEEN_REQUESTS,
        }
    }
}

impl Settled {
    /// One more.
    pub(super) fn enter(self: &Arc<Settled>, network: Network, activity: &Arc<Activity>) -> Place {
        let number = self.all.lock().insert(Here { network, activity: Arc::clone(activity) });
        Place { settled: Arc::clone(self), number }
    }

    /// Some have to go, if any does nothing: a few, so that those who come one after the other do not each have all looked
    /// through. How many; none while others have not gone yet.
    pub(super) fn make_room(&self) -> usize {
        let all = self.all.lock();
        if all.iter().any(|(_, here)| here.activity.is_about_to_go()) {
            return 0;
        }
        let mut crowds: HashMap<_, usize> = HashMap::new();
        for (_, here) in all.iter() {
            *crowds.entry((here.activity.shown(), here.network)).or_default() += 1;
        }
        let mut idle: Vec<_> = all
            .iter()
            .filter_map(|(_, here)| {
                let whose = (here.activity.shown(), here.network);
                let since =
                    here.activity.idle_since().filter(|since| since.elapsed() >= whose.0.patience())?;
                let crowd = Reverse(crowds.get(&whose).copied().unwrap_or_default());
                Some(((whose.0, crowd, whose.1), since, &here.activity))
            })
            .collect();
        idle.sort_unstable_by_key(|(group, since, _): &(_, Instant, _)| (*group, *since));
        let Some(group) = idle.first().map(|(group, ..)| *group) else { return 0 };
        let few = (all.len() / 16).clamp(1, MOST_AT_A_TIME);
        let going = idle.into_iter().take_while(|one| one.0 == group).take(few);
        going.map(|(.., activity)| activity.send_away()).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.settled.all.lock().try_remove(self.number);
    }
}

/// What lies between two requests of a client that has more to ask.
const BETWEEN_REQUESTS: Duration = Duration::from_secs(1);
const MOST_AT_A_TIME: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const ONE: Network = [1; 16];
    const OTHER: Network = [2; 16];

    fn come(settled: &Arc<Settled>, network: Network, shown: Shown) -> (Arc<Activity>, Place) {
        let activity = Activity::new(None);
        activity.request_began(false);
        activity.shows(shown);
        activity.request_ended();
        let place = settled.enter(network, &activity);
        (activity, place)
    }

    /// DS-003
    #[tokio::test(start_paused = true)]
    async fn who_has_shown_least_goes_first_and_who_is_at_work_stays() {
        let settled = Arc::new(Settled::default());
        let (granted, _a) = come(&settled, ONE, Shown::Granted);
        let (stranger, first) = come(&settled, OTHER, Shown::Nothing);
        let (admitted, second) = come(&settled, OTHER, Shown::Admitted);
        let (at_work, _d) = come(&settled, OTHER, Shown::Nothing);
        at_work.request_began(false);
        assert_eq!(settled.make_room(), 0, "all have just come");
        advance(PATIENCE).await;
        assert_eq!(settled.make_room(), 1);
        assert!(stranger.is_about_to_go());
        assert_eq!(settled.make_room(), 0, "it has not gone yet");
        drop(first);
        assert_eq!(settled.make_room(), 0, "the others may be about to ask again");
        advance(BETWEEN_REQUESTS).await;
        assert_eq!(settled.make_room(), 1);
        assert!(admitted.is_about_to_go() && !granted.is_about_to_go());
        drop(second);
        assert_eq!(settled.make_room(), 1);
        assert!(granted.is_about_to_go() && !at_work.is_about_to_go());
    }

    /// DS-003: a request now and then that is refused keeps no place.
    #[tokio::test(start_paused = true)]
    async fn the_largest_crowd_goes_and_of_it_the_oldest() {
        let settled = Arc::new(Settled::default());
        let bystander = come(&settled, OTHER, Shown::Nothing);
        let mut crowd = Vec::new();
        for _ in 0..40 {
            crowd.push(come(&settled, ONE, Shown::Nothing));
            advance(Duration::from_millis(1)).await;
        }
        advance(PATIENCE).await;
        for (activity, _) in &crowd {
            activity.request_began(false);
            activity.request_ended();
        }
        assert_eq!(settled.make_room(), 2, "a sixteenth");
        let going: Vec<_> = crowd.iter().map(|(activity, _)| activity.is_about_to_go()).collect();
        assert!(going[0] && going[1] && !going[2..].contains(&true), "{going:?}");
        assert!(!bystander.0.is_about_to_go());
        drop((bystander, crowd));
        assert!(settled.all.lock().is_empty(), "nothing is kept of who has gone");
    }
}
