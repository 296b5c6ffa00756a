//! One exchange with an issuer: over TLS, of bounded size, without redirects. The deadline is the caller's.
//!
//! Every way it can fail is a [`Fault`], whose name is also the label of the metric.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state) enum Fault {
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
    /// An address in the metadata is not https.
    NotHttps,
    /// A key set without a key that can be used.
    NoKeys,
    /// An answer that is not signed as it must be (RFC 9701).
    Unverified,
}

impl Fault {
    /// The label of the metric.
    pub(in crate::state) fn name(&self) -> &'static str {
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
            Fault::Unverified => "unverified",
        }
    }
}

/// For the log line that an operator reads first when nobody is admitted any more.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Fault::Unreachable(causes) => return f.write_str(causes),
            Fault::Status(status) => return write!(f, "the answer was {status}"),
            Fault::Address => "the issuer is no https URL to discover from: set the address itself",
            Fault::Slow => "the answer took too long",
            Fault::TooLarge => "the document is too large",
            Fault::Malformed => "the document is not the JSON it should be",
            Fault::IssuerMismatch => "the metadata names another issuer",
            Fault::NotHttps => "an address in the metadata is not https",
            Fault::NoKeys => "the key set has no key that can be used",
            Fault::Unverified => "the answer is not signed by the issuer, for us, now",
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

/// The way to one issuer.
#[derive(Clone, Debug)]
pub(in crate::state) struct Https(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Https {
    /// Trusts these roots and the issuer's `ca`, and keeps so many connections for the next exchange.
    pub(in crate::state) fn new(
        ca: &[CertificateDer<'static>],
        mut roots: RootCertStore,
        kept: usize,
    ) -> anyhow::Result<Https> {
        for anchor in ca {
            roots.add(anchor.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().build();
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(kept);
        Ok(Https(client.build(connector)))
    }

    /// A JSON document.
    pub(in crate::state) async fn get(&self, uri: Uri) -> Result<Bytes, Fault> {
        let request = Request::get(uri).header(header::ACCEPT, "application/json").body(Full::default());
        let (_, body) = self.exchange(request.map_err(|_| Fault::Address)?).await?;
        Ok(body)
    }

    /// Header fields and body of an answer with status 200; any other is a fault.
    pub(in crate::state) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(HeaderMap, Bytes), Fault> {
        self.exchange_up_to(BODY_BYTES, request).await
    }

    /// The same, with a body of up to `most` bytes.
    pub(in crate::state) async fn exchange_up_to(
        &self,
        most: usize,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(HeaderMap, Bytes), Fault> {
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        let response = self.0.request(request).await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Status(response.status()));
        }
        let (head, body) = response.into_parts();
        match Limited::new(body, most).collect().await {
            Ok(body) => Ok((head.headers, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
            Err(error) => Err(unreachable(&*error)),
        }
    }
}

/// What the system trusts. Unreadable ones are left out: a fetch then fails where one was needed.
pub(in crate::state) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

const USER_AGENT: http::HeaderValue =
    http::HeaderValue::from_static(concat!("clinch/", env!("CARGO_PKG_VERSION")));
const BODY_BYTES: usize = 512 * 1024;
/// How long a kept connection may be idle.
const IDLE: Duration = Duration::from_secs(30);
