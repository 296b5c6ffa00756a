//! What was revoked: an index of events, fed in the background, asked by every request.
//!
//! Decides whether a verified token may still be used (DESIGN section 8), and holds the one constructor
//! of [`Unrevoked`]. Nothing is believed before the backlog has been applied; when the feed falls silent
//! for longer than `max_staleness`, the operator's `on_stale` decides. Does not decide who may publish.

mod causes;
pub mod event;
pub mod feed;
mod health;
mod index;
pub mod measured;
mod observed;
mod open;
mod poll;
mod presented;
mod receive;
mod recent;
mod report;
mod snapshot;
pub mod standing;
mod start;
mod transmitters;

pub use feed::Progress;
pub use observed::Observed;
pub use open::{Cut, OpenRequest};
pub use recent::{Applied, Outcome, Seen};
pub use report::FeedReport;
pub use transmitters::{Genuine, SetError};

use crate::config::{OnStale, SubjectClaims};
use crate::pop::access_token::AccessToken;
use crate::pop::{Denial, Timestamp, Verified};
use crate::telemetry::RevokedBy;
use event::Refusal;
use feed::{Feed, Intake};
use index::Bearer;
use open::OpenRequests;
use presented::Presented;
use receive::{How, Reception, TAKEN};
use snapshot::Keeper;
pub use standing::Belief;
use standing::{Standing, Worth};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Verified, and not revoked as far as anybody tells who was asked; it is told when that changes.
#[derive(Debug)]
pub struct Unrevoked {
    verified: Verified,
    standing: Standing,
    open: OpenRequest,
}

impl Unrevoked {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }
    /// The request as one that may be ended while it is open.
    pub fn into_open(self) -> OpenRequest {
        self.open
    }
    /// Who said that it is not revoked.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

/// The index of everything revoked, fed in the background until dropped.
#[derive(Debug)]
pub struct Revocations {
    fed: Option<Fed>,
    open: Arc<OpenRequests>,
}

#[derive(Debug)]
struct Fed {
    intake: Arc<Intake>,
    on_stale: OnStale,
    /// In which claims tokens have their tenant and device, by issuer.
    claims: Arc<HashMap<String, SubjectClaims>>,
    tasks: Vec<tokio::task::AbortHandle>,
    feed: Arc<Feed>,
    keeper: Option<Arc<Keeper>>,
    reception: Option<Arc<Reception>>,
}

impl Revocations {
    /// Nothing is ever revoked, and nobody looks whether open requests outlive their tokens.
    pub fn off() -> Arc<Revocations> {
        Arc::new(Revocations { fed: None, open: Arc::default() })
    }

    /// Takes a SET that was pushed (RFC 8935): when this returns, it is on the feed. Waits a few seconds at most.
    ///
    /// # Errors
    /// What the transmitter should be told; without transmitters [`SetError::InvalidIssuer`].
    pub async fn receive(&self, set: &[u8]) -> Result<(), SetError> {
        match self.fed.as_ref().and_then(|fed| fed.reception.as_ref()) {
            Some(reception) => reception.take(set, None).await,
            None => Err(SetError::InvalidIssuer),
        }
    }

    /// What became of a push, for metrics and log: `None` that it was taken, else why not, of a closed set.
    pub fn pushed(&self, refused: Option<&'static str>) {
        if let Some(reception) = self.fed.as_ref().and_then(|fed| fed.reception.as_ref()) {
            reception.note(How::Push, refused.unwrap_or(TAKEN));
        }
    }

    /// Before an orderly stop: writes the last snapshot, if one is kept, for at most a few seconds.
    pub async fn stop(&self) {
        let Some(fed) = &self.fed else { return };
        let Some(keeper) = fed.keeper.clone() else { return };
        let (intake, feed) = (Arc::clone(&fed.intake), Arc::clone(&fed.feed));
        let saved = tokio::task::spawn_blocking(move || keeper.save(&intake, &feed));
        if tokio::time::timeout(LAST_SNAPSHOT, saved).await.is_err() {
            tracing::warn!("the last snapshot of the revocations was not written in time");
        }
    }

    /// What the feed is worth now: to be asked before the token is established, and handed to
    /// [`check`](Revocations::check).
    pub fn belief(&self) -> Belief {
        self.fed.as_ref().map_or(Belief(Worth::Sound), |fed| Belief::of(&self.status(), fed.on_stale))
    }

