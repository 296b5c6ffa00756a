//! `revocation`, checked: where revocations come from and who is believed.

use super::{Issuer, Kafka, Redis, Secret, secrecy};
use nkeys::{KeyPair, KeyPairType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// `revocation`
#[derive(Clone, Debug, PartialEq)]
pub struct Revocation {
    /// The feed.
    pub feed: Feed,
    /// Where events are pushed to be put on the feed; `None` means nowhere.
    pub push: Option<Push>,
    /// Who may sign Security Event Tokens.
    pub transmitters: Vec<Transmitter>,
    /// Whether unsigned plain events are believed.
    pub accept_plain: bool,
    /// How long the feed may be silent.
    pub max_staleness: Duration,
    /// What to do when it is silent for longer.
    pub on_stale: OnStale,
    /// The index's bound, in entries.
    pub max_entries: usize,
    /// Where the index is kept over restarts, if anywhere.
    pub snapshot: Option<Snapshot>,
}

/// `revocation.snapshot`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The file.
    pub file: PathBuf,
    /// How often it is written.
    pub every: Duration,
}

/// `revocation.feed`
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    /// A JSON-lines journal.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// A NATS JetStream stream.
    Nats(Nats),
    /// A Redis stream.
    Redis(Redis),
    /// A Kafka topic.
    Kafka(Kafka),
}

/// A NATS JetStream stream; its Debug shows no password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Nats {
    /// `nats://` or `tls://`; several servers of one cluster, separated by commas.
    pub url: String,
    /// The stream.
    pub stream: String,
    /// The subject: a filter where it is read, without wildcards where it is published to.
    pub subject: String,
    /// The trust anchors for TLS; the system's if there are none here.
    pub ca: Vec<CertificateDer<'static>>,
    /// Who we are, where the URL does not say it.
    pub login: Option<Login>,
    /// The certificate shown to the server.
    pub identity: Option<Arc<ClientIdentity>>,
}

/// Who we are for NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// The content of a `.creds` file.
    Credentials(Secret),
    /// The seed of a user's nkey.
    Nkey(Secret),
}

impl Login {
    /// Whether this is the content of a `.creds` file.
    pub fn are_credentials(text: &str) -> bool {
        async_nats::ConnectOptions::with_credentials(text).is_ok()
    }

    /// Whether this is the seed of a user's nkey.
    pub fn is_seed(text: &str) -> bool {
        KeyPair::from_seed(text).is_ok_and(|key| key.key_pair_type() == KeyPairType::User)
    }
}

/// A client certificate and its key; its Debug shows no key.
#[derive(PartialEq, Eq)]
pub struct ClientIdentity {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("url", &secrecy::without_passwords(&self.url))
            .field("stream", &self.stream)
            .field("subject", &self.subject)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

/// `revocation.feed.push`
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The socket address.
    pub address: SocketAddr,
    /// The one path there.
    pub path: String,
    /// SHA-256 of each `Authorization` that was agreed; with none it is not looked at.
    pub authorizations: Vec<[u8; 32]>,
    /// Who vouches for transmitters' certificates; with nobody none is asked for.
    pub client_ca: Vec<CertificateDer<'static>>,
}

/// `revocation.on_stale`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStale {
    /// Refuse with 503.
    Deny,
    /// Ask the issuer about the token.
    Introspect,
    /// Let pass.
    Allow,
}

/// One entry of `revocation.transmitters`
#[derive(Clone, Debug, PartialEq)]
pub struct Transmitter {
    /// Who signs: its `iss`, the `aud` its events have for us, its algorithms, and where its keys are.
    pub signer: Issuer,
    /// The issuers whose tokens it may revoke, each one of the configured.
    pub speaks_for: Vec<String>,
    /// The claims in which tokens of these issuers have what its subjects name.
    pub claims: SubjectClaims,
    /// Whether a subject that names nobody in particular means everybody.
    pub wildcard: bool,
    /// The members of its subjects that must not be passed over (SSF section 3.6).
    pub critical_subject_members: Vec<String>,
    /// Credential types that it has besides those of CAEP.
    pub credential_types: Vec<String>,
    /// Where its events are fetched; `None` means nowhere.
    pub poll: Option<Poll>,
}

/// `revocation.transmitters[].poll`
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// The stream's endpoint, https.
    pub endpoint: http::Uri,
    /// The value of the `Authorization` header.
    pub authorization: Option<Secret>,
}

/// `revocation.transmitters[].claims`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectClaims {
    /// The claim that is the tenant.
    pub tenant: Option<String>,
    /// The claim that is the device.
    pub device: Option<String>,
}
