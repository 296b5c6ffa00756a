//! `revocation` as written.

use super::{Span, Transmitter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `revocation`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Revocation {
    /// The feed.
    #[schemars(required)]
    pub(in crate::config) feed: Option<Feed>,
    /// Who may sign Security Event Tokens (RFC 8417).
    #[serde(default)]
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
    /// Where the index is kept over restarts, so that a start reads only what is new; default nowhere. Not for
    /// `kind: file`: a journal is read whole at every start.
    pub(in crate::config) snapshot: Option<Snapshot>,
}
fn max_staleness() -> Span {
    Span::secs(30)
}
fn max_entries() -> u64 {
    20_000_000
}

/// `revocation.snapshot`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Snapshot {
    /// The file, in a directory where only clinch may write; `.new` and `.refused` are put beside it.
    #[schemars(required)]
    pub(in crate::config) file: Option<String>,
    /// How often it is written, if there is news; it is written at an orderly stop too.
    #[serde(default = "every")]
    pub(in crate::config) every: Span,
}
fn every() -> Span {
    Span::secs(60)
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
    /// For `kind: nats`: `nats://host:port` or `tls://host:port`; several servers of a cluster are separated by commas.
    /// For `kind: redis`: `redis://host:port/db`,
    /// `redis+sentinel://host:port,host:port/master` or `redis+cluster://host:port,host:port`; `rediss` for TLS.
    /// For `kind: kafka`: `kafka://host:port,host:port`.
    pub(in crate::config) url: Option<String>,
    /// For `kind: nats`: the JetStream stream. For `kind: redis`: the stream's key.
    pub(in crate::config) stream: Option<String>,
    /// For `kind: nats`: the subject filter.
    pub(in crate::config) subject: Option<String>,
    /// For `kind: kafka`: the topic.
    pub(in crate::config) topic: Option<String>,
    /// For `kind: nats` with `tls://` and `kind: redis` with `rediss://`: a PEM file of the authorities that are trusted
    /// instead of the system's.
    pub(in crate::config) ca: Option<String>,
    /// For `kind: nats`: a `.creds` file, with a user's JWT and the seed of its nkey.
    pub(in crate::config) credentials_file: Option<String>,
    /// For `kind: nats`: a file with the seed of a user's nkey.
    pub(in crate::config) nkey_file: Option<String>,
    /// For `kind: nats` with `tls://`: a PEM file with the certificate shown to the server.
    pub(in crate::config) client_certificate: Option<String>,
    /// Its private key, in PEM.
    pub(in crate::config) client_key: Option<String>,
    /// Whether transmitters may push events (RFC 8935), and where. What they push is put on this feed.
    #[serde(default)]
    pub(in crate::config) push: Push,
}

/// `revocation.feed.push`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum Push {
    /// Not at all, or on the default address.
    Switch(bool),
    /// There.
    Port(PushPort),
}
impl Default for Push {
    fn default() -> Push {
        Push::Switch(false)
    }
}

/// Where events are pushed: an address of its own, with the certificate of `listen.tls`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct PushPort {
    /// The socket address.
    pub(in crate::config) address: String,
    /// The one path that takes events.
    pub(in crate::config) path: String,
    /// A file of the `Authorization` header values that were agreed with transmitters, one a line.
    pub(in crate::config) authorization_file: Option<String>,
    /// PEM files of the authorities that transmitters' client certificates must be from. With none no certificate is
    /// asked for.
    pub(in crate::config) client_ca: Vec<String>,
}
impl Default for PushPort {
    fn default() -> PushPort {
        PushPort {
            address: "127.0.0.1:9902".to_owned(),
            path: "/events".to_owned(),
            authorization_file: None,
            client_ca: Vec::new(),
        }
    }
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
    /// The issuer is asked about every token (RFC 7662); every issuer needs an `introspection` section.
    Introspect,
    /// Requests pass although a revocation may have been missed.
    Allow,
}
