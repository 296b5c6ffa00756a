//! Fetching events from a transmitter (RFC 8936): clinch as the receiver on an SSF stream.
//!
//! Long polls, so that an event comes when it happens; where the transmitter answers at once with nothing, one poll a
//! second. What was put on the feed is acknowledged with the next poll, what can never be used is reported, so that it does
//! not come again and blocks nothing (POLL-03), and what may be good later is left for another delivery. Verdicts are
//! sent until the transmitter has answered them.
//!
//! Every replica polls: whichever gets a token puts it on the feed for all. A transmitter that has not told all it has for
//! longer than `max_staleness` makes the feed stale, as a silent bus does; see [`Polled`](super::feed::polled::Polled).

mod messages;

use super::SetError;
use super::receive::{How, Reception, TAKEN};
use crate::config;
use crate::state::https::{Fault, Https};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use messages::{Delivery, Verdicts};
use rustls::RootCertStore;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Polls one transmitter for ever.
pub(super) struct Poller {
    transmitter: Arc<str>,
    poll: config::Poll,
    authorization: Option<HeaderValue>,
    https: Https,
    reception: Arc<Reception>,
    max_staleness: Duration,
}

/// How far it is.
struct Progress {
    /// Not yet answered.
    verdicts: Verdicts,
    /// How many tokens are asked for.
    most: usize,
    immediately: bool,
    failures: u32,
}

impl Poller {
    /// For a transmitter that is to be polled; `None` for another.
    pub(super) fn of(
        transmitter: &config::Transmitter,
        max_staleness: Duration,
        reception: &Arc<Reception>,
        roots: RootCertStore,
    ) -> anyhow::Result<Option<Poller>> {
        let Some(poll) = transmitter.poll.clone() else { return Ok(None) };
        let authorization = poll.authorization.as_ref().map(|secret| {
            let mut value = HeaderValue::from_str(secret.expose())?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        });
        let name = Arc::clone(&transmitter.signer.expected.issuer);
        reception.intake.polled.expect(&name);
        Ok(Some(Poller {
            transmitter: name,
            authorization: authorization.transpose()?,
            poll,
            https: Https::new(&transmitter.signer.ca, roots, 1)?,
            reception: Arc::clone(reception),
            max_staleness,
        }))
    }

    pub(super) async fn run(self) {
        let verdicts = Verdicts::default();
        let mut progress = Progress { verdicts, most: MOST, immediately: true, failures: 0 };
        loop {
            let asked = Instant::now();
            let pause = match self.ask(&progress).await {
                Ok(delivery) => self.take(delivery, &mut progress, asked).await,
                Err(Fault::Slow) if !progress.immediately => {
                    // Nothing has happened, or nobody is there: the next answer tells.
                    progress.immediately = true;
                    Duration::ZERO
                }
                Err(Fault::TooLarge) if progress.most > 1 => {
                    progress.most /= 2;
                    Duration::ZERO
                }
                Err(fault) => self.failed(&fault.to_string(), &mut progress),
            };
            sleep(pause).await;
        }
    }

    async fn ask(&self, progress: &Progress) -> Result<Delivery, Fault> {
        let body = progress.verdicts.request(progress.most, progress.immediately);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.poll.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::ACCEPT, JSON);
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        // Together they leave a quarter for all else.
        let patience = self.max_staleness / if progress.immediately { 4 } else { 2 };
        let exchange = timeout(patience, self.https.exchange_up_to(MAX_BODY, request));
        let (_, body) = exchange.await.unwrap_or(Err(Fault::Slow))?;
        Delivery::parse(&body, progress.most).ok_or(Fault::Malformed)
    }

    /// Puts the tokens on the feed; returns how long to wait before the next poll.
    async fn take(&self, delivery: Delivery, progress: &mut Progress, asked: Instant) -> Duration {
        let repeated = progress.verdicts.know_all(&delivery);
        progress.verdicts = Verdicts::default();
        let (some, mut more) = (!delivery.sets.is_empty(), delivery.more);
        let (begun, mut kept) = (Instant::now(), None);
        for (jti, set) in delivery.sets {
            // What keys or feed make us wait for must not hold up the verdicts on all others: the rest comes again.
            if kept == Some(SetError::FeedUnavailable) || begun.elapsed() > self.max_staleness / 4 {
                more = true;
                break;
            }
            let taken = self.reception.take(set.as_bytes(), Some(&jti)).await;
            self.reception.note(How::Poll, taken.map_or_else(SetError::name, |()| TAKEN));
            match taken {
                Ok(()) => progress.verdicts.taken.push(jti),
                Err(SetError::KeysUnavailable | SetError::FeedUnavailable) => kept = taken.err(),
                Err(
                    error @ (SetError::InvalidRequest
                    | SetError::InvalidKey
                    | SetError::InvalidIssuer
                    | SetError::InvalidAudience),
                ) => {
                    progress.verdicts.refused.insert(jti, error);
                }
            }
        }
        if let Some(error) = kept {
            return self.failed(error.description(), progress);
        }
        if progress.failures > 0 {
            tracing::info!(transmitter = %self.transmitter, "the transmitter can be polled again");
            progress.failures = 0;
        }
        if !more {
            progress.most = MOST;
            self.reception.intake.polled.complete(&self.transmitter);
        }
        // A transmitter that repeats itself, says that it has more and gives nothing, or does not wait, is not to keep us
        // busy (RV-038).
        let idle = repeated || (!some && (more || !progress.immediately));
        progress.immediately = more || !progress.verdicts.is_empty();
        if idle { SHORTEST.saturating_sub(asked.elapsed()) } else { Duration::ZERO }
    }

    fn failed(&self, why: &str, progress: &mut Progress) -> Duration {
        progress.failures = progress.failures.saturating_add(1);
        progress.immediately = true;
        // A long outage says so once per doubling, not once per attempt.
        if progress.failures.is_power_of_two() {
            let (transmitter, failures) = (&self.transmitter, progress.failures);
            tracing::warn!(%transmitter, why, failures, "the transmitter's events can't be fetched");
        }
        let jitter = (RandomState::new().hash_one(0_u8) % 1024) as f64 / 1023.0;
        backoff(progress.failures, jitter).min(self.max_staleness / 2)
    }
}

/// 500 ms, doubled by every failure after the first, at most half a minute; up to a quarter shorter by `jitter` from 0
/// to 1, so that replicas drift apart.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY).mul_f64(1.0 - jitter / 4.0)
}

/// How many tokens are asked for, if the answers are not too large then.
const MOST: usize = 100;
/// Of an answer, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Between two polls that are answered at once with nothing new.
const SHORTEST: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(30);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_later_and_later_up_to_half_a_minute() {
        let pauses = [1, 2, 3, 7, 8, 1000].map(|failures| backoff(failures, 0.0).as_millis());
        assert_eq!(pauses, [500, 1000, 2000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff(1, 1.0).as_millis(), 375);
    }
}
