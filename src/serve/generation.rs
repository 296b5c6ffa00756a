//! From a checked configuration to a [`Proxy`], the first time and at each reload.
//!
//! What has a memory that outlives a configuration is [`Lasting`]: used proofs, nonces, counters. What can be kept of the
//! generation before is kept: keys, verified tokens and the revocation index where their configuration is the same, and
//! the connections to the service. What is new must be ready before it takes over, so that no request finds it
//! lacking: keys fetched, backlog read.

use super::cors::BrowserOrigins;
use super::forwarded::{Pseudonym, PublicHost};
use super::proxy::Proxy;
use super::trailers::RequestTrailers;
use super::upstream::{Health, Upstream};
use crate::config::{self, Config, Written};
use crate::gate::Gate;
use crate::pop::metadata::Metadata;
use crate::pop::policy::{DpopPolicy, Policy};
use crate::state::assertions::Assertions;
use crate::state::audit::Audit;
use crate::state::introspection::Introspection;
use crate::state::issuers::Issuers;
use crate::state::nonces::Nonces;
use crate::state::rates::Rates;
use crate::state::replay::ReplayStore;
use crate::state::revocation::Revocations;
use crate::state::shares::Shares;
use crate::state::tokens::Tokens;
use crate::telemetry::Telemetry;
use anyhow::bail;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// What lives as long as the process.
#[derive(Debug)]
pub(super) struct Lasting {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) audit: Audit,
    pub(super) nonces: Arc<Nonces>,
    pub(super) replay: Arc<ReplayStore>,
    /// The configuration that the process was started with.
    pub(super) written: Written,
    /// The ages of proofs that the replay memory was made for.
    pub(super) dpop: DpopPolicy,
    pub(super) pseudonym: Arc<Pseudonym>,
    pub(super) shares: Arc<Shares>,
}

/// What a generation was made of, to be compared with the next one.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) number: u64,
    /// The text of its file.
    pub(super) text: Arc<str>,
    issuers: Vec<config::Issuer>,
    upstream: config::Upstream,
    pub(super) revocation: Option<config::Revocation>,
    pub(super) tls: config::Tls,
    drain: Duration,
}

/// What verification stands on.
struct Grounds {
    tokens: Arc<Tokens>,
    revocations: Arc<Revocations>,
    upstream: Arc<Upstream>,
    rates: Rates,
}

impl Proxy {
    /// The first one. Its keys and its feed come in the background.
    pub(super) fn first(config: Config, lasting: &Lasting) -> anyhow::Result<Proxy> {
        let metrics = &lasting.telemetry.metrics;
        let issuers = Issuers::start(&config.issuers, metrics)?;
        let grounds = Grounds {
            tokens: tokens(&config, issuers, lasting)?,
            revocations: Revocations::start(config.revocation.as_ref(), &config.issuers, metrics)?,
            upstream: Arc::new(Upstream::new(&config.upstream)),
            rates: Rates::new(config.listen.limits.requests_per_key, config.listen.limits.failures_per_peer)?,
        };
        Proxy::standing_on(grounds, config, lasting, 1)
    }

    /// The one after this, complete and ready to decide.
    ///
    /// # Errors
    /// What can't be started, or is not ready within the time that a reload may take: then all stays as it is.
    pub(super) async fn next(&self, config: Config, lasting: &Lasting) -> anyhow::Result<Proxy> {
        let metrics = &lasting.telemetry.metrics;
        let made_of = &self.made_of;
        let tokens = if made_of.issuers == config.issuers {
            Arc::clone(&self.gate.tokens)
        } else {
            let issuers = self.gate.tokens.issuers().reconfigured(&config.issuers, metrics)?;
            tokens(&config, issuers, lasting)?
        };
        let revocations = self.events_for(&config, lasting).await?;
        let upstream = if made_of.upstream == config.upstream {
            Arc::clone(&self.upstream)
        } else if made_of.upstream.address == config.upstream.address {
            Arc::new(self.upstream.changed_to(&config.upstream))
        } else {
            Arc::new(Upstream::new(&config.upstream))
        };
        let limits = &config.listen.limits;
        let rates = self.gate.rates.changed_to(limits.requests_per_key, limits.failures_per_peer)?;
        let grounds = Grounds { tokens, revocations, upstream, rates };
        if let Err(error) = grounds.ready_within(PATIENCE, self).await {
            // What was not in force leaves no age of its keys behind.
            grounds.tokens.issuers().forgotten_for(self.gate.tokens.issuers(), metrics);
            return Err(error);
        }
        Proxy::standing_on(grounds, config, lasting, made_of.number + 1)
    }

    /// The revocations there are, or new ones: what was forgotten counts again where tokens may live longer or come from
    /// somebody new, and only the feed still has it. A transmitter that is polled says everything once, so two
    /// who poll would take it from each other.
    async fn events_for(&self, config: &Config, lasting: &Lasting) -> anyhow::Result<Arc<Revocations>> {
        let made_of = &self.made_of;
        let same = made_of.revocation == config.revocation
            && lifetimes(&made_of.issuers) == lifetimes(&config.issuers);
        if same {
            return Ok(Arc::clone(&self.gate.revocations));
        }
        let polls = |revocation: &Option<config::Revocation>| {
            revocation.iter().flat_map(|one| &one.transmitters).any(|transmitter| transmitter.poll.is_some())
        };
        if polls(&made_of.revocation) || polls(&config.revocation) {
            bail!(
                "where transmitters are polled, `revocation`, another issuer and a longer `max_token_lifetime` need a restart"
            );
        }
        let (revocation, issuers) = (config.revocation.clone(), config.issuers.clone());
        let metrics = lasting.telemetry.metrics.clone();
        // It may have to read a large snapshot.
        spawn_blocking(move || Revocations::start(revocation.as_ref(), &issuers, &metrics)).await?
    }

