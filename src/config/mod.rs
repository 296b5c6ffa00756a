//! The checked configuration: what everything else reads. It exists only when every fault is gone.
//!
//! A file goes through three rings: `tree` (is it YAML that says each thing once?), `shape` (are these
//! the keys and types of `file`?), `checks` (do the values make sense, here and now?). Each reports
//! every fault it finds, and the next looks at whatever is sound.

mod audit;
mod checks;
mod file;
mod identity;
mod injector;
mod introspection;
mod kafka;
mod load;
mod placement;
pub mod pod;
mod problems;
mod redis;
mod replay;
mod revocation;
mod scalar;
mod secrecy;
mod shape;
mod source;
mod telemetry;
pub mod template;
mod tls;
mod tree;
pub(crate) mod words;
mod written;

pub use audit::{Audit, AuditSync, OnFull};
pub use identity::{Assertion, Identity};
pub use injector::{ApiServer, Injector, InjectorListen, InjectorTls, SelfManaged};
pub use introspection::{Introspection, Secret};
pub use kafka::{Kafka, is_kafka_topic, kafka_brokers};
pub use placement::{InPod, Placement};
pub use problems::Problems;
pub use redis::{Redis, RedisAddress, RedisKind};
pub use replay::{OnUnavailable, Replay, SharedReplay, Store};
pub use source::{Look, Source};
pub use telemetry::{Identifiers, LogFormat, OtlpCompression, OtlpProtocol, Telemetry, TraceOrigin};
pub use written::Written;

pub use revocation::{
    ClientIdentity, Feed, Login, Nats, OnStale, Poll, Push, Revocation, Snapshot, SubjectClaims, Transmitter,
};
pub use tls::{ClientCertificates, ClientChain, Own, Spiffe, Tls};

use crate::pop::Timestamp;
use crate::pop::client_cert::Terminators;
use crate::pop::nonce::Keys;
use crate::pop::policy::{DpopPolicy, Routes};
use crate::pop::target_uri::Origin;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The configuration, checked: every file it names has been read and makes sense.
#[derive(Debug)]
pub struct Config {
    /// Whether a want of proof is recorded and waived: `mode: observe`.
    pub observes: bool,
    /// Where requests come in.
    pub listen: Listen,
    /// The service behind us.
    pub upstream: Upstream,
    /// Who may issue access tokens.
    pub issuers: Vec<Issuer>,
    /// The rules for DPoP proofs.
    pub dpop: DpopPolicy,
    /// The rules for nonces.
    pub nonces: Nonces,
    /// Where used proofs are remembered.
    pub replay: Replay,
    /// Where revocations come from; `None` when the section is absent.
    pub revocation: Option<Revocation>,
    /// The routes.
    pub routes: Routes,
    /// What the service is told.
    pub identity: Identity,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// The audit log; `None` where none is kept.
    pub audit: Option<Audit>,
    /// Threads that serve; `None` means as many as there are processors.
    pub worker_threads: Option<usize>,
    /// Where metrics, `/live` and `/ready` are served.
    pub admin: SocketAddr,
    /// In a pod: what else is bound there.
    pub pod: Option<InPod>,
    /// What an operator should know and may well have meant, for standard error.
    pub warnings: Vec<String>,
    /// The file as it was written, to be compared with the next one.
    pub written: Written,
    /// The files that were read, this one included: what to look at for changes.
    pub files: Vec<Source>,
}

/// `listen`
#[derive(Debug)]
pub struct Listen {
    /// The socket address.
    pub address: SocketAddr,
    /// Further ones, in a pod that has several.
    pub also: Vec<SocketAddr>,
    /// What clients call: the only authorities accepted, and what `htu` is compared with.
    pub public_origins: Vec<Origin>,
    /// The web applications whose scripts may read our own answers: serialised origins.
    pub browser_origins: Vec<String>,
    /// Whether protected resource metadata is published (RFC 9728).
    pub resource_metadata: bool,
    /// TLS: certificate, key, client certificates.
    pub tls: Tls,
    /// Whose connections begin with a PROXY protocol header.
    pub proxy_protocol_from: Vec<ipnet::IpNet>,
    /// Whether other processes may listen at the same address.
    pub reuse_port: bool,
    /// The TLS terminators in front of us that may say who the caller is.
    pub client_cert_from: Terminators,
    /// The limits.
    pub limits: Limits,
    /// How long in-flight requests may take after SIGTERM.
    pub drain: Duration,
}

