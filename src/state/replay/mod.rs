//! Proofs that were used (RFC 9449 section 11.1): the last check, because it is the only one that writes.
//!
//! Decides that a proof has not been used before, and holds the one constructor of [`Grant`]. Does not
//! decide how identity headers look: that is [`pop::identity`](crate::pop::identity).

pub mod memory;
mod nats;
mod redis;
pub mod shared;

use crate::config;
use crate::pop::policy::DpopPolicy;
use crate::pop::{Denial, Timestamp, Verified};
use crate::state::revocation::Unrevoked;
use crate::telemetry::ReplayMetrics;
use http::{HeaderMap, HeaderName};
use memory::Memory;
use shared::{Shared, StoreStatus};

/// The whole verdict: only this can produce identity headers.
#[derive(Debug)]
pub struct Grant(Unrevoked);

impl Grant {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        self.0.verified()
    }
    /// Writes the identity headers for the service.
    pub fn write_identity(&self, extra: &[(HeaderName, String)], headers: &mut HeaderMap) {
        crate::pop::identity::write(self.verified(), extra, headers)
    }
}

/// Where used proofs are remembered.
#[derive(Debug)]
pub enum ReplayStore {
    /// In this process.
    Memory(Memory),
    /// In this process, and in a store that replicas share.
    Shared(Shared),
}

impl ReplayStore {
    /// Starts what the configuration asks for. A shared store needs a tokio runtime.
    ///
    /// # Errors
    /// What no waiting would heal, such as an address that is none. A store that can't be reached is not among
    /// it: it is tried for ever.
    pub fn start(
        config: &config::Replay,
        dpop: &DpopPolicy,
        metrics: &ReplayMetrics,
    ) -> anyhow::Result<ReplayStore> {
        let memory = Memory::new(config.max_entries);
        Ok(match &config.shared {
            None => ReplayStore::Memory(memory),
            Some(config) => ReplayStore::Shared(Shared::start(config, memory, dpop, metrics.clone())?),
        })
    }

    /// The one constructor of [`Grant`]: remembers the proof, or refuses it as seen before. A request
    /// whose possession was proved by its certificate alone has no proof to remember. Whatever the answer, the
    /// proof is spent (DPOP-47, RP-018): nothing is ever taken out again.
    ///
    /// # Errors
    /// [`Denial::ProofReplayed`]; [`Denial::ReplayFull`] if the memory can't tell or can't remember;
    /// [`Denial::ProofBeforeStart`] if the proof may have been used before the memory began; and what
    /// [`Shared::claim`] adds to these.
    pub async fn claim(&self, unrevoked: Unrevoked, now: Timestamp) -> Result<Grant, Denial> {
        if let Some(proof) = unrevoked.verified().proof() {
            let since = match self {
                ReplayStore::Memory(memory) => {
                    memory.insert(proof.key(), proof.jti(), proof.acceptable_until(), now)?;
                    None
                }
                ReplayStore::Shared(shared) => shared.claim(proof, now).await?,
            };
            // What the memory has held since then, it would know. An older proof may have been used.
            if since.is_some_and(|since| proof.acceptable_from() <= since) {
                return Err(Denial::ProofBeforeStart);
            }
        }
        Ok(Grant(unrevoked))
    }

    /// How many proofs are remembered in this process.
    pub fn len(&self) -> usize {
        self.memory().len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many proofs were refused because the wall clock was stepped back.
    pub fn refused_blindly(&self) -> u64 {
        self.memory().refused_blindly()
    }

    /// How the shared store is, for `/ready` and metrics.
    pub fn status(&self) -> StoreStatus {
        match self {
            ReplayStore::Memory(_) => StoreStatus::Off,
            ReplayStore::Shared(shared) => shared.status(),
        }
    }

    /// Whether proofs can be decided on: a store that is out of reach is no obstacle where `on_unavailable`
    /// lets this process decide alone.
    pub fn is_ready(&self) -> bool {
        match self {
            ReplayStore::Memory(_) => true,
            ReplayStore::Shared(shared) => shared.is_ready(),
        }
    }

    fn memory(&self) -> &Memory {
        match self {
            ReplayStore::Memory(memory) => memory,
            ReplayStore::Shared(shared) => shared.memory(),
        }
    }
}

#[cfg(test)]
mod tests;
