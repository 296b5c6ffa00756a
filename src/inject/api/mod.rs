//! The API server of Kubernetes, as far as the injector needs it: objects by path, and lists in pages.
//!
//! Credentials are those of the pod (the service account's token, which the kubelet renews, and its `ca.crt`) unless the
//! configuration says otherwise. Every exchange has a deadline and a bounded answer, redirects are not followed, and the
//! token appears in no error.

mod pages;

pub use pages::Pages;

use crate::config::ApiServer;
use anyhow::Context;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The way to the API server.
#[derive(Debug)]
pub struct Api {
    server: Uri,
    token_file: PathBuf,
    ca: Option<PathBuf>,
    /// With the anchors that it trusts, as they were read.
    client: Mutex<Option<(Vec<u8>, Https)>>,
}

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why the API server did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such object.
    NotFound,
    /// The object has changed meanwhile, or is there already, or is not what a patch expects.
    Conflict,
    /// The rest of a list is not kept any longer.
    Expired,
    /// Any other status, with the API server's reason.
    Status(StatusCode, String),
    /// No connection, no TLS, no answer in time, no credentials.
    Unreachable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotFound => f.write_str("there is no such object"),
            Trouble::Conflict => f.write_str("the object has changed meanwhile"),
            Trouble::Expired => f.write_str("the list has changed too much meanwhile"),
            Trouble::Status(status, reason) => write!(f, "the API server answered {status}: {reason}"),
            Trouble::Unreachable(why) => write!(f, "the API server can't be asked: {why}"),
        }
    }
}
impl std::error::Error for Trouble {}

impl Api {
    /// Where the configuration says, or where every pod is told (`KUBERNETES_SERVICE_HOST`).
    ///
    /// # Errors
    /// Neither says anything.
    pub fn new(config: &ApiServer) -> anyhow::Result<Api> {
        let server = match &config.server {
            Some(server) => server.clone(),
            None => in_cluster(|name| std::env::var(name).ok())?,
        };
        let account = |name| Path::new(SERVICE_ACCOUNT).join(name);
        let outside = config.server.is_some();
        Ok(Api {
            server,
            token_file: config.token_file.clone().unwrap_or_else(|| account("token")),
            // Elsewhere than in the cluster, the system may well know the authority.
            ca: config.ca.clone().or_else(|| (!outside).then(|| account("ca.crt"))),
            client: Mutex::default(),
        })
    }

