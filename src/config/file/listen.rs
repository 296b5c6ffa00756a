//! `listen` and `upstream` as written.

use super::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `listen`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Listen {
    /// The socket address.
    #[serde(default = "address")]
    pub(in crate::config) address: String,
    /// What clients call, such as `https://api.example.com`: the only authorities that are accepted, and
    /// what `htu` is compared with. Behind a load balancer that strips a path prefix with that prefix,
    /// `https://api.example.com/svc2`; of several with one host, the first names the resource.
    #[schemars(required, length(min = 1))]
    pub(in crate::config) public_origins: Option<Vec<String>>,
    /// The origins of web applications, such as `https://app.example.com`, whose scripts may read refusals and
    /// what they need to go on (CORS). What they may read of the service's answers is the service's to say.
    #[serde(default)]
    pub(in crate::config) browser_origins: Vec<String>,
    /// Whether clients are told what they need here: documents under `/.well-known/oauth-protected-resource`,
    /// which everyone may read, and their URLs in every challenge (RFC 9728).
    #[serde(default = "resource_metadata")]
    pub(in crate::config) resource_metadata: bool,
    /// TLS: the server's certificate and what is asked of clients.
    #[schemars(required)]
    pub(in crate::config) tls: Option<Tls>,
    /// TLS terminators in front of clinch whose `Client-Cert` header (RFC 9440) says which certificate the caller
    /// has. They must remove what their clients send under that name. Without this section the header is ignored.
    pub(in crate::config) client_cert_from: Option<ClientCertFrom>,
    /// The limits.
    #[serde(default)]
    pub(in crate::config) limits: Limits,
    /// How long requests in flight may take after SIGTERM.
    #[serde(default = "drain")]
    pub(in crate::config) drain: Span,
}
fn resource_metadata() -> bool {
    true
}
fn address() -> String {
    "0.0.0.0:8443".to_owned()
}
fn drain() -> Span {
    Span::secs(20)
}

/// `listen.client_cert_from`: a peer must be in both lists where both are given.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ClientCertFrom {
    /// The addresses or networks they connect from, such as `10.0.0.7` or `10.0.0.0/8`.
    pub(in crate::config) addresses: Vec<String>,
    /// The `x5t#S256` of the certificates they show clinch themselves: base64url of the SHA-256 of the DER form.
    pub(in crate::config) certificates: Vec<String>,
}

/// `listen.tls`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Tls {
    /// The PEM file of the certificate chain, leaf first.
    #[schemars(required)]
    pub(in crate::config) certificate: Option<String>,
    /// The PEM file of the leaf's private key.
    #[schemars(required)]
    pub(in crate::config) private_key: Option<String>,
    /// Whether clients are asked for certificates (RFC 8705).
    #[serde(default)]
    pub(in crate::config) client_certificate: ClientCertificate,
    /// Whether an authority must vouch for a client certificate.
    #[serde(default)]
    pub(in crate::config) client_chain: ClientChain,
    /// PEM files of the authorities that may issue client certificates.
    #[serde(default)]
    pub(in crate::config) client_ca: Vec<String>,
    /// PEM files of revocation lists for client certificates.
    #[serde(default)]
    pub(in crate::config) client_crl: Vec<String>,
}

/// `listen.tls.client_certificate`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ClientCertificate {
    /// Never asked for.
    #[default]
    Off,
    /// Asked for; a connection without one is fine, a bad one is not.
    Optional,
    /// No connection without one.
    Required,
}

/// `listen.tls.client_chain`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ClientChain {
    /// An authority of `client_ca` must, and no list of `client_crl` may say otherwise.
    #[default]
    Verified,
    /// None: any certificate that has not expired will do, self-signed ones included, because the token says
    /// which one counts (RFC 8705 section 6.2). What is written in it is not passed on to the service.
    Unchecked,
}

/// `listen.limits`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Limits {
    /// Open connections.
    #[schemars(range(min = 1, max = 1000000))]
    pub(in crate::config) connections: u64,
    /// Size of a request's header section, 4KiB to 1MiB.
    pub(in crate::config) header_bytes: Size,
    /// Time for the TLS handshake, and then for each header section.
    pub(in crate::config) header_timeout: Span,
    /// Time a connection may idle between requests.
    pub(in crate::config) idle_timeout: Span,
    /// Requests in flight.
    #[schemars(range(min = 1, max = 1000000))]
    pub(in crate::config) in_flight: u64,
}
impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            header_bytes: Size(32 << 10),
            header_timeout: Span::secs(10),
            idle_timeout: Span::secs(75),
            in_flight: 2_000,
        }
    }
}

/// `upstream`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Upstream {
    /// `http://` and a loopback address with its port: this hop is not encrypted (RFC 9700 section 4.13).
    /// `https://` and `unix://` are not supported yet.
    pub(in crate::config) url: String,
    /// Time to connect.
    pub(in crate::config) connect_timeout: Span,
    /// Time to the response's header section.
    pub(in crate::config) response_timeout: Span,
}
impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            url: "http://127.0.0.1:8080".to_owned(),
            connect_timeout: Span::secs(1),
            response_timeout: Span::secs(60),
        }
    }
}
