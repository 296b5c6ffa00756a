//! `revocation` as written.

use super::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `revocation`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Revocation {
    /// The feed.
    #[schemars(required)]
    pub(in crate::config) feed: Option<Feed>,
    /// Who may sign Security Event Tokens (RFC 8417). Not supported yet.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = true))]
    #[allow(dead_code, reason = "does not work yet")]
    pub(in crate::config) transmitters: Vec<Transmitter>,
    /// Whether unsigned plain events are believed: only where the bus itself is authenticated.
    #[serde(default)]
    pub(in crate::config) accept_plain: bool,
    /// How long the feed may be out of reach.
    #[serde(default = "max_staleness")]
    pub(in crate::config) max_staleness: Span,
    /// What happens when it is out of reach for longer.
    #[serde(default)]
    pub(in crate::config) on_stale: OnStale,
    /// The bound of the index, in entries.
    #[serde(default = "max_entries")]
    #[schemars(range(min = 1, max = 1000000000))]
    pub(in crate::config) max_entries: u64,
}
fn max_staleness() -> Span {
    Span::secs(30)
}
fn max_entries() -> u64 {
    20_000_000
}

/// `revocation.feed`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Feed {
    /// The kind of feed.
    #[schemars(required)]
    pub(in crate::config) kind: Option<FeedKind>,
    /// For `kind: file`: the JSON-lines journal; it is created when it does not exist.
    pub(in crate::config) path: Option<String>,
    /// For `kind: nats`: `nats://host:port` or `tls://host:port`. For `kind: redis`: `redis://host:port/db`,
    /// `redis+sentinel://host:port,host:port/master` or `redis+cluster://host:port,host:port`; `rediss` for TLS.
    /// For `kind: kafka`: `kafka://host:port,host:port`.
    pub(in crate::config) url: Option<String>,
    /// For `kind: nats`: the JetStream stream. For `kind: redis`: the stream's key.
    pub(in crate::config) stream: Option<String>,
    /// For `kind: nats`: the subject filter.
    pub(in crate::config) subject: Option<String>,
    /// For `kind: kafka`: the topic.
    pub(in crate::config) topic: Option<String>,
    /// For `kind: redis`: a PEM file of trust anchors for its TLS, in place of the system's.
    pub(in crate::config) ca: Option<String>,
    /// Whether events may also be pushed (RFC 8935). Not supported yet.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = true))]
    #[allow(dead_code, reason = "does not work yet")]
    pub(in crate::config) push: bool,
}

/// `revocation.feed.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum FeedKind {
    /// A JSON-lines journal on this machine.
    File,
    /// A NATS JetStream stream.
    Nats,
    /// A Redis stream.
    Redis,
    /// A Kafka topic; for a clinch built with `--features kafka`.
    Kafka,
}

/// `revocation.on_stale`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum OnStale {
    /// Requests are answered with 503.
    #[default]
    Deny,
    /// The issuer is asked. Not supported yet.
    #[schemars(extend("x-not-yet" = true))]
    Introspect,
    /// Requests pass although a revocation may have been missed.
    Allow,
}

/// One entry of `revocation.transmitters`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "does not work yet")]
pub(in crate::config) struct Transmitter {
    /// Its `iss`.
    #[schemars(required)]
    pub(in crate::config) issuer: Option<String>,
    /// Where its keys are.
    #[schemars(required)]
    pub(in crate::config) jwks_uri: Option<String>,
    /// The `aud` its tokens have for us.
    #[schemars(required)]
    pub(in crate::config) audience: Option<String>,
    /// The signature algorithms that are accepted.
    #[schemars(required)]
    pub(in crate::config) algorithms: Option<Vec<String>>,
}
