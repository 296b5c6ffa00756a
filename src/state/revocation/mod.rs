//! What was revoked: an index of events, fed in the background, asked by every request.
//!
//! Decides whether a verified token may still be used (DESIGN section 8), and holds the one constructor
//! of [`Unrevoked`]. Nothing is believed before the backlog has been applied; when the feed falls silent
//! for longer than `max_staleness`, the operator's `on_stale` decides. Does not decide who may publish.

pub mod event;
pub mod feed;
mod health;
mod index;
mod recent;
mod report;
pub mod standing;

pub use feed::Progress;
pub use recent::{Applied, Outcome, Seen};
pub use report::FeedReport;

use crate::config::{self, OnStale};
use crate::pop::access_token::AccessToken;
use crate::pop::jose::Json;
use crate::pop::jwk::Thumbprint;
use crate::pop::mtls::CertificateThumbprint;
use crate::pop::{Denial, Timestamp, Verified};
use crate::telemetry::RevocationMetrics;
use event::{Fact, Refusal};
use feed::{Feed, Intake};
use index::Bearer;
use standing::{Belief, Standing, Worth};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Verified, and not revoked as far as anybody tells who was asked.
#[derive(Debug)]
pub struct Unrevoked(Verified, Standing);

impl Unrevoked {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        &self.0
    }
    /// Who said that it is not revoked.
    pub fn standing(&self) -> Standing {
        self.1
    }
}

/// The index of everything revoked, fed in the background until dropped.
#[derive(Debug)]
pub struct Revocations {
    fed: Option<Fed>,
}

#[derive(Debug)]
struct Fed {
    intake: Arc<Intake>,
    on_stale: OnStale,
    tasks: [tokio::task::AbortHandle; 2],
    feed: Feed,
}

impl Revocations {
    /// Without a feed: nothing is ever revoked.
    pub fn off() -> Arc<Revocations> {
        Arc::new(Revocations { fed: None })
    }

    /// Starts the feed; without a `revocation` section nothing is ever revoked. Needs a tokio runtime.
    ///
    /// # Errors
    /// What no waiting would heal: a journal that can't be opened, an address that is none. A broker that
    /// can't be reached is not among it: the feed keeps trying, and is not ready until then.
    pub fn start(
        config: Option<&config::Revocation>,
        issuers: &[config::Issuer],
        metrics: &RevocationMetrics,
    ) -> anyhow::Result<Arc<Revocations>> {
        let Some(config) = config else { return Ok(Revocations::off()) };
        let issuers = issuers.iter().map(|i| (i.expected.issuer.to_string(), i.expected.max_lifetime));
        let intake = Arc::new(Intake::new(config, issuers.collect(), metrics.clone()));
        let feed = Feed::start(&config.feed, &intake)?;
        let sweeper = tokio::spawn(sweep(Arc::clone(&intake))).abort_handle();
        let watcher = tokio::spawn(watch(Arc::clone(&intake))).abort_handle();
        let fed = Fed { intake, on_stale: config.on_stale, tasks: [sweeper, watcher], feed };
        Ok(Arc::new(Revocations { fed: Some(fed) }))
    }

    /// What the feed is worth now: to be asked before the token is established, and handed to
    /// [`check`](Revocations::check).
    pub fn belief(&self) -> Belief {
        self.fed.as_ref().map_or(Belief(Worth::Sound), |fed| Belief::of(&self.status(), fed.on_stale))
    }

    /// The one constructor of [`Unrevoked`]: revocation is asked about at every request (FAPI-03, INTR-07). Where
    /// the belief [asks the issuer](Belief::asks_issuer), the token must have been established so.
    ///
    /// # Errors
    /// [`Denial::TokenRevoked`]; [`Denial::RevocationsStale`] when the feed can't be believed: before it
    /// has caught up always, later as `on_stale` says.
    pub fn check(&self, verified: Verified, belief: &Belief) -> Result<Unrevoked, Denial> {
        let standing = self.admits(verified.token(), belief)?;
        Ok(Unrevoked(verified, standing))
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

    /// How many events were refused, for each reason there is; the reasons are metric labels.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.iter().map(|refusal| {
            let count = self.fed.as_ref().map_or(0, |fed| fed.intake.refused(*refusal));
            (refusal.reason(), count)
        })
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

impl Bearer for AccessToken {
    fn issuer(&self) -> &str {
        self.issuer()
    }
    fn issued_at(&self) -> Timestamp {
        self.issued_at()
    }
    fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        let claim = |name| self.claims().get(name).and_then(Json::as_str);
        let text = match fact {
            Fact::TokenId => Some(self.token_id()),
            Fact::Subject => Some(self.subject()),
            Fact::Session => claim("sid"),
            Fact::Client => Some(self.client()),
            Fact::Key => self.confirmation().jkt.as_ref().map(Thumbprint::as_str),
            Fact::Certificate => self.confirmation().x5t.as_ref().map(CertificateThumbprint::as_str),
            Fact::SigningKey => self.signing_key(),
            Fact::Email => claim("email"),
            Fact::Phone => claim("phone_number"),
            Fact::Tenant | Fact::Device => None,
        };
        text.filter(|text| !text.is_empty()).map(Cow::Borrowed)
    }
}

async fn sweep(intake: Arc<Intake>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let intake = Arc::clone(&intake);
        // Off the threads that serve requests: a large index takes a while to look through.
        let swept = tokio::task::spawn_blocking(move || {
            intake.index.sweep(Timestamp::from_system(SystemTime::now()))
        });
        let _ = swept.await;
    }
}

async fn watch(intake: Arc<Intake>) {
    intake.health.watch().await;
}

const SWEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
