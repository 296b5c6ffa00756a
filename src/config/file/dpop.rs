//! `dpop` as written.

use super::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `dpop`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Dpop {
    /// The signature algorithms of proofs, in the order they are announced: ES256, ES384, EdDSA, PS256, PS384, PS512, RS256.
    #[schemars(length(min = 1))]
    pub(in crate::config) algorithms: Vec<String>,
    /// How old a proof may be, at most 10m.
    pub(in crate::config) max_age: Span,
    /// How far in the future a proof may claim to be made, at most `max_age`.
    pub(in crate::config) max_future: Span,
    /// Server-provided nonces (RFC 9449 section 8).
    pub(in crate::config) nonce: Nonce,
    /// Where used proofs are remembered.
    pub(in crate::config) replay: Replay,
}
impl Default for Dpop {
    fn default() -> Self {
        Dpop {
            algorithms: ["ES256", "EdDSA"].map(str::to_owned).to_vec(),
            max_age: Span::secs(60),
            max_future: Span::secs(5),
            nonce: Nonce::default(),
            replay: Replay::default(),
        }
    }
}

/// `dpop.nonce`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Nonce {
    /// Whether proofs must carry a nonce.
    pub(in crate::config) mode: NonceMode,
    /// How long a nonce is accepted, from 10s to 1h; a new one is offered after half of that.
    pub(in crate::config) lifetime: Span,
    /// The file of the secrets that replicas share, one a line, the one in use first; it is read again when it
    /// changes. Null draws a secret for this process alone: a proof is then good at one replica only.
    pub(in crate::config) secret_file: Option<String>,
}
impl Default for Nonce {
    fn default() -> Self {
        Nonce { mode: NonceMode::Off, lifetime: Span::secs(300), secret_file: None }
    }
}

/// `dpop.nonce.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum NonceMode {
    /// No nonces.
    #[default]
    Off,
    /// Every proof needs one.
    Required,
}

/// `dpop.replay`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "only the memory store works so far")]
pub(in crate::config) struct Replay {
    /// The kind of store.
    pub(in crate::config) store: ReplayStore,
    /// The bound, in proofs. When it is reached, further proofs are refused.
    #[schemars(range(min = 1, max = 1000000000))]
    pub(in crate::config) max_entries: u64,
    /// The URL of a shared store. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    pub(in crate::config) url: Option<String>,
    /// The NATS key-value bucket. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    pub(in crate::config) bucket: Option<String>,
}
impl Default for Replay {
    fn default() -> Self {
        Replay { store: ReplayStore::Memory, max_entries: 2_000_000, url: None, bucket: None }
    }
}

/// `dpop.replay.store`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ReplayStore {
    /// In this process.
    #[default]
    Memory,
    /// Redis, shared by replicas. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    Redis,
    /// NATS, shared by replicas. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    Nats,
}
