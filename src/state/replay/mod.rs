//! Proofs that were used (RFC 9449 section 11.1): the last check, because it is the only one that writes.
//!
//! Decides that a proof has not been used before, and holds the one constructor of [`Grant`]. Does not
//! decide how identity headers look: that is [`pop::identity`](crate::pop::identity).

pub mod era;
pub mod memory;
mod nats;
mod redis;
pub mod shared;

use crate::config;
use crate::pop::policy::DpopPolicy;
use crate::pop::{Denial, Timestamp, Verified};
use crate::state::assertions::Assertions;
use crate::state::revocation::{OpenRequest, Unrevoked};
use crate::telemetry::{ReplayMetrics, Steps};
use era::Era;
use http::{HeaderMap, HeaderName, HeaderValue};
use memory::Memory;
use shared::{Shared, StoreStatus};
use std::sync::Arc;

/// The whole verdict: only this can produce identity headers.
#[derive(Debug)]
pub struct Grant {
    of: Unrevoked,
    assertion: Option<Arc<HeaderValue>>,
}

impl Grant {
    /// What was verified.
    pub fn verified(&self) -> &Verified {
        self.of.verified()
    }
    /// The request as one that may be ended while it is open.
    pub fn into_open(self) -> OpenRequest {
        self.of.into_open()
    }
    /// The same with an assertion of the caller's identity, which is written with the headers.
    ///
    /// # Errors
    /// [`Denial::Internal`] if it can't be signed.
    pub fn asserted(self, assertions: &Assertions, now: Timestamp) -> Result<Grant, Denial> {
        let assertion = assertions.of(self.verified(), self.of.standing().mark(), now)?;
        Ok(Grant { assertion: Some(assertion), ..self })
    }
    /// Writes the identity headers for the service.
    pub fn write_identity(&self, extra: &[(HeaderName, String)], headers: &mut HeaderMap) {
        crate::pop::identity::write(self.verified(), extra, headers);
        self.of.standing().write(headers);
        if let Some(assertion) = &self.assertion {
            crate::pop::assertion::write(assertion, headers);
        }
    }
}

/// Where used proofs are remembered.
#[derive(Debug)]
pub enum ReplayStore {
    /// In this process, since it started.
    Memory(Memory, Era),
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
        era: Era,
        metrics: &ReplayMetrics,
    ) -> anyhow::Result<ReplayStore> {
        let memory = Memory::new(config.max_entries);
        Ok(match &config.shared {
            None => ReplayStore::Memory(memory, era),
            Some(config) => ReplayStore::Shared(Shared::start(config, (memory, era), dpop, metrics.clone())?),
        })
    }

    /// The one constructor of [`Grant`]: remembers the proof, or refuses it as seen before. A request
    /// whose possession was proved by its certificate alone has no proof to remember. What is remembered is never
    /// taken out again (DPOP-47, RP-018).
    ///
    /// # Errors
    /// [`Denial::ProofReplayed`]; [`Denial::ProofBeforeStart`] if it may have been used before the memory began;
    /// [`Denial::ReplayFull`] if the memory can't tell or can't remember; and what [`Shared::claim`] adds to these.
    pub async fn claim(
        &self,
        unrevoked: Unrevoked,
        now: Timestamp,
        steps: Steps<'_>,
    ) -> Result<Grant, Denial> {
        if let Some(proof) = unrevoked.verified().proof() {
            match self {
                ReplayStore::Memory(memory, era) => {
                    if era.doubts(proof) {
                        return Err(Denial::ProofBeforeStart);
                    }
                    memory.insert(proof.key(), proof.jti(), proof.acceptable_until(), now)?;
                    era.admitted(proof);
                }
                // On the heap, so that requests that never wait for a store do not carry the room for it.
                ReplayStore::Shared(shared) => Box::pin(shared.claim(proof, now, steps)).await?,
            }
        }
        Ok(Grant { of: unrevoked, assertion: None })
    }

    /// How many proofs are remembered in this process.
    pub fn len(&self) -> usize {
        self.memory().len()
    }

    /// From when on a successor with an empty memory can take no proof that was used here for a new one.
    pub fn settled_at(&self) -> Timestamp {
        match self {
            ReplayStore::Memory(_, era) => era.settled_at(),
            ReplayStore::Shared(shared) => shared.settled_at(),
        }
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
            ReplayStore::Memory(..) => StoreStatus::Off,
            ReplayStore::Shared(shared) => shared.status(),
        }
    }

    /// Whether proofs can be decided on: a store that is out of reach is no obstacle where `on_unavailable`
    /// lets this process decide alone.
    pub fn is_ready(&self) -> bool {
        match self {
            ReplayStore::Memory(..) => true,
            ReplayStore::Shared(shared) => shared.is_ready(),
        }
    }

    fn memory(&self) -> &Memory {
        match self {
            ReplayStore::Memory(memory, _) => memory,
            ReplayStore::Shared(shared) => shared.memory(),
        }
    }
}

#[cfg(test)]
mod tests;