    /// The one constructor of [`Unrevoked`]: revocation is asked about at every request (FAPI-03, INTR-07), and the
    /// request is entered among the open ones before, so that no event passes between the two (RV-039). Where the belief
    /// [asks the issuer](Belief::asks_issuer), the token must have been established so.
    ///
    /// # Errors
    /// [`Denial::TokenRevoked`]; [`Denial::RevocationsStale`] when the feed can't be believed: before it
    /// has caught up always, later as `on_stale` says.
    pub fn check(&self, verified: Verified, belief: &Belief) -> Result<Unrevoked, Denial> {
        let open = self.open.enter(verified.token());
        let standing = self.admits(&self.presented(verified.token()), belief)?;
        Ok(Unrevoked { verified, standing, open })
    }

    /// Which event revoked the token, if it is among the last that came.
    pub fn cause(&self, token: &AccessToken) -> Option<Arc<RevokedBy>> {
        let intake = &self.fed.as_ref()?.intake;
        intake.causes.of(intake.index.revoked_by(&self.presented(token))?)
    }

    fn presented<'a>(&'a self, token: &'a AccessToken) -> Presented<'a> {
        let claims = self.fed.as_ref().and_then(|fed| fed.claims.get(token.issuer()));
        Presented { token, claims }
    }

    /// What the index holds counts whatever the feed is worth.
    fn admits(&self, bearer: &impl Bearer, belief: &Belief) -> Result<Standing, Denial> {
        let standing = match belief.0 {
            Worth::Sound => Standing::Checked,
            Worth::Unsound => return Err(Denial::RevocationsStale),
            Worth::Issuer => Standing::Introspected,
            Worth::Nobody => Standing::Unchecked,
        };
        match &self.fed {
            Some(fed) if fed.intake.index.is_revoked(bearer) => Err(Denial::TokenRevoked),
            Some(_) | None => Ok(standing),
        }
    }

    /// For `/ready` and metrics.
    pub fn status(&self) -> FeedStatus {
        self.fed.as_ref().map_or(FeedStatus::Off, |fed| fed.intake.health.status())
    }

    /// Returns when the backlog has been applied for the first time.
    pub async fn ready(&self) {
        if let Some(fed) = &self.fed {
            fed.intake.health.ready().await;
        }
    }

    /// How many entries the index has.
    pub fn entries(&self) -> usize {
        self.fed.as_ref().map_or(0, |fed| fed.intake.index.len())
    }

    /// How many events were applied.
    pub fn applied(&self) -> u64 {
        self.fed.as_ref().map_or(0, |fed| fed.intake.applied())
    }

    /// About how many events there was nothing to do.
    pub fn ignored(&self) -> u64 {
        self.fed.as_ref().map_or(0, |fed| fed.intake.ignored())
    }

    /// How many events were refused, for each reason there is; the reasons are metric labels.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.iter().map(|refusal| {
            let count = self.fed.as_ref().map_or(0, |fed| fed.intake.refused(*refusal));
            (refusal.reason(), count)
        })
    }
}

impl Drop for Revocations {
    fn drop(&mut self) {
        self.open.stop();
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The feed as seen by `/ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// An event waits because the index has reached `max_entries`.
    Full,
}

impl FeedStatus {
    /// Every state there is.
    pub const ALL: &'static [FeedStatus] = &[
        FeedStatus::Off,
        FeedStatus::CatchingUp,
        FeedStatus::Current,
        FeedStatus::Reconnecting,
        FeedStatus::Stale,
        FeedStatus::Full,
    ];

    /// Whether requests can be decided, as far as revocation goes.
    pub fn is_ready(&self) -> bool {
        match self {
            FeedStatus::Off | FeedStatus::Current | FeedStatus::Reconnecting => true,
            FeedStatus::CatchingUp | FeedStatus::Stale | FeedStatus::Full => false,
        }
    }

    /// In `/ready` and as a metric label.
    pub fn name(&self) -> &'static str {
        match self {
            FeedStatus::Off => "off",
            FeedStatus::CatchingUp => "catching_up",
            FeedStatus::Current => "current",
            FeedStatus::Reconnecting => "reconnecting",
            FeedStatus::Stale => "stale",
            FeedStatus::Full => "full",
        }
    }
}

/// What the last snapshot may take.
const LAST_SNAPSHOT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
