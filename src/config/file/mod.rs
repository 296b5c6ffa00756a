//! The file as written: every key of the contract, its type, its default and its documentation.
//!
//! The JSON Schema made of these types is the single source of the file's shape: [`shape`](super::shape)
//! walks it, `clinch schema` prints it. Keys that a file must have are `Option` here and `required` in
//! the schema, so that what is sound can be checked although something else is missing.
//! `x-not-yet` marks what is part of the contract and refused until it works.

mod audit;
mod dpop;
mod injector;
mod issuers;
mod listen;
mod revocation;
mod routes;
mod telemetry;
mod transmitters;
mod units;

pub(super) use audit::{Audit, AuditSync, OnFull};
pub(super) use dpop::{Dpop, Nonce, NonceMode, OnUnavailable, Replay, ReplayStore};
pub(super) use injector::{InjectorFile, InjectorTls, SelfManaged};
pub(super) use issuers::{IntrospectWhen, Introspection, Issuer, MissingAudience};
pub(super) use listen::{
    ClientCertFrom, ClientCertificate, ClientChain, Limits, Listen, Rate, Readiness, Spiffe, Tls, Upstream,
    UpstreamProtocol,
};
pub(super) use revocation::{Feed, FeedKind, OnStale, Push, PushPort, Revocation, Snapshot};
pub(super) use routes::{Proof, ProofName, Route};
pub(super) use telemetry::{Compression, Context, Identifiers, LogFormat, LogLevel, Telemetry, Transport};
pub(super) use transmitters::{Audience, Poll, Transmitter, Wildcard};
pub(super) use units::{Size, Span};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The configuration of clinch, a proof-of-possession sidecar. Relative paths resolve against the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "clinch configuration")]
pub(super) struct File {
    /// Whether refusals are enforced.
    #[serde(default)]
    pub(super) mode: Mode,
    /// Where requests come in.
    #[schemars(required)]
    pub(super) listen: Option<Listen>,
    /// The service behind clinch.
    #[serde(default)]
    pub(super) upstream: Upstream,
    /// Who may issue access tokens.
    #[schemars(required, length(min = 1))]
    pub(super) issuers: Option<Vec<Issuer>>,
    /// The rules for DPoP proofs (RFC 9449).
    #[serde(default)]
    pub(super) dpop: Dpop,
    /// Where revocations come from. Without this section nothing is ever revoked before it expires.
    pub(super) revocation: Option<Revocation>,
    /// The routes; the most specific path wins. No route is open by omission.
    #[schemars(required, length(min = 1))]
    pub(super) routes: Option<Vec<Route>>,
    /// What the service is told about the caller.
    #[serde(default)]
    pub(super) identity: Identity,
    /// Logs, traces and metrics.
    #[serde(default)]
    pub(super) telemetry: Telemetry,
    /// The process.
    #[serde(default)]
    pub(super) runtime: Runtime,
    /// The audit log.
    #[serde(default)]
    pub(super) audit: Audit,
    /// Where metrics, /live and /ready are served.
    #[serde(default)]
    pub(super) admin: Admin,
}

/// `mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// Refused requests are refused.
    #[default]
    Enforce,
    /// Nothing is refused for want of proof: the proof of possession, its nonce, the binding. Such requests reach the
    /// service without an identity, marked `clinch-observed`, and are recorded with their client. All else is enforced.
    Observe,
}

/// `identity`
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Identity {
    /// Extra headers for the service, each with the token claim it carries, such as `x-tenant: tenant`.
    pub(super) headers: BTreeMap<String, String>,
    /// A short ES256 JWT that asserts the caller's identity to the service.
    pub(super) assertion: Assertion,
    /// Whether the Authorization and DPoP headers reach the service.
    pub(super) forward_authorization: bool,
}

/// `identity.assertion`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Assertion {
    /// Whether the assertion is sent, as `clinch-identity`.
    pub(super) enabled: bool,
    /// The PEM file of its ES256 keys (P-256, PKCS #8 or SEC 1), one to four. The first signs, all are published at
    /// `/.well-known/jwks.json` of `admin.address`. Read again when it changes.
    pub(super) key_file: Option<String>,
    /// How long it is valid, 10s to 10m, and never longer than the token. One is sent for half of that, a minute at most.
    pub(super) lifetime: Span,
    /// Its `aud`: the service, by a name that no other service accepts.
    pub(super) audience: Option<String>,
}
impl Default for Assertion {
    fn default() -> Self {
        Assertion { enabled: false, key_file: None, lifetime: Span::secs(60), audience: None }
    }
}

/// `runtime`
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Runtime {
    /// Threads that serve. Null: as many as there are processors, or as the control group's limit allows.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) worker_threads: Option<u32>,
}

/// `admin`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// The socket address; keep it on the loopback interface.
    pub(super) address: String,
}
impl Default for Admin {
    fn default() -> Self {
        Admin { address: "127.0.0.1:9901".to_owned() }
    }
}

/// The JSON Schema (2020-12) of the file.
pub(super) fn schema() -> serde_json::Value {
    schema_of::<File>()
}

/// The JSON Schema (2020-12) of the injector's file.
pub(super) fn injector_schema() -> serde_json::Value {
    schema_of::<InjectorFile>()
}

fn schema_of<T: JsonSchema>() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
