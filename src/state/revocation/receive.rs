//! Security Event Tokens that are brought to us (RFC 8935) or that we fetch (RFC 8936): verified, then put on the feed.
//!
//! A transmitter delivers each token once, to one replica. What makes every replica know is the feed: the token is
//! published there as it came, signature and all, and only then acknowledged (PUSH-02, POLL-03). Each replica, this one
//! included, reads it back and judges it for itself. So nothing that was acknowledged depends on one process, and
//! a token that comes twice does no harm (PUSH-04; RV-013). What the token does is not decided here.

use super::feed::Intake;
use super::feed::bus::Bus;
use super::{Genuine, SetError};
use crate::pop::jose::base64url;
use crate::pop::{Timestamp, sha256};
use crate::telemetry::RevocationMetrics;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::timeout;

/// Takes tokens in.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) intake: Arc<Intake>,
    bus: Bus,
    metrics: RevocationMetrics,
    told: Mutex<HashMap<(How, &'static str), Instant>>,
}

/// How a token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum How {
    Push,
    Poll,
}

impl Reception {
    pub(super) fn new(intake: Arc<Intake>, bus: Bus, metrics: RevocationMetrics) -> Reception {
        Reception { intake, bus, metrics, told: Mutex::default() }
    }

    /// Verifies a token (SET-06) and puts it on the feed. `named`: the `jti` that it must have (POLL-02).
    pub(super) async fn take(&self, set: &[u8], named: Option<&str>) -> Result<(), SetError> {
        let genuine = timeout(PATIENCE, self.verify(set)).await.unwrap_or(Err(SetError::KeysUnavailable))?;
        if named.is_some_and(|named| named != genuine.jti) {
            return Err(SetError::InvalidRequest);
        }
        let text = std::str::from_utf8(set).map_err(|_| SetError::InvalidRequest)?;
        let published = self.bus.publish(&name(&genuine), text.trim_ascii()).await;
        published.map_err(|error| {
            if self.is_news((How::Push, "feed"), Instant::now()) {
                tracing::warn!(error = format!("{error:#}"), "a received event can't be put on the feed");
            }
            SetError::FeedUnavailable
        })
    }

    async fn verify(&self, set: &[u8]) -> Result<Genuine, SetError> {
        let now = Timestamp::from_system(SystemTime::now());
        match self.intake.transmitters() {
            Some(transmitters) => transmitters.verify_now(set, now).await,
            None => Err(SetError::InvalidIssuer),
        }
    }

    /// Counts what became of a token, and says so if it is a trouble that was not told a moment ago. `result` is one of
    /// a closed set, for nothing that was sent is told.
    pub(super) fn note(&self, how: How, result: &'static str) {
        self.metrics.received(how.name(), result);
        if result != TAKEN && self.is_news((how, result), Instant::now()) {
            tracing::warn!(how = how.name(), reason = result, "a security event was not taken");
        }
    }

    fn is_news(&self, trouble: (How, &'static str), now: Instant) -> bool {
        let mut told = self.told.lock();
        let recent = told.get(&trouble).is_some_and(|last| now.saturating_duration_since(*last) < QUIET);
        if !recent {
            told.insert(trouble, now);
        }
        !recent
    }
}

impl How {
    fn name(self) -> &'static str {
        match self {
            How::Push => "push",
            How::Poll => "poll",
        }
    }
}

/// By which the feed knows a second copy, where it can: unique for its transmitter.
fn name(genuine: &Genuine) -> String {
    let both = format!("{} {}", genuine.iss, genuine.jti);
    base64url(sha256::of(both.as_bytes()))
}

/// The result of a token that is on the feed now.
pub(super) const TAKEN: &str = "taken";
/// For the transmitter's keys.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two lines about the same trouble.
const QUIET: Duration = Duration::from_secs(60);
