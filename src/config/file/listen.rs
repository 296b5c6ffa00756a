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
    /// Addresses or networks of load balancers that begin each connection with a PROXY protocol header, version 1 or 2,
    /// which says who the client is. From them a connection without one is refused; from others the header is no TLS.
    #[serde(default)]
    pub(in crate::config) proxy_protocol_from: Vec<String>,
    /// Whether other processes may listen at the same address (`SO_REUSEPORT`), so that a new one can start before
    /// the old one stops. Linux; all of them must run as one user.
    #[serde(default)]
    pub(in crate::config) reuse_port: bool,
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
    /// The PEM file of the certificate chain, leaf first. Needed, but for `spiffe`.
    pub(in crate::config) certificate: Option<String>,
    /// The PEM file of the leaf's private key. Needed, but for `spiffe`.
    pub(in crate::config) private_key: Option<String>,
    /// Certificate, key and the authorities of clients from the SPIFFE Workload API, in place of `certificate`,
    /// `private_key`, `client_ca` and `client_crl`.
    pub(in crate::config) spiffe: Option<Spiffe>,
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

/// `listen.tls.spiffe`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Spiffe {
    /// The API: `unix://` and the absolute path of its socket, such as `unix:///run/spire/agent.sock`.
    #[schemars(required)]
    pub(in crate::config) endpoint: Option<String>,
    /// The trust domains whose workloads may connect, such as `prod.example`. Empty accepts those of clinch's own
    /// domain; otherwise that must be named, too, and federated ones each by name.
    #[serde(default)]
    pub(in crate::config) trust_domains: Vec<String>,
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
    /// Time a connection may idle between requests, and a client take nothing of a response.
    pub(in crate::config) idle_timeout: Span,
    /// Requests in flight.
    #[schemars(range(min = 1, max = 1000000))]
    pub(in crate::config) in_flight: u64,
    /// Those of one client key, and of one address as far as nothing is proved: unprotected routes, tokens that are still
    /// looked at. More are refused with 429. Null is a quarter of `in_flight`, or of `upstream.in_flight` and
    /// `upstream.queue` together where that is less.
    #[schemars(range(min = 1, max = 1000000))]
    pub(in crate::config) in_flight_per_key: Option<u64>,
    /// Open connections of one address; null sets no limit of its own. Behind a load balancer without
    /// `proxy_protocol_from`, all clients have its address.
    #[schemars(range(min = 1, max = 1000000))]
    pub(in crate::config) connections_per_peer: Option<u64>,
    /// TLS handshakes at a time; further connections wait their turn.
    #[schemars(range(min = 1, max = 100000))]
    pub(in crate::config) handshakes: u64,
    /// Requests at a time on one HTTP/2 connection.
    #[schemars(range(min = 1, max = 10000))]
    pub(in crate::config) streams: u32,
    /// Time in which some of an upload must come.
    pub(in crate::config) body_timeout: Span,
    /// Admitted requests of one client key: the key of the proof or the certificate, else the client and subject of the
    /// token. More are refused with 429. Null sets no limit.
    pub(in crate::config) requests_per_key: Option<Rate>,
    /// Requests of one address that fail authentication. Once there are more, its requests with tokens that clinch does
    /// not know yet are refused with 429, before a signature is checked. Null sets no limit.
    pub(in crate::config) failures_per_peer: Option<Rate>,
}

/// A rate, and how far it may be exceeded for a moment.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Rate {
    /// How many in a second.
    #[schemars(required, range(min = 1, max = 1000000))]
    pub(in crate::config) per_second: Option<u32>,
    /// How many at once after a pause; as many as in a second where nothing is said.
    #[schemars(range(min = 1, max = 1000000))]
    #[serde(default)]
    pub(in crate::config) burst: Option<u32>,
}
impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            header_bytes: Size(32 << 10),
            header_timeout: Span::secs(10),
            idle_timeout: Span::secs(75),
            in_flight: 2_000,
            in_flight_per_key: None,
            connections_per_peer: None,
            handshakes: 256,
            streams: 200,
            body_timeout: Span::secs(30),
            requests_per_key: None,
            failures_per_peer: Some(Rate { per_second: Some(100), burst: Some(1_000) }),
        }
    }
}

/// `upstream`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Upstream {
    /// `http://` and a loopback address with its port, or `unix:///` and the path of a socket: this hop is not encrypted
    /// (RFC 9700 section 4.13). `https://` is not supported.
    pub(in crate::config) url: String,
    /// Which HTTP the service is spoken to in.
    pub(in crate::config) protocol: UpstreamProtocol,
    /// Time to connect.
    pub(in crate::config) connect_timeout: Span,
    /// Time to the response's header section, from when the request's body has moved last.
    pub(in crate::config) response_timeout: Span,
    /// Requests that the service gets at a time; null sets no limit besides `listen.limits.in_flight`.
    #[schemars(range(min = 1, max = 1000000))]
    pub(in crate::config) in_flight: Option<u64>,
    /// How many more may wait for their turn. Beyond it, 503.
    #[schemars(range(max = 1000000))]
    pub(in crate::config) queue: u64,
    /// How long they may wait. After it, 503.
    pub(in crate::config) queue_timeout: Span,
    /// Whether clinch is ready only while the service answers; null does not ask it.
    pub(in crate::config) readiness: Option<Readiness>,
    /// The user id that the service's Unix socket must be served by. Another one gets nothing.
    pub(in crate::config) peer_uid: Option<u32>,
}

/// `upstream.protocol`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum UpstreamProtocol {
    /// HTTP/1.1
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3): what gRPC services speak.
    Http2,
}

/// `upstream.readiness`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Readiness {
    /// What is asked for with GET; any answer below 500 is fine. Null asks for a connection only.
    pub(in crate::config) path: Option<String>,
    /// How often.
    pub(in crate::config) interval: Span,
}
impl Default for Readiness {
    fn default() -> Self {
        Readiness { path: None, interval: Span::secs(2) }
    }
}
impl Default for Upstream {
    fn default() -> Self {
        Upstream {
            url: "http://127.0.0.1:8080".to_owned(),
            connect_timeout: Span::secs(1),
            response_timeout: Span::secs(60),
            protocol: UpstreamProtocol::default(),
            in_flight: None,
            queue: 100,
            queue_timeout: Span::secs(1),
            readiness: None,
            peer_uid: None,
        }
    }
}
