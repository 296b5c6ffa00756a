//! Exact, bounded, in this process: used proofs in buckets by expiry, dropped whole.
use crate::pop::jwk::Thumbprint;
use crate::pop::{Denial, Timestamp};

/// The replay memory.
#[derive(Debug)]
pub struct Memory;
impl Memory {
    /// An empty memory for at most `max_entries` proofs.
    pub fn new(_max_entries: usize) -> Memory {
        todo!()
    }
    /// Remembers (jkt, jti) until then; one atomic step. `ProofReplayed` or `ReplayFull`.
    pub fn insert(
        &self,
        _jkt: &Thumbprint,
        _jti: &str,
        _until: Timestamp,
        _now: Timestamp,
    ) -> Result<(), Denial> {
        todo!()
    }
    /// How many are remembered.
    pub fn len(&self) -> usize {
        todo!()
    }
}
