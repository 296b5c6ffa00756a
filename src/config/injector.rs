//! The injector's configuration, checked.

use super::template::Template;
use super::{Problems, Source, Telemetry, load, now};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration of `clinch injector`: every file it names has been read and makes sense.
#[derive(Debug)]
pub struct Injector {
    /// Where the API server asks.
    pub listen: InjectorListen,
    /// What the sidecar of every pod is made of.
    pub template: Template,
    /// The injector's own namespace, where the file says it.
    pub namespace: Option<String>,
    /// The API server.
    pub kubernetes: ApiServer,
    /// Where metrics, `/live` and `/ready` are served.
    pub admin: SocketAddr,
    /// Logs.
    pub telemetry: Telemetry,
    /// What an operator should know and may well have meant.
    pub warnings: Vec<String>,
    /// The files that were read: what to look at for changes.
    pub files: Vec<Source>,
}

/// `listen`
#[derive(Debug)]
pub struct InjectorListen {
    /// The socket address.
    pub address: SocketAddr,
    /// The certificate.
    pub tls: InjectorTls,
    /// The authorities of clients; `None` asks for no certificate.
    pub client_ca: Option<Vec<CertificateDer<'static>>>,
    /// Whose certificates are accepted; empty accepts all.
    pub client_names: Vec<String>,
    /// Open connections.
    pub connections: usize,
    /// How long new connections are served after SIGTERM.
    pub leave: Duration,
    /// How long reviews may take after that.
    pub drain: Duration,
}

/// `listen.tls`
#[derive(Debug)]
pub enum InjectorTls {
    /// From files.
    Files {
        /// Leaf first.
        certificate: Vec<CertificateDer<'static>>,
        /// Of the leaf.
        private_key: PrivateKeyDer<'static>,
    },
    /// Made by ourselves.
    SelfManaged(SelfManaged),
}

/// `listen.tls.self_managed`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfManaged {
    /// The Secret that replicas share.
    pub secret: String,
    /// The Service that the API server asks.
    pub service: String,
    /// The webhook configurations whose `caBundle` is kept.
    pub webhooks: Vec<String>,
    /// How long a certificate is valid.
    pub lifetime: Duration,
    /// How long its authority is.
    pub authority_lifetime: Duration,
    /// How long a new authority is known before it is relied on.
    pub spread: Duration,
    /// How often to look.
    pub check: Duration,
}

/// `kubernetes`, as far as the file says it.
#[derive(Clone, Debug, Default)]
pub struct ApiServer {
    /// `https://HOST:PORT`
    pub server: Option<http::Uri>,
    /// The file of the bearer token.
    pub token_file: Option<PathBuf>,
    /// The PEM file of its authorities.
    pub ca: Option<PathBuf>,
}

impl Injector {
    /// Reads and checks a configuration file; relative paths resolve against it.
    ///
    /// # Errors
    /// Every fault of the file and of the files it names.
    pub fn load(file: &Path) -> Result<Injector, Problems> {
        load::injector(file, now())
    }

    /// The template and the namespace of a file, checked without the files that it names: those are where it runs.
    ///
    /// # Errors
    /// Every fault of the file's shape, of the template and of the namespace.
    pub fn load_template(file: &Path) -> Result<(Template, Option<String>), Problems> {
        load::injector_template(file, now())
    }

    /// The same from text, as if it stood in `file`.
    ///
    /// # Errors
    /// Every fault of the text and of the files it names.
    pub fn parse(text: &str, file: &Path) -> Result<Injector, Problems> {
        load::injector_text(text, file, now())
    }
}
