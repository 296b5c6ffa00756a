//! `audit`, checked.

use aws_lc_rs::signature::Ed25519KeyPair;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// `audit`, where a log is kept.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The file that is open for new records; closed ones lie beside it.
    pub file: PathBuf,
    /// What signs checkpoints. Its Debug shows the public key only.
    pub key: Option<Arc<Ed25519KeyPair>>,
    /// How often one is written, where there is something new.
    pub checkpoint: Duration,
    /// When records go to the disk.
    pub sync: AuditSync,
    /// What becomes of requests whose decision can't be written.
    pub on_full: OnFull,
    /// The size in bytes at which a file is closed and another begun.
    pub rotate_size: u64,
    /// The age at which it is.
    pub rotate_every: Duration,
    /// What this process is called in the records; `None`: by the host's name.
    pub replica: Option<String>,
}

/// `audit.sync`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSync {
    /// A request is granted only when its record is on the disk.
    Always,
    /// Every second, and with every checkpoint.
    Second,
    /// When the system sees fit, and when a file is closed.
    Never,
}

/// `audit.on_full`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// They are refused with 503.
    Deny,
    /// They are let through, and counted in the first record that can be written again.
    DropAndCount,
}
