//! `dpop` as written.

use super::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `dpop`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Dpop {
    /// The signature algorithms of proofs, in the order they are announced: ES256, ES384, EdDSA, PS256,
    /// PS384, PS512, RS256.
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
pub(in crate::config) struct Replay {
    /// The kind of store.
    pub(in crate::config) store: ReplayStore,
    /// The bound of this process's own memory, in proofs. When it is reached, further proofs are refused.
    #[schemars(range(min = 1, max = 1000000000))]
    pub(in crate::config) max_entries: u64,
    /// For `store: redis`: `redis://` or `rediss://[USER:PASSWORD@]HOST[:PORT][/DB]`. For `store: nats`:
    /// `nats://` or `tls://[USER:PASSWORD@]HOST[:PORT]`.
    pub(in crate::config) url: Option<String>,
    /// For `store: nats`: the key-value bucket; it is made when it does not exist.
    pub(in crate::config) bucket: Option<String>,
    /// A PEM file of trust anchors for a shared store's TLS, in place of the system's.
    pub(in crate::config) ca: Option<String>,
    /// How long a request may wait for a shared store, from 10ms to 5s.
    pub(in crate::config) timeout: Span,
    /// What happens to a proof when a shared store gives no answer.
    pub(in crate::config) on_unavailable: OnUnavailable,
}
impl Default for Replay {
    fn default() -> Self {
        Replay {
            store: ReplayStore::Memory,
            max_entries: 2_000_000,
            url: None,
            bucket: None,
            ca: None,
            timeout: Span(Duration::from_millis(250)),
            on_unavailable: OnUnavailable::Deny,
        }
    }
}

/// `dpop.replay.store`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ReplayStore {
    /// In this process.
    #[default]
    Memory,
    /// Redis 6.2 or later, or Valkey, shared by replicas.
    Redis,
    /// A NATS JetStream key-value bucket, shared by replicas; nats-server 2.10 or later.
    Nats,
}

/// `dpop.replay.on_unavailable`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum OnUnavailable {
    /// It is refused with 503.
    #[default]
    Deny,
    /// This process's own memory alone decides: a proof used at another replica passes.
    Allow,
}
