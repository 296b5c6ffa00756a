//! `routes` as written.

use super::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of `routes`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Route {
    /// The path: literal segments, `{name}` for one segment, `{*name}` at the end for the rest, which is
    /// never empty: `/a/{*rest}` is not `/a/`.
    #[schemars(required)]
    pub(in crate::config) path: Option<String>,
    /// The admitted methods; empty admits every method.
    #[serde(default)]
    pub(in crate::config) methods: Vec<String>,
    /// The kinds of proof of possession: a list of which any one will do, or `{ all: [dpop, mtls] }`.
    #[schemars(extend("examples" = [["dpop"], { "all": ["dpop", "mtls"] }]))]
    pub(in crate::config) proof: Option<Proof>,
    /// Admits tokens that are bound to no key: whoever finds one can use it.
    #[serde(default)]
    pub(in crate::config) danger_bearer: bool,
    /// Admits everyone, without a token.
    #[serde(default)]
    pub(in crate::config) danger_unprotected: bool,
    /// Issuers whose tokens are admitted, each one of `issuers`; empty admits those of all.
    #[serde(default)]
    pub(in crate::config) issuers: Vec<String>,
    /// Clients that are admitted, by the token's `client_id`; empty admits every client.
    #[serde(default)]
    pub(in crate::config) clients: Vec<String>,
    /// Workloads that are admitted, by the SPIFFE ID in their certificate, for which an authority must vouch: each
    /// `spiffe://trust.domain/path`, or `spiffe://trust.domain/path/*` for all below it. Empty admits every caller.
    #[serde(default)]
    pub(in crate::config) spiffe_ids: Vec<String>,
    /// Scopes the token must have, all of them.
    #[serde(default)]
    pub(in crate::config) scopes: Vec<String>,
    /// Authentication context classes, best first: the token's `acr` must be one of them (RFC 9470).
    #[serde(default)]
    pub(in crate::config) acr: Vec<String>,
    /// How long ago the user may have authenticated, by the token's `auth_time` (RFC 9470): whole seconds, 1s to
    /// 365d.
    pub(in crate::config) max_auth_age: Option<Span>,
    /// A CEL expression over token, proof, certificate and request. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    #[allow(dead_code, reason = "does not work yet")]
    pub(in crate::config) condition: Option<String>,
    /// Passes CORS preflight requests for these methods to the service: OPTIONS with `Origin` and
    /// `Access-Control-Request-Method`, without credentials and content.
    #[serde(default)]
    pub(in crate::config) cors_preflight: bool,
    /// Lets responses and WebSockets go on after their token has expired; otherwise they are cut then. Revocation
    /// cuts them in either case.
    #[serde(default)]
    pub(in crate::config) outlive_token: bool,
}

/// `routes[].proof`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Proof {
    /// Any of these.
    Any(#[schemars(length(min = 1))] Vec<ProofName>),
    /// All of these.
    All(AllOf),
}

/// All of these kinds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AllOf {
    /// The kinds of proof, all of which are needed.
    #[schemars(required, length(min = 1))]
    pub(in crate::config) all: Option<Vec<ProofName>>,
}

/// A kind of proof of possession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ProofName {
    /// A DPoP proof (RFC 9449).
    Dpop,
    /// The client certificate of the connection (RFC 8705).
    Mtls,
}
