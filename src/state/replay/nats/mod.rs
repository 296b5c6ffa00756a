//! Used proofs in a key-value bucket of NATS JetStream (nats-server 2.10 or later).
//!
//! A proof is one message on a subject of its own, published on the condition that the subject has none: that is
//! how the bucket's create works, and the server decides it in one step. A key that somebody deleted leaves a
//! marker and stays used.
//!
//! The bucket's `max_age` forgets. It is as long as any proof can last, so there is no time to live for each
//! message, which older servers do not know and which would gain seconds. A proof that would outlive the bucket's
//! memory by the server's clock is refused.
//!
//! With each proof the mark of the bucket is read, on the same connection at the same time: a message that is
//! renewed before it ends and hands on when the first of its line was stored. When the line breaks, because the
//! bucket was purged or made anew, the memory has just begun. What a server loses of its last writes when it
//! crashes shows in the sequence, which never goes back.

mod bucket;
mod clock;

use super::shared::{Answer, Arrival, Claim, Trouble, Verdict};
use crate::pop::Timestamp;
use anyhow::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::{ConnectOptions, ServerAddr};
use bucket::{Bucket, Mark};
use clock::Clock;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;

/// A bucket, known by the address of a server and its name.
pub(super) struct Target {
    address: ServerAddr,
    options: Box<dyn Fn() -> ConnectOptions + Send + Sync>,
    bucket: String,
    longest: Duration,
}

impl Target {
    /// `longest` is the longest time for which a proof may be accepted.
    pub(super) fn new(
        url: &str,
        bucket: &str,
        ca: &[CertificateDer<'static>],
        longest: Duration,
    ) -> anyhow::Result<Target> {
        // What the crate says of a bad URL might contain it.
        let address: ServerAddr =
            url.parse().ok().context("dpop.replay.url is not an address of a NATS server")?;
        let login = address.username().zip(address.password());
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let tls = if ca.is_empty() { None } else { Some(trusting(ca)?) };
        let options = move || {
            let mut options = ConnectOptions::new().name("clinch").max_reconnects(1);
            if let Some((user, password)) = &login {
                options = options.user_and_password(user.clone(), password.clone());
            }
            if let Some(tls) = &tls {
                options = options.tls_client_config(tls.clone());
            }
            options
        };
        let (options, bucket) = (Box::new(options), bucket.to_owned());
        Ok(Target { address, options, bucket, longest })
    }

    /// Connects and learns the age of the bucket, which is made if it is not there.
    pub(super) async fn connect(&self, patience: Duration) -> Result<(Session, Arrival), Trouble> {
        let (over, ended) = watch::channel(false);
        let over = Arc::new(over);
        let options = (self.options)().connection_timeout(patience).request_timeout(Some(patience));
        let options = options.event_callback(move |event| {
            let over = Arc::clone(&over);
            async move {
                // The client would connect again by itself, and who knows to whom.
                if matches!(event, async_nats::Event::Disconnected | async_nats::Event::Closed) {
                    over.send_replace(true);
                }
            }
        });
        let client = options.connect(self.address.clone()).await.map_err(Trouble::failed)?;
        let bucket = Bucket::open(client, &self.bucket, self.longest).await?;
        let (clock, state) = bucket.look().await?;
        let (created, writes) = (state.created, state.writes);
        let mark = bucket.mark_or_make().await?;
        let arrival = Arrival { identity: created, since: mark.since, at: clock.at_most(), writes };
        let highest = AtomicU64::new(writes);
        Ok((Session { bucket, clock: Mutex::new(clock), highest, ended }, arrival))
    }
}

/// TLS that trusts these and nobody else.
fn trusting(ca: &[CertificateDer<'static>]) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for anchor in ca {
        roots.add(anchor.clone()).context("dpop.replay.ca")?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// One connection, shared by all requests.
#[derive(Debug)]
pub(super) struct Session {
    bucket: Bucket,
    clock: Mutex<Clock>,
    /// The highest sequence that the bucket has told.
    highest: AtomicU64,
    ended: watch::Receiver<bool>,
}

impl Session {
    /// Remembers, if absent, for as long as the bucket remembers anything (RP-009, RP-010).
    pub(super) async fn claim(&self, claim: &Claim) -> Result<Answer, Trouble> {
        let before = self.highest.load(Relaxed);
        let earliest = self.clock.lock().at_least();
        let (put, mark) = tokio::join!(self.bucket.put(&claim.key, 0, ""), self.bucket.mark_or_make());
        let clock = *self.clock.lock();
        let (at, latest) = (clock.at_least(), clock.at_most());
        let verdict = match put {
            Ok(sequence) if sequence <= before => {
                return Err(Trouble::failed("the bucket has lost messages"));
            }
            Ok(sequence) => {
                self.highest.fetch_max(sequence, Relaxed);
                self.judge(claim, earliest, latest)
            }
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Verdict::Seen,
            Err(error) => return Err(Trouble::failed(error)),
        };
        Ok(Answer::new(verdict, mark?.since, at))
    }

    /// A new one: was it stored within its window, and long enough? By the server's clock, where that was
    /// between `earliest` and `latest`.
    fn judge(&self, claim: &Claim, earliest: Timestamp, latest: Timestamp) -> Verdict {
        if latest > claim.until {
            Verdict::Late
        } else if earliest < claim.from || self.bucket.forgets_before(claim.keep_until(), earliest) {
            Verdict::Early
        } else {
            Verdict::Fresh
        }
    }

    /// A sign of life: the clock is read again, and the mark is renewed in good time.
    pub(super) async fn check(&self) -> Result<(), Trouble> {
        let before = self.highest.load(Relaxed);
        let (clock, state) = self.bucket.look().await?;
        if state.writes < before {
            return Err(Trouble::failed("the bucket has lost messages"));
        }
        self.highest.fetch_max(state.writes, Relaxed);
        *self.clock.lock() = clock;
        let mark = self.bucket.mark_or_make().await?;
        self.renew(&mark).await
    }

    async fn renew(&self, mark: &Mark) -> Result<(), Trouble> {
        let at = self.clock.lock().at_least();
        if at.since(mark.stored) > self.bucket.renewal() { self.bucket.renew(mark).await } else { Ok(()) }
    }

    /// Returns when the connection is gone.
    pub(super) async fn ended(&self) -> Trouble {
        // The sender goes with the client, which this session keeps.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
        Trouble::failed("the connection was lost")
    }

    pub(super) fn writes(&self) -> u64 {
        self.highest.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let longest = Duration::from_secs(70);
        let target = Target::new("nats://clinch:s3cret@127.0.0.1:1", "b", &[], longest);
        assert!(target.is_ok_and(|target| !format!("{target:?}").contains("s3cret")));
        let error = Target::new("nats://clinch:s3cret@:x/", "b", &[], longest).err();
        assert!(error.is_some_and(|error| !format!("{error:?} {error:#}").contains("s3cret")));
    }
}
