//! One issuer that is asked about tokens: from its kept answers if there is one, else from its server, within
//! bounds.
//!
//! What is the server's failure or ours is never a refusal: the token may be good (INTR-06, RFC 7662 section 2.3).

use super::answers::Answers;
use super::ask::Endpoint;
use super::breaker::Breaker;
use super::flights::{Flights, Outcome};
use crate::config::{Introspection, Issuer};
use crate::pop::access_token::{AccessToken, TokenHash};
use crate::pop::introspection::Answer;
use crate::pop::{Denial, Timestamp};
use crate::state::https::Fault;
use crate::state::issuers::Issuers;
use crate::telemetry::{Metrics, Part, Steps};
use http::StatusCode;
use rustls::RootCertStore;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// An issuer with an introspection endpoint.
#[derive(Debug)]
pub struct Authority {
    pub(super) name: Arc<str>,
    pub(super) always: bool,
    pub(super) answers: Answers,
    endpoint: Endpoint,
    flights: Arc<Flights>,
    at_once: Semaphore,
    breaker: Breaker,
    failures: AtomicU32,
    limit: Duration,
    metrics: Metrics,
}

/// A token that is asked about.
#[derive(Clone)]
pub(super) struct Question<'t> {
    pub(super) token: &'t str,
    pub(super) hash: TokenHash,
    /// For a JWT: what we verified ourselves, and the answer must agree with.
    pub(super) verified: Option<Arc<AccessToken>>,
    pub(super) now: Timestamp,
    pub(super) steps: Steps<'t>,
}

impl Authority {
    pub(super) fn new(
        issuer: &Issuer,
        config: &Introspection,
        roots: RootCertStore,
        issuers: Arc<Issuers>,
        metrics: Metrics,
    ) -> anyhow::Result<Authority> {
        metrics.introspections.expected(&issuer.expected.issuer);
        Ok(Authority {
            name: Arc::clone(&issuer.expected.issuer),
            always: config.always,
            answers: Answers::new(config.cache),
            endpoint: Endpoint::new(issuer, config, roots, issuers)?,
            flights: Flights::new(MAX_QUESTIONS, MAX_WAITING),
            at_once: Semaphore::new(MAX_AT_ONCE),
            breaker: Breaker::default(),
            failures: AtomicU32::new(0),
            limit: config.timeout,
            metrics,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the issuer says of the token, now or a moment ago.
    pub(super) async fn outcome(self: &Arc<Self>, question: Question<'_>) -> Outcome {
        let (hash, now) = (question.hash, question.now);
        if let Some(good) = self.answers.good(&hash, now) {
            return good;
        }
        if let Some(denial) = self.answers.refused(&hash) {
            return Err(denial);
        }
        // Who keeps no answers wants none that was asked for before.
        let join = self.answers.are_kept();
        let ask = || Arc::clone(self).settle(question.token.to_owned(), hash, question.verified, now);
        let mut step = question.steps.ask("introspect token");
        step.say("clinch.issuer", &self.name);
        let outcome = self.flights.outcome(hash, join, ask).await;
        let outcome = outcome.unwrap_or_else(|| self.gave_up("overloaded"));
        step.ends(&outcome);
        outcome
    }

    /// Asks the server, judges its answer and keeps what came of it.
    async fn settle(
        self: Arc<Self>,
        token: String,
        hash: TokenHash,
        verified: Option<Arc<AccessToken>>,
        now: Timestamp,
    ) -> Outcome {
        let deadline = Instant::now() + self.limit;
        let Ok(Ok(_place)) = timeout_at(deadline, self.at_once.acquire()).await else {
            return self.gave_up("overloaded");
        };
        if !self.breaker.admits(Instant::now().into_std()) {
            return self.gave_up("breaker_open");
        }
        let started = Instant::now();
        let answer = timeout_at(deadline, self.endpoint.ask(&token, now)).await.unwrap_or(Err(Fault::Slow));
        self.record(&answer, started.elapsed());
        let terms = &self.endpoint.terms;
        let outcome = match (answer, verified) {
            (Err(_), _) => Err(Denial::IntrospectionUnavailable),
            (Ok(answer), Some(verified)) => answer.confirm(&verified, terms, now),
            (Ok(answer), None) => answer.establish(&token, hash, terms, now).map(Arc::new),
        };
        self.answers.keep(hash, &outcome, token.len(), now);
        outcome
    }

    fn gave_up(&self, result: &'static str) -> Outcome {
        self.metrics.introspections.done(&self.name, result, None);
        Err(Denial::IntrospectionUnavailable)
    }

    /// Counts, and tells the breaker how the server is.
    fn record(&self, answer: &Result<Answer, Fault>, elapsed: Duration) {
        let metrics = &self.metrics.introspections;
        let result = match answer {
            Ok(Answer::Active(_)) => "active",
            Ok(Answer::Inactive) => "inactive",
            Err(fault) => fault.name(),
        };
        metrics.done(&self.name, result, Some(elapsed));
        self.metrics.timing.took(Part::Introspection, elapsed);
        if let Err(fault) = answer {
            self.say(fault);
        }
        match answer {
            Err(fault) if !is_about_the_token(fault) => {
                if self.breaker.failed(Instant::now().into_std(), jitter()) {
                    metrics.breaker(&self.name, true);
                }
            }
            Ok(_) | Err(_) => {
                if self.breaker.succeeded() {
                    metrics.breaker(&self.name, false);
                    tracing::info!(issuer = %self.name, "tokens can be introspected again");
                }
            }
        }
        if answer.is_ok() {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A long outage says so once per doubling, not once per request.
    fn say(&self, fault: &Fault) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures.is_power_of_two() {
            let name = fault.name();
            tracing::warn!(issuer = %self.name, fault = name, why = %fault, failures, "tokens can't be introspected");
        }
    }
}

/// Answers that blame the one request: anybody can send a token that a server will not look at, and that must not
/// take the others' way to it.
fn is_about_the_token(fault: &Fault) -> bool {
    let statuses = [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::URI_TOO_LONG,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    ];
    statuses.iter().any(|status| *fault == Fault::Status(*status))
}

/// From 0 to 1.
fn jitter() -> f64 {
    (RandomState::new().hash_one(0_u8) % 1024) as f64 / 1023.0
}

/// Questions that have a place: under way, or waiting to be.
const MAX_QUESTIONS: usize = 512;
/// Questions to one server at the same time.
const MAX_AT_ONCE: usize = 64;
/// Requests that wait for answers of one server: fewer than may be in flight, so that a slow one does not take
/// every request's place.
const MAX_WAITING: usize = 512;
