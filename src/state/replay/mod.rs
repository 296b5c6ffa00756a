//! Proofs that were used (RFC 9449 section 11.1).
pub mod memory;
use crate::pop::{Denial, Timestamp, Verified};
use crate::state::revocation::Unrevoked;
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
    /// In this process.
    Memory(memory::Memory),
}
impl ReplayStore {
    /// The one constructor of [`Grant`]: remembers the proof, or refuses it as seen before.
    pub async fn claim(&self, unrevoked: Unrevoked, now: Timestamp) -> Result<Grant, Denial> {
        if let Some(proof) = unrevoked.verified().proof() {
            match self {
                ReplayStore::Memory(memory) => {
                    memory.insert(proof.key(), proof.jti(), proof.acceptable_until(), now)?
                }
            }
        }
        Ok(Grant(unrevoked))
    }
}
