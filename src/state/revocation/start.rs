//! Setting revocation up: intake, snapshot, feed, and the tasks that tend them.

use super::feed::bus::Bus;
use super::feed::parked::tend;
use super::feed::{Feed, Intake};
use super::poll::Poller;
use super::presented::Presented;
use super::receive::Reception;
use super::snapshot::{self, Keeper, Restored};
use super::transmitters::Transmitters;
use super::{Fed, Revocations};
use crate::config::{self, SubjectClaims};
use crate::pop::Timestamp;
use crate::state::https::system_roots;
use crate::telemetry::Metrics;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::AbortHandle;

impl Revocations {
    /// Starts the feed, and the watch over open requests; without a `revocation` section nothing is ever revoked,
    /// but tokens expire all the same. Needs a tokio runtime.
    ///
    /// # Errors
    /// What no waiting would heal: a journal that can't be opened, an address that is none. A broker that
    /// can't be reached is not among it: the feed keeps trying, and is not ready until then.
    pub fn start(
        config: Option<&config::Revocation>,
        issuers: &[config::Issuer],
        metrics: &Metrics,
    ) -> anyhow::Result<Arc<Revocations>> {
        let Some(config) = config else {
            let unfed = Revocations::off();
            unfed.open.start(|_| false)?;
            return Ok(unfed);
        };
        let lifetimes = issuers.iter().map(|i| (i.expected.issuer.to_string(), i.expected.max_lifetime));
        let lifetimes = lifetimes.collect();
        let keeper = config
            .snapshot
            .as_ref()
            .map(|snapshot| Arc::new(Keeper::new(snapshot, snapshot::basis(config, &lifetimes))));
        let mut intake = Intake::new(config, lifetimes, metrics.revocations.clone());
        if !config.transmitters.is_empty() {
            intake = intake.believing(Transmitters::start(&config.transmitters, metrics)?);
        }
        let now = Timestamp::from_system(SystemTime::now());
        let restored = keeper.as_ref().and_then(|keeper| keeper.load(config.max_entries, now));
        let position = restored.map(|Restored { index, position }| {
            intake.index = index;
            position
        });
        let intake = Arc::new(intake);
        let claims = Arc::new(claims(&config.transmitters));
        let open = Arc::clone(&intake.open);
        let (judge, named) = (Arc::clone(&intake), Arc::clone(&claims));
        open.start(move |token| {
            judge.index.is_revoked(&Presented { token, claims: named.get(token.issuer()) })
        })?;
        let reception = intake.transmitters().is_some().then(|| {
            let bus = Bus::of(&config.feed);
            Arc::new(Reception::new(Arc::clone(&intake), bus, metrics.revocations.clone()))
        });
        let begun = pollers(config, reception.as_ref())
            .and_then(|pollers| Ok((pollers, Feed::start(&config.feed, &intake, position.as_deref())?)));
        // Nobody else would end the watch over open requests.
        let (pollers, feed) = begun.inspect_err(|_| open.stop())?;
        let feed = Arc::new(feed);
        let mut tasks = tasks(&intake, keeper.as_ref().map(|keeper| (keeper, &feed)));
        tasks.extend(pollers.into_iter().map(|poller| tokio::spawn(poller.run()).abort_handle()));
        let fed = Fed { intake, on_stale: config.on_stale, claims, tasks, feed, keeper, reception };
        Ok(Arc::new(Revocations { fed: Some(fed), open }))
    }
}

fn tasks(intake: &Arc<Intake>, kept: Option<(&Arc<Keeper>, &Arc<Feed>)>) -> Vec<AbortHandle> {
    let mut tasks = vec![
        tokio::spawn(sweep(Arc::clone(intake))).abort_handle(),
        tokio::spawn(watch(Arc::clone(intake))).abort_handle(),
    ];
    let names = intake.transmitters().into_iter().flat_map(Transmitters::names);
    tasks.extend(names.map(|name| tokio::spawn(tend(Arc::clone(intake), name)).abort_handle()));
    if let Some((keeper, feed)) = kept {
        let keep = Arc::clone(keeper).keep(Arc::clone(intake), Arc::clone(feed));
        tasks.push(tokio::spawn(keep).abort_handle());
    }
    tasks
}

/// Before the feed begins: it has not caught up until all of them have told what they have.
fn pollers(config: &config::Revocation, reception: Option<&Arc<Reception>>) -> anyhow::Result<Vec<Poller>> {
    let Some(reception) = reception else { return Ok(Vec::new()) };
    let mut pollers = Vec::new();
    for one in config.transmitters.iter().filter(|one| one.poll.is_some()) {
        pollers.extend(Poller::of(one, config.max_staleness, reception, system_roots())?);
    }
    Ok(pollers)
}

/// In which claims tokens have their tenant and device, by issuer.
fn claims(transmitters: &[config::Transmitter]) -> HashMap<String, SubjectClaims> {
    let of = |one: &config::Transmitter| {
        let claims = one.claims.clone();
        one.speaks_for.clone().into_iter().map(move |issuer| (issuer, claims.clone()))
    };
    transmitters.iter().flat_map(of).collect()
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
