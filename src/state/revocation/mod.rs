//! What was revoked: an index of events, fed in the background, asked by every request.
//!
//! Decides whether a verified token may still be used (DESIGN section 8), and holds the one constructor
//! of [`Unrevoked`]. Nothing is believed before the backlog has been applied; when the feed falls silent
//! for longer than `max_staleness`, the operator's `on_stale` decides. Does not decide who may publish.

mod bearer;
pub mod event;
pub mod feed;
mod health;
mod index;
mod transmitters;

pub use transmitters::{Genuine, SetError};

use crate::config::{self, OnStale, SubjectClaims};
use crate::pop::{Denial, Timestamp, Verified};
use crate::telemetry::Metrics;
use bearer::Presented;
use event::Refusal;
use feed::parked::tend;
use feed::{Feed, Intake};
use index::Bearer;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use transmitters::Transmitters;

/// Verified, and not revoked as far as the feed tells.
#[derive(Debug)]
pub struct Unrevoked(Verified);

impl Unrevoked {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        &self.0
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
    /// In which claims tokens have their tenant and device, by issuer.
    claims: HashMap<String, SubjectClaims>,
    tasks: Vec<tokio::task::AbortHandle>,
    _feed: Feed,
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
        metrics: &Metrics,
    ) -> anyhow::Result<Arc<Revocations>> {
        let Some(config) = config else { return Ok(Revocations::off()) };
        let issuers = issuers.iter().map(|i| (i.expected.issuer.to_string(), i.expected.max_lifetime));
        let mut intake = Intake::new(config, issuers.collect(), metrics.revocations.clone());
        let mut names = Vec::new();
        if !config.transmitters.is_empty() {
            let transmitters = Transmitters::start(&config.transmitters, metrics)?;
            names.extend(transmitters.names());
            intake = intake.believing(transmitters);
        }
        let intake = Arc::new(intake);
        let feed = Feed::start(&config.feed, &intake)?;
        let sweeper = tokio::spawn(sweep(Arc::clone(&intake))).abort_handle();
        let watcher = tokio::spawn(watch(Arc::clone(&intake), config.on_stale)).abort_handle();
        let tending =
            names.into_iter().map(|name| tokio::spawn(tend(Arc::clone(&intake), name)).abort_handle());
        let tasks = [sweeper, watcher].into_iter().chain(tending).collect();
        let of = |one: &config::Transmitter| {
            let claims = one.claims.clone();
            one.speaks_for.clone().into_iter().map(move |issuer| (issuer, claims.clone()))
        };
        let claims = config.transmitters.iter().flat_map(of).collect();
        let fed = Fed { intake, on_stale: config.on_stale, claims, tasks, _feed: feed };
        Ok(Arc::new(Revocations { fed: Some(fed) }))
    }

    /// Whether a SET is genuine, for whoever takes it from a transmitter and puts it on the feed: it is not applied
    /// here. Waits for the transmitter's keys if need be.
    ///
    /// # Errors
    /// What the transmitter should be told (RFC 8935 section 2.4); without a `revocation` section
    /// [`SetError::InvalidIssuer`].
    pub async fn verify_set(&self, set: &[u8], now: Timestamp) -> Result<Genuine, SetError> {
        let transmitters = self.fed.as_ref().and_then(|fed| fed.intake.transmitters());
        match transmitters {
            Some(transmitters) => transmitters.verify_now(set, now).await,
            None => Err(SetError::InvalidIssuer),
        }
    }

    /// The one constructor of [`Unrevoked`]: revocation is asked about at every request (FAPI-03, INTR-07).
    ///
    /// # Errors
    /// [`Denial::TokenRevoked`]; [`Denial::RevocationsStale`] when the feed can't be believed: before it
    /// has caught up always, later as `on_stale` says.
    pub fn check(&self, verified: Verified, _now: Timestamp) -> Result<Unrevoked, Denial> {
        let token = verified.token();
        let claims = self.fed.as_ref().and_then(|fed| fed.claims.get(token.issuer()));
        self.admits(&Presented { token, claims })?;
        Ok(Unrevoked(verified))
    }

    fn admits(&self, bearer: &impl Bearer) -> Result<(), Denial> {
        let Some(fed) = &self.fed else { return Ok(()) };
        fed.believe()?;
        if fed.intake.index.is_revoked(bearer) { Err(Denial::TokenRevoked) } else { Ok(()) }
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

impl Fed {
    fn believe(&self) -> Result<(), Denial> {
        match (self.intake.health.status(), self.on_stale) {
            // `on_stale` speaks of a feed that fell silent, not of events that we had and could not keep.
            (FeedStatus::CatchingUp | FeedStatus::Full, _) => Err(Denial::RevocationsStale),
            (FeedStatus::Stale, OnStale::Deny) => Err(Denial::RevocationsStale),
            (FeedStatus::Stale, OnStale::Allow) => Ok(()),
            (FeedStatus::Off | FeedStatus::Current | FeedStatus::Reconnecting, _) => Ok(()),
        }
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
    /// An event waits because the index has reached `max_entries`.
    Full,
}

impl FeedStatus {
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

async fn watch(intake: Arc<Intake>, on_stale: OnStale) {
    let told = match on_stale {
        OnStale::Deny => "deny: protected requests are refused",
        OnStale::Allow => "allow: requests are not checked for revocation",
    };
    intake.health.watch(told).await;
}

const SWEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
