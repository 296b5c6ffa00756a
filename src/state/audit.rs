//! The audit log: every decision in a file, each record bound to the one before it.
//!
//! `chain` seals records, and reads the seals again; `verify` reads whole logs.

pub mod chain;
pub mod verify;

use crate::telemetry::{Record, TraceId};

/// Where decisions are kept; cheap clones.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    _nothing: (),
}

/// A decision could not be kept, and the operator wants none that is not.
#[derive(Clone, Copy, Debug)]
pub struct Unwritten;

impl Audit {
    /// Nothing is kept.
    #[must_use]
    pub fn off() -> Audit {
        Audit::default()
    }

    /// Keeps one decision.
    ///
    /// # Errors
    /// It can't be kept, and `audit.on_full` is `deny`.
    pub fn decided(&self, _record: &Record<'_>, _trace: TraceId) -> Result<(), Unwritten> {
        Ok(())
    }
}
