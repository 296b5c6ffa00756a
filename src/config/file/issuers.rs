//! `issuers` and `dpop` as written.

use super::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of `issuers`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Issuer {
    /// The issuer identifier (RFC 8414 section 2), compared character by character with `iss`.
    #[schemars(required)]
    pub(in crate::config) issuer: Option<String>,
    /// A token's `aud` must contain one of these.
    #[schemars(required, length(min = 1))]
    pub(in crate::config) audiences: Option<Vec<String>>,
    /// The signature algorithms that are accepted: ES256, ES384, EdDSA, PS256, PS384, PS512, RS256.
    #[serde(default = "algorithms")]
    #[schemars(length(min = 1))]
    pub(in crate::config) algorithms: Vec<String>,
    /// The accepted `typ` values; add JWT for servers that do not follow RFC 9068.
    #[serde(default = "token_types")]
    #[schemars(length(min = 1))]
    pub(in crate::config) token_types: Vec<String>,
    /// Where the keys are; null discovers them (RFC 8414, then OpenID Connect).
    pub(in crate::config) jwks_uri: Option<String>,
    /// A PEM file of extra trust anchors for the issuer's own TLS.
    pub(in crate::config) ca: Option<String>,
    /// How the keys are kept fresh.
    #[serde(default)]
    pub(in crate::config) jwks: Jwks,
    /// The longest time from `iat` to `exp` that is accepted.
    #[serde(default = "max_token_lifetime")]
    pub(in crate::config) max_token_lifetime: Span,
    /// Token introspection (RFC 7662). Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    #[allow(dead_code, reason = "does not work yet")]
    pub(in crate::config) introspection: Option<Introspection>,
}
fn algorithms() -> Vec<String> {
    ["ES256", "PS256", "EdDSA"].map(str::to_owned).to_vec()
}
fn token_types() -> Vec<String> {
    vec!["at+jwt".to_owned()]
}
fn max_token_lifetime() -> Span {
    Span::secs(3600)
}

/// `issuers[].jwks`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Jwks {
    /// How often the keys are fetched.
    pub(in crate::config) refresh: Span,
    /// The least time between two fetches that unknown key ids cause.
    pub(in crate::config) cooldown: Span,
    /// How long the last good keys serve when fetches fail.
    pub(in crate::config) max_stale: Span,
}
impl Default for Jwks {
    fn default() -> Self {
        Jwks { refresh: Span::secs(300), cooldown: Span::secs(10), max_stale: Span::secs(86_400) }
    }
}

/// `issuers[].introspection`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "does not work yet")]
pub(in crate::config) struct Introspection {
    /// The introspection endpoint.
    #[schemars(required)]
    pub(in crate::config) endpoint: Option<String>,
    /// The client id clinch uses there.
    #[schemars(required)]
    pub(in crate::config) client_id: Option<String>,
    /// The file that holds its secret.
    #[schemars(required)]
    pub(in crate::config) client_secret_file: Option<String>,
    /// Which tokens are introspected.
    #[serde(default)]
    pub(in crate::config) when: IntrospectWhen,
    /// How long an answer is kept.
    #[serde(default = "introspection_cache")]
    pub(in crate::config) cache: Span,
}
fn introspection_cache() -> Span {
    Span::secs(10)
}

/// `issuers[].introspection.when`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum IntrospectWhen {
    /// Only tokens that are not JWTs.
    #[default]
    Opaque,
    /// Every token.
    Always,
}

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
#[allow(dead_code, reason = "nothing in it works yet")]
pub(in crate::config) struct Nonce {
    /// Whether proofs must carry a nonce.
    pub(in crate::config) mode: NonceMode,
    /// How long a nonce is accepted. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    pub(in crate::config) lifetime: Span,
    /// The file of the secret that replicas share. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    pub(in crate::config) secret_file: Option<String>,
}
impl Default for Nonce {
    fn default() -> Self {
        Nonce { mode: NonceMode::Off, lifetime: Span::secs(300), secret_file: None }
    }
}

/// `dpop.nonce.mode`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum NonceMode {
    /// No nonces.
    #[default]
    Off,
    /// Every proof needs one. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
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
