//! `issuers` as written.

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
    /// Token introspection (RFC 7662): asking the issuer whether a token is active. Null asks nobody.
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
pub(in crate::config) struct Introspection {
    /// The introspection endpoint; null discovers it (RFC 8414, then OpenID Connect).
    pub(in crate::config) endpoint: Option<String>,
    /// The client id clinch uses there, with `client_secret_basic`.
    #[schemars(required)]
    pub(in crate::config) client_id: Option<String>,
    /// The file that holds its secret; a line end after it is not part of it.
    #[schemars(required)]
    pub(in crate::config) client_secret_file: Option<String>,
    /// Which tokens are introspected.
    #[serde(default)]
    pub(in crate::config) when: IntrospectWhen,
    /// How long an answer is kept, at most 5m and never beyond the token's end: so long may a token that the issuer
    /// revoked still pass. 0s keeps none.
    #[serde(default = "introspection_cache")]
    pub(in crate::config) cache: Span,
    /// How long an answer may take.
    #[serde(default = "introspection_timeout")]
    pub(in crate::config) timeout: Span,
    /// Whether answers must be signed (RFC 9701), with the issuer's keys and `algorithms`. Plain ones are
    /// refused then.
    #[serde(default)]
    pub(in crate::config) signed_answers: bool,
    /// What an answer without `aud` means.
    #[serde(default)]
    pub(in crate::config) missing_audience: MissingAudience,
}
fn introspection_cache() -> Span {
    Span::secs(10)
}
fn introspection_timeout() -> Span {
    Span::secs(2)
}

/// `issuers[].introspection.when`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum IntrospectWhen {
    /// Only tokens that are not JWTs.
    #[default]
    Opaque,
    /// Every token; a JWT is verified first, and both must agree.
    Always,
}

/// `issuers[].introspection.missing_audience`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum MissingAudience {
    /// The token is not for us (RFC 9700 section 2.3).
    #[default]
    Refuse,
    /// The server says active of nothing that is not for this client id, and is believed.
    Accept,
}
