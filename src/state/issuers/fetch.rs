//! One fetch of an issuer's keys: over TLS, within one deadline, of bounded size, without redirects.
//!
//! Every way it can fail is a [`Fault`], whose name is also the label of the metric.

use super::discovery;
use crate::config::Issuer;
use crate::pop::jose::Json;
use crate::pop::key_set::KeySet;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The issuer's name is no address to discover from.
    Address,
    /// No connection, no TLS, no HTTP; or a certificate that is not trusted. With the causes, for the log.
    Unreachable(String),
    /// Not everything came within the deadline.
    Slow,
    /// A status other than 200; redirects are not followed.
    Status(StatusCode),
    /// More than anybody needs.
    TooLarge,
    /// Not the JSON it should be.
    Malformed,
    /// The metadata is another issuer's (RFC 8414 section 3.3).
    IssuerMismatch,
    /// `jwks_uri` is not https.
    NotHttps,
    /// A key set without a key that can be used.
    NoKeys,
}

impl Fault {
    /// The label of the metric.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Fault::Address => "address",
            Fault::Unreachable(_) => "unreachable",
            Fault::Slow => "slow",
            Fault::Status(_) => "status",
            Fault::TooLarge => "too_large",
            Fault::Malformed => "malformed",
            Fault::IssuerMismatch => "issuer_mismatch",
            Fault::NotHttps => "not_https",
            Fault::NoKeys => "no_keys",
        }
    }
}

/// For the log line that an operator reads first when nobody is admitted any more.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Fault::Unreachable(causes) => return f.write_str(causes),
            Fault::Status(status) => return write!(f, "the answer was {status}"),
            Fault::Address => "the issuer is no https URL to discover from: set jwks_uri",
            Fault::Slow => "the answer took too long",
            Fault::TooLarge => "the document is too large",
            Fault::Malformed => "the document is not the JSON it should be",
            Fault::IssuerMismatch => "the metadata names another issuer",
            Fault::NotHttps => "the jwks_uri of the metadata is not https",
            Fault::NoKeys => "the key set has no key that can be used",
        };
        f.write_str(words)
    }
}

/// An error and what caused it, down to the operating system's or the certificate's fault.
fn unreachable(error: &dyn Error) -> Fault {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        source = cause.source();
    }
    Fault::Unreachable(causes)
}

/// Fetches the keys of one issuer.
pub(super) struct Fetcher {
    issuer: Arc<str>,
    jwks_uri: Option<Uri>,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    limit: Duration,
}

impl Fetcher {
    /// Trusts the system's roots and the issuer's `ca`, for the name in the URL (DISC-04).
    pub(super) fn new(issuer: &Issuer, mut roots: RootCertStore, limit: Duration) -> anyhow::Result<Fetcher> {
        for anchor in &issuer.ca {
            roots.add(anchor.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().build();
        // Minutes lie between two fetches: no connection is kept.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let name = Arc::clone(&issuer.expected.issuer);
        Ok(Fetcher { issuer: name, jwks_uri: issuer.jwks_uri.clone(), client, limit })
    }

    /// The keys, at least one, within the limit. No redirect is followed.
    pub(super) async fn fetch(&self) -> Result<KeySet, Fault> {
        tokio::time::timeout(self.limit, self.keys()).await.unwrap_or(Err(Fault::Slow))
    }

    async fn keys(&self) -> Result<KeySet, Fault> {
        let uri = match &self.jwks_uri {
            Some(uri) => uri.clone(),
            None => self.discover().await?,
        };
        let document = self.get(uri).await?;
        let keys = Json::parse(&document).and_then(|json| KeySet::parse(&json)).ok_or(Fault::Malformed)?;
        if keys.is_empty() { Err(Fault::NoKeys) } else { Ok(keys) }
    }

    /// Asked again at every fetch, for issuers move their keys too (SBCP-08). The first place that has the metadata
    /// wins; a place that has somebody else's ends the search.
    async fn discover(&self) -> Result<Uri, Fault> {
        let [oauth, openid] = discovery::places(&self.issuer)?;
        match self.discover_at(oauth).await {
            Err(Fault::Status(_) | Fault::Malformed) => self.discover_at(openid).await,
            found => found,
        }
    }

    async fn discover_at(&self, place: Uri) -> Result<Uri, Fault> {
        discovery::jwks_uri(&self.get(place).await?, &self.issuer)
    }

    async fn get(&self, uri: Uri) -> Result<Bytes, Fault> {
        let request = Request::get(uri)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("clinch/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|_| Fault::Address)?;
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| {
            if error.is::<LengthLimitError>() { Fault::TooLarge } else { unreachable(&*error) }
        })
    }
}

/// What the system trusts. Unreadable ones are left out: a fetch then fails where one was needed.
pub(super) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

const BODY_BYTES: usize = 512 * 1024;
