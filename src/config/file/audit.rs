//! `audit`: the log of every decision, each record bound to the one before.

use super::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `audit`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Audit {
    /// The file of the hash-chained audit log; null keeps none. Closed files lie beside it: `audit.000000000001.jsonl`.
    pub(in crate::config) file: Option<String>,
    /// The PEM file of the Ed25519 key (PKCS #8) that signs its checkpoints; null leaves them unsigned.
    pub(in crate::config) sign_key_file: Option<String>,
    /// How often a checkpoint is written, 1s to 1h, where there is something new.
    pub(in crate::config) checkpoint: Span,
    /// When records are flushed to the disk.
    pub(in crate::config) sync: AuditSync,
    /// What happens to requests whose decision can't be written.
    pub(in crate::config) on_full: OnFull,
    /// The size at which a file is closed and another begun, 1MiB or more.
    pub(in crate::config) rotate_size: Size,
    /// The age at which it is, 1m or more.
    pub(in crate::config) rotate_every: Span,
    /// What this process is called in the records; null: the host's name.
    pub(in crate::config) replica: Option<String>,
}
impl Default for Audit {
    fn default() -> Self {
        Audit {
            file: None,
            sign_key_file: None,
            checkpoint: Span::secs(60),
            sync: AuditSync::default(),
            on_full: OnFull::default(),
            rotate_size: Size(256 * 1024 * 1024),
            rotate_every: Span::secs(24 * 60 * 60),
            replica: None,
        }
    }
}

/// `audit.sync`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum AuditSync {
    /// A request is granted only when its record is on the disk.
    Always,
    /// Every second, and with every checkpoint.
    #[default]
    Second,
    /// When the system sees fit.
    Never,
}

/// `audit.on_full`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum OnFull {
    /// They are refused with 503.
    #[default]
    Deny,
    /// They are let through, and counted in the first record that can be written again.
    DropAndCount,
}