    /// An object, or a list.
    ///
    /// # Errors
    /// It did not come.
    pub async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::GET, path, None).await
    }

    /// Makes an object.
    ///
    /// # Errors
    /// [`Trouble::Conflict`] if there is one of that name.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, Trouble> {
        self.ask(Method::POST, path, Some((JSON, object))).await
    }

    /// Puts an object in place of the one with the same `resourceVersion`.
    ///
    /// # Errors
    /// [`Trouble::Conflict`] if that is another one by now.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, Trouble> {
        self.ask(Method::PUT, path, Some((JSON, object))).await
    }

    /// Applies a JSON Patch (RFC 6902).
    ///
    /// # Errors
    /// [`Trouble::Conflict`] if one of its tests fails.
    pub async fn patch(&self, path: &str, operations: &Value) -> Result<Value, Trouble> {
        self.ask(Method::PATCH, path, Some((JSON_PATCH, operations))).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, &Value)>,
    ) -> Result<Value, Trouble> {
        let patches = method == Method::PATCH;
        let answer = timeout(DEADLINE, self.exchange(method, path, body)).await;
        let answer = answer.map_err(|_| Trouble::Unreachable("no answer in time".to_owned()))?;
        let (status, body) = answer.map_err(|error| Trouble::Unreachable(format!("{error:#}")))?;
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(document);
        }
        Err(match status {
            StatusCode::NOT_FOUND => Trouble::NotFound,
            StatusCode::GONE => Trouble::Expired,
            StatusCode::CONFLICT => Trouble::Conflict,
            // One of its tests has failed.
            StatusCode::UNPROCESSABLE_ENTITY if patches => Trouble::Conflict,
            _ => {
                let said = document.get("message").and_then(Value::as_str).unwrap_or_default();
                Trouble::Status(status, said.chars().take(LONGEST_MESSAGE).collect())
            }
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, &Value)>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let client = self.client().await?;
        let authority = self.server.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{authority}{path}"))
            .header(header::AUTHORIZATION, self.bearer().await?)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("clinch-injector/", env!("CARGO_PKG_VERSION")));
        let bytes = match body {
            None => Bytes::new(),
            Some((kind, document)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Bytes::from(serde_json::to_vec(document)?)
            }
        };
        let response = client.request(request.body(Full::new(bytes))?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer can't be read: {error}"))?;
        Ok((status, body.to_bytes()))
    }

    /// Read each time: the kubelet puts a new one there every hour or so.
    async fn bearer(&self) -> anyhow::Result<HeaderValue> {
        let token = tokio::fs::read_to_string(&self.token_file).await;
        let token =
            token.with_context(|| format!("the token {} can't be read", self.token_file.display()))?;
        // Its content is in no message.
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| anyhow::anyhow!("{} holds no token", self.token_file.display()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A client that trusts what the file of authorities says now.
    async fn client(&self) -> anyhow::Result<Https> {
        let anchors = match &self.ca {
            None => Vec::new(),
            Some(file) => tokio::fs::read(file)
                .await
                .with_context(|| format!("the authorities {} can't be read", file.display()))?,
        };
        let mut kept = self.client.lock();
        if let Some((of, client)) = kept.as_ref()
            && *of == anchors
        {
            return Ok(client.clone());
        }
        let client = connect(self.ca.is_some().then_some(&anchors))?;
        *kept = Some((anchors, client.clone()));
        Ok(client)
    }
}

/// A client that trusts these authorities, or what the system trusts.
fn connect(anchors: Option<&Vec<u8>>) -> anyhow::Result<Https> {
    let mut roots = RootCertStore::empty();
    match anchors {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.context("the API server's authorities are no PEM certificates")?)?;
            }
            anyhow::ensure!(!roots.is_empty(), "the file of the API server's authorities has no certificate");
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().build();
    let mut client = Client::builder(TokioExecutor::new());
    client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(1);
    Ok(client.build(connector))
}

fn in_cluster(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Uri> {
    let host = variable("KUBERNETES_SERVICE_HOST").filter(|host| !host.is_empty());
    let host = host.context(
        "there is no API server: `kubernetes.server` says none, and this is no pod (KUBERNETES_SERVICE_HOST)",
    )?;
    let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("https://{host}:{port}").parse()?)
}

/// The namespace that this process runs in, by `POD_NAMESPACE` or its service account.
#[must_use]
pub fn own_namespace() -> Option<String> {
    let named = std::env::var("POD_NAMESPACE").ok();
    let mounted = || std::fs::read_to_string(Path::new(SERVICE_ACCOUNT).join("namespace")).ok();
    let name = named.filter(|name| !name.is_empty()).or_else(mounted)?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_PATCH: HeaderValue = HeaderValue::from_static("application/json-patch+json");
const DEADLINE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);
/// Of an answer: a page of pods that are as large as pods get.
const MOST: usize = 64 << 20;
const LONGEST_MESSAGE: usize = 300;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_where_the_api_server_is() {
        let told = |host: &'static str| {
            move |name: &str| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                "KUBERNETES_SERVICE_PORT" => Some("6443".to_owned()),
                _ => None,
            }
        };
        assert_eq!(in_cluster(told("10.96.0.1")).unwrap().to_string(), "https://10.96.0.1:6443/");
        assert_eq!(in_cluster(told("fd00::1")).unwrap().to_string(), "https://[fd00::1]:6443/");
        let nowhere = in_cluster(|_| None).unwrap_err().to_string();
        assert!(nowhere.contains("KUBERNETES_SERVICE_HOST"), "{nowhere}");
    }
}
