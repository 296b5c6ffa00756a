//! The nonce keys of the moment (RFC 9449 section 8): kept in step with the operator's secret file.
//!
//! The file is read again every few seconds, so that a secret is exchanged without a restart: put the new one
//! below the old one on every replica, then above it, then take the old one away. A file that can't be read
//! leaves the keys in force. Without a file the secret is drawn at the start: nobody shares it, so a proof
//! is good at the one replica whose nonce it carries, and after a restart at none.

use crate::config;
use crate::pop::denial::OAuthError;
use crate::pop::nonce::{Keys, Life, Nonces as Rules};
use crate::pop::{Denial, Timestamp, Verified, sha256};
use anyhow::Context;
use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::rand;
use http::HeaderValue;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// The rules and keys for nonces. Dropping it ends the reading.
#[derive(Debug)]
pub struct Nonces {
    current: Arc<ArcSwap<Rules>>,
    _reading: JoinSet<()>,
}

impl Nonces {
    /// With the secrets that the configuration has read, and takes out of it, or with one of our own. Needs a tokio runtime where
    /// there is a file.
    ///
    /// # Errors
    /// No randomness, or no key can be made.
    pub fn start(config: &mut config::Nonces) -> anyhow::Result<Nonces> {
        let life: Life = random()?;
        let (keys, file) = match config.secret.take() {
            Some(secret) => (secret.keys, Some((secret.file, secret.digest))),
            None => (Keys::of_this_process(&random()?).map_err(anyhow::Error::msg)?, None),
        };
        let rules = Rules { required: config.required, lifetime: config.lifetime, life, keys };
        let current = Arc::new(ArcSwap::from_pointee(rules));
        let mut reading = JoinSet::new();
        if let Some((file, digest)) = file {
            reading.spawn(follow(file, digest, Arc::clone(&current)));
        }
        Ok(Nonces { current, _reading: reading })
    }

    /// What proofs are judged by now.
    pub fn current(&self) -> Guard<Arc<Rules>> {
        self.current.load()
    }

    /// The value of `DPoP-Nonce` for a refusal: there is one if the refusal asks for it (RFC 9449 section 9;
    /// DPOP-39).
    pub fn demanded_by(&self, denial: Denial, now: Timestamp) -> Option<HeaderValue> {
        let asks = denial.error() == OAuthError::UseDpopNonce;
        let nonce = asks.then(|| self.current().issue(now)).flatten()?;
        HeaderValue::try_from(nonce).ok()
    }

    /// The value of `DPoP-Nonce` for the answer to an admitted request, when its nonce has seen its best days
    /// (RFC 9449 section 8.2; DPOP-37).
    pub fn renewal_for(&self, verified: &Verified, clock: impl Fn() -> Timestamp) -> Option<HeaderValue> {
        let nonce = verified.proof()?.nonce()?;
        HeaderValue::try_from(self.current().renewal(nonce, clock())?).ok()
    }
}

/// Reads the file again and again, and takes what is good and new.
async fn follow(file: PathBuf, mut known: [u8; 32], current: Arc<ArcSwap<Rules>>) {
    let mut failing = false;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match read(&file, &known).await {
            Ok(Some((digest, keys))) => {
                let before = current.load();
                let Rules { required, lifetime, life, .. } = **before;
                tracing::info!(file = %file.display(), ?keys, "the nonce secrets are new");
                current.store(Arc::new(Rules { required, lifetime, life, keys }));
                (known, failing) = (digest, false);
            }
            Ok(None) => failing = false,
            Err(why) => {
                if !failing {
                    tracing::warn!(file = %file.display(), %why, "the nonce secrets can't be read: the old ones stay");
                }
                failing = true;
            }
        }
    }
}

/// The file's digest and keys, if they are not those that are known.
async fn read(file: &Path, known: &[u8; 32]) -> anyhow::Result<Option<([u8; 32], Keys)>> {
    let bytes = tokio::fs::read(file).await?;
    let digest = sha256::of(&bytes);
    if digest == *known {
        return Ok(None);
    }
    let text = std::str::from_utf8(&bytes).context("it is not text")?;
    let keys = Keys::read(text).map_err(anyhow::Error::msg)?;
    Ok(Some((digest, keys)))
}

fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(bytes)
}

/// How soon a changed file is noticed.
const PERIOD: Duration = Duration::from_secs(2);