    /// Whether connections begin under other terms.
    pub(super) fn has_other_tls(&self, config: &Config) -> bool {
        self.made_of.tls != config.listen.tls
    }

    /// How long requests in flight may take when the sidecar stops.
    pub(super) fn drain(&self) -> Duration {
        self.made_of.drain
    }

    fn standing_on(
        grounds: Grounds,
        config: Config,
        lasting: &Lasting,
        number: u64,
    ) -> anyhow::Result<Proxy> {
        let Grounds { tokens, revocations, upstream, rates } = grounds;
        tokens.issuers().recorded_in(&lasting.audit);
        revocations.recorded_in(&lasting.audit);
        let hosts = config.listen.public_origins.iter().map(PublicHost::of).collect::<Result<_, _>>()?;
        let metadata = metadata(&config);
        let dpop = DpopPolicy { algorithms: config.dpop.algorithms, ..lasting.dpop.clone() };
        let identity = &config.identity;
        let assertions = identity.assertion.as_ref().zip(config.listen.public_origins.first());
        let assertions = assertions
            .map(|(assertion, origin)| Assertions::new(assertion, origin.as_str(), &identity.headers));
        let limits = config.listen.limits;
        let gate = Gate {
            generation: number,
            audit: lasting.audit.clone(),
            assertions,
            policy: Policy { metadata, routes: config.routes, dpop, observes: config.observes },
            tokens,
            revocations,
            nonces: Arc::clone(&lasting.nonces),
            rates,
            in_flight_per_key: limits.in_flight_per_key,
            replay: Arc::clone(&lasting.replay),
            telemetry: Arc::clone(&lasting.telemetry),
        };
        Ok(Proxy {
            gate,
            origins: config.listen.public_origins,
            hosts,
            browsers: BrowserOrigins::new(&config.listen.browser_origins)?,
            terminators: Arc::new(config.listen.client_cert_from),
            trailers: Arc::new(RequestTrailers::new(&config.identity)),
            balancers: config.listen.proxy_protocol_from,
            identity: config.identity,
            upstream,
            pseudonym: Arc::clone(&lasting.pseudonym),
            shares: Arc::clone(&lasting.shares),
            limits,
            made_of: Made {
                number,
                text: Arc::clone(config.written.text()),
                issuers: config.issuers,
                upstream: config.upstream,
                revocation: config.revocation,
                tls: config.listen.tls,
                drain: config.listen.drain,
            },
        })
    }
}

impl Grounds {
    /// Waits for what is new. What was not ready before either is no reason to stay with what was.
    async fn ready_within(&self, patience: Duration, before: &Proxy) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let missing = self.missing(before);
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("not ready within {} s: {missing}", patience.as_secs());
            }
            sleep(POLL).await;
        }
    }

    fn missing(&self, before: &Proxy) -> String {
        let lacked = before.gate.tokens.issuers().unready();
        let mut missing = String::new();
        for issuer in self.tokens.issuers().unready().iter().filter(|issuer| !lacked.contains(issuer)) {
            let _ = write!(missing, "the keys of {issuer}, ");
        }
        if before.gate.revocations.status().is_ready() && !self.revocations.status().is_ready() {
            let _ = write!(missing, "the revocation feed ({}), ", self.revocations.status().name());
        }
        if before.upstream.health() != Health::Down && self.upstream.health() == Health::Down {
            missing.push_str("the service, ");
        }
        missing.truncate(missing.len().saturating_sub(2));
        missing
    }
}

fn tokens(config: &Config, issuers: Arc<Issuers>, lasting: &Lasting) -> anyhow::Result<Arc<Tokens>> {
    let metrics = &lasting.telemetry.metrics;
    let introspection = Introspection::new(&config.issuers, &issuers, metrics)?;
    Ok(Arc::new(Tokens::new(issuers, introspection, metrics.clone())))
}

/// What is published about the routes, if anything.
pub(crate) fn metadata(config: &Config) -> Option<Metadata> {
    let issuers = config.issuers.iter().map(|issuer| &*issuer.expected.issuer);
    let origins = &config.listen.public_origins;
    let made = || Metadata::of(&config.routes, &config.dpop.algorithms, issuers, origins);
    config.listen.resource_metadata.then(made)
}

/// Whose events are remembered, and for how long.
fn lifetimes(issuers: &[config::Issuer]) -> Vec<(&str, Duration)> {
    let mut lifetimes: Vec<_> =
        issuers.iter().map(|issuer| (&*issuer.expected.issuer, issuer.expected.max_lifetime)).collect();
    lifetimes.sort_unstable();
    lifetimes
}

/// How long a new generation may take to be ready: keys to be fetched, a backlog to be read.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);
