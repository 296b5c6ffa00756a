//! Proofs that were used (RFC 9449 section 11.1): the last check, because it is the only one that writes.
//!
//! Decides that a proof has not been used before, and holds the one constructor of [`Grant`]. Does not
//! decide how identity headers look: that is [`pop::identity`](crate::pop::identity).

pub mod era;
pub mod memory;

use crate::pop::{Denial, Timestamp, Verified};
use crate::state::revocation::Unrevoked;
use era::Era;
use http::{HeaderMap, HeaderName};

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
    /// In this process, since it started.
    Memory(memory::Memory, Era),
}

impl ReplayStore {
    /// The one constructor of [`Grant`]: remembers the proof, or refuses it as seen before. A request
    /// whose possession was proved by its certificate alone has no proof to remember.
    ///
    /// # Errors
    /// [`Denial::ProofReplayed`]; [`Denial::ProofBeforeStart`] if it may have been used before the memory began; [`Denial::ReplayFull`] if the store can't tell or can't remember.
    pub async fn claim(&self, unrevoked: Unrevoked, now: Timestamp) -> Result<Grant, Denial> {
        if let Some(proof) = unrevoked.verified().proof() {
            match self {
                ReplayStore::Memory(memory, era) => {
                    if era.doubts(proof) {
                        return Err(Denial::ProofBeforeStart);
                    }
                    memory.insert(proof.key(), proof.jti(), proof.acceptable_until(), now)?;
                    era.admitted(proof);
                }
            }
        }
        Ok(Grant(unrevoked))
    }

    /// How many proofs are remembered.
    pub fn len(&self) -> usize {
        match self {
            ReplayStore::Memory(memory, _) => memory.len(),
        }
    }

    /// From when on a successor with an empty memory can take no proof that was used here for a new one.
    pub fn settled_at(&self) -> Timestamp {
        match self {
            ReplayStore::Memory(_, era) => era.settled_at(),
        }
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