impl Listen {
    /// Every address, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.address).chain(self.also.iter().copied())
    }
}

/// `listen.limits`
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Bytes of a request's header section.
    pub header_bytes: usize,
    /// Time for the TLS handshake, and then for each header section.
    pub header_timeout: Duration,
    /// Time a connection may idle between requests.
    pub idle_timeout: Duration,
    /// Requests in flight.
    pub in_flight: usize,
    /// Those of one client key, or of one address where nothing is proved.
    pub in_flight_per_key: usize,
    /// Open connections of one address.
    pub connections_per_peer: Option<usize>,
    /// TLS handshakes at a time.
    pub handshakes: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// Time in which some of an upload must come.
    pub body_timeout: Duration,
    /// Admitted requests of one client key.
    pub requests_per_key: Option<Rate>,
    /// Requests of one address that fail authentication.
    pub failures_per_peer: Option<Rate>,
}

/// A rate, and how far it may be exceeded for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in a second.
    pub per_second: u32,
    /// How many at once after a pause.
    pub burst: u32,
}

/// `upstream`
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Where it is.
    pub address: UpstreamAddress,
    /// HTTP/2 by prior knowledge, not HTTP/1.1.
    pub http2: bool,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time to the response's header section.
    pub response_timeout: Duration,
    /// Requests that it gets at a time.
    pub in_flight: Option<usize>,
    /// How many more may wait for their turn.
    pub queue: usize,
    /// How long they may wait.
    pub queue_timeout: Duration,
    /// How it is asked whether it answers.
    pub readiness: Option<Readiness>,
    /// The user id that its Unix socket must be served by.
    pub peer_uid: Option<u32>,
}

/// `upstream.url`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// `http://host:port`, the authority only.
    Tcp(http::uri::Authority),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UpstreamAddress::Tcp(authority) => write!(f, "http://{authority}"),
            UpstreamAddress::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// `upstream.readiness`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// What is asked for; `None` asks for a connection only.
    pub path: Option<http::uri::PathAndQuery>,
    /// How often.
    pub interval: Duration,
}

/// One entry of `issuers`
#[derive(Clone, Debug, PartialEq)]
pub struct Issuer {
    /// What the pure core checks.
    pub expected: Arc<crate::pop::access_token::Expected>,
    /// Where the keys are; `None` means discovery (RFC 8414, then OpenID).
    pub jwks_uri: Option<http::Uri>,
    /// Extra trust anchors for the issuer's own TLS.
    pub ca: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// How often the keys are fetched.
    pub jwks_refresh: Duration,
    /// The least time between two fetches that unknown key ids caused.
    pub jwks_cooldown: Duration,
    /// How long the last good keys serve when fetches fail.
    pub jwks_max_stale: Duration,
    /// Introspection; `None` means that this issuer is never asked about a token.
    pub introspection: Option<Introspection>,
}

/// `dpop.nonce`
#[derive(Debug)]
pub struct Nonces {
    /// Whether every proof must carry one.
    pub required: bool,
    /// How long one is accepted.
    pub lifetime: Duration,
    /// The secrets of all replicas; `None` means one of our own.
    pub secret: Option<NonceSecret>,
}

/// `dpop.nonce.secret_file`
#[derive(Debug)]
pub struct NonceSecret {
    /// Where it is, to be read again.
    pub file: PathBuf,
    /// What was read.
    pub keys: Keys,
    /// SHA-256 of what was read.
    pub digest: [u8; 32],
}

/// What a start with `mode: observe` warns of.
const OBSERVES: &str = "nothing is refused for want of proof: whoever stole a token can use it";

impl Config {
    /// Reads and checks a configuration file; relative paths resolve against it.
    ///
    /// # Errors
    /// Every fault of the file and of the files it names.
    pub fn load(file: &Path) -> Result<Config, Problems> {
        load::file(file, now())
    }
    /// The same from text, as if it stood in `file`.
    ///
    /// # Errors
    /// Every fault of the text and of the files it names.
    pub fn parse(text: &str, file: &Path) -> Result<Config, Problems> {
        load::text(text, file, now())
    }
}

/// The JSON Schema (2020-12) of the configuration file.
#[must_use]
pub fn schema() -> serde_json::Value {
    file::schema()
}

/// The JSON Schema (2020-12) of the injector's configuration file.
#[must_use]
pub fn injector_schema() -> serde_json::Value {
    file::injector_schema()
}

fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}
