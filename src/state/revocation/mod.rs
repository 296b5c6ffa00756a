//! What was revoked.
use crate::pop::{Denial, Timestamp, Verified};

/// Verified, and not revoked as far as the feed tells.
#[derive(Debug)]
pub struct Unrevoked(Verified);
impl Unrevoked {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        &self.0
    }
}

/// The index of everything revoked, fed in the background.
#[derive(Debug)]
pub struct Revocations;
impl Revocations {
    /// The one constructor of [`Unrevoked`].
    pub fn check(&self, verified: Verified, _now: Timestamp) -> Result<Unrevoked, Denial> {
        Ok(Unrevoked(verified))
    }
    /// For `/ready` and metrics.
    pub fn status(&self) -> FeedStatus {
        todo!()
    }
}
/// The feed as seen by `/ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedStatus {
    /// No feed configured.
    Off,
    /// Backlog not yet applied.
    CatchingUp,
    /// Connected and current.
    Current,
    /// Connection lost, not yet stale.
    Reconnecting,
    /// Silent for longer than `max_staleness`.
    Stale,
}
