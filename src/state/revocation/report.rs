//! What a replica knows of revocations, for its operators: nothing in here decides about a request.

use super::event::Selector;
use super::feed::Progress;
use super::{Applied, Fed, FeedStatus, Revocations, Seen};
use crate::pop::Timestamp;
use crate::state::audit::{Audit, Position};
use std::time::Duration;

/// The feed at this moment.
#[derive(Clone, Debug)]
pub struct FeedReport {
    /// `revocation.feed.kind`
    pub kind: &'static str,
    /// Its state.
    pub state: FeedStatus,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// How long ago its last word came, or this process began.
    pub silence: Duration,
    /// How far it has come.
    pub progress: Progress,
    /// How often it came into each state.
    pub transitions: Vec<(&'static str, u64)>,
}

impl Revocations {
    /// The feed; `None` where there is none.
    pub fn feed(&self) -> Option<FeedReport> {
        let fed = self.fed.as_ref()?;
        let health = &fed.intake.health;
        Some(FeedReport {
            kind: fed.feed.kind(),
            since: health.since(),
            state: health.status(),
            silence: health.silence(),
            progress: fed.feed.progress(),
            transitions: health.transitions().collect(),
        })
    }

    /// How far everything from the feed has been applied at least. `None` where there is no feed, or no place in it yet.
    pub fn position(&self) -> Option<Position> {
        self.fed.as_ref()?.feed.place()
    }

    /// From now on this log is told of the feed's state, and of the keys of those who sign security events.
    pub fn recorded_in(&self, audit: &Audit) {
        let Some(Fed { intake, .. }) = &self.fed else { return };
        intake.health.recorded_in(audit);
        if let Some(transmitters) = intake.transmitters() {
            transmitters.keys.recorded_in(audit);
        }
    }

    /// What became of the event of this name, if it was among the last few thousand.
    pub fn seen(&self, id: &str) -> Option<Seen> {
        self.fed.as_ref()?.intake.recent.find(id)
    }

    /// The last events that were applied, the latest first.
    pub fn recent(&self) -> Vec<Applied> {
        self.fed.as_ref().map(|fed| fed.intake.recent.applied()).unwrap_or_default()
    }

    /// Whether exactly this is revoked: for tokens issued until when, and how long that is remembered.
    pub fn find(&self, selector: &Selector) -> Option<(Timestamp, Timestamp)> {
        self.fed.as_ref()?.intake.index.find(selector)
    }
}
