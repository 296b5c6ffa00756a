//! The injector's file as written: every key, its type, its default and its documentation.

use super::{LogFormat, LogLevel, Span};
use crate::config::template::Template;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of `clinch injector`, the admission webhook that puts clinch into pods. Relative paths resolve against
/// the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "clinch injector configuration")]
pub(in crate::config) struct InjectorFile {
    /// Where the API server asks.
    #[schemars(required)]
    pub(in crate::config) listen: Option<InjectorListen>,
    /// What the sidecar of every pod is made of.
    #[serde(default)]
    pub(in crate::config) template: Template,
    /// The injector's own namespace, in which nothing is injected. Null: `POD_NAMESPACE`, or that of the service account.
    pub(in crate::config) namespace: Option<String>,
    /// The API server, for certificates of our own and for `clinch injector audit`.
    #[serde(default)]
    pub(in crate::config) kubernetes: Kubernetes,
    /// Where metrics, /live and /ready are served.
    #[serde(default)]
    pub(in crate::config) admin: InjectorAdmin,
    /// The log on standard error.
    #[serde(default)]
    pub(in crate::config) log: InjectorLog,
}

/// `listen`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct InjectorListen {
    /// The socket address.
    #[serde(default = "address")]
    pub(in crate::config) address: String,
    /// The certificate that the API server sees.
    #[schemars(required)]
    pub(in crate::config) tls: Option<InjectorTls>,
    /// Open connections. At the limit others wait.
    #[serde(default = "connections")]
    #[schemars(range(min = 1, max = 100_000))]
    pub(in crate::config) connections: u32,
    /// How long after SIGTERM new connections are still served, so that no API server still believes in us.
    #[serde(default = "leave")]
    pub(in crate::config) leave: Span,
    /// How long reviews under way may take after that.
    #[serde(default = "drain")]
    pub(in crate::config) drain: Span,
}
fn address() -> String {
    "0.0.0.0:9443".to_owned()
}
fn connections() -> u32 {
    512
}
fn leave() -> Span {
    Span::secs(5)
}
fn drain() -> Span {
    Span::secs(20)
}

/// `listen.tls`: files, or `self_managed`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct InjectorTls {
    /// The PEM file of the certificate chain, leaf first, such as cert-manager keeps. Read again when it changes.
    pub(in crate::config) certificate: Option<String>,
    /// The PEM file of the leaf's private key.
    pub(in crate::config) private_key: Option<String>,
    /// A certificate authority of the injector's own, in place of files.
    pub(in crate::config) self_managed: Option<SelfManaged>,
    /// The PEM file of the authorities of the API server's client certificate. Without it everybody who reaches the port may
    /// ask, and learns what the template says.
    pub(in crate::config) client_ca: Option<String>,
    /// Whose client certificates are accepted, by common name or DNS name; empty accepts all that `client_ca` vouches for.
    pub(in crate::config) client_names: Vec<String>,
}

/// `listen.tls.self_managed`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct SelfManaged {
    /// The Secret of the injector's namespace that all replicas share.
    pub(in crate::config) secret: String,
    /// The Service of the injector's namespace that the API server asks.
    pub(in crate::config) service: String,
    /// The MutatingWebhookConfigurations and ValidatingWebhookConfigurations whose `caBundle` is kept, where they name that
    /// Service.
    pub(in crate::config) webhooks: Vec<String>,
    /// How long a certificate is valid, 1h to 1y; after two thirds of it the next one is made.
    pub(in crate::config) lifetime: Span,
    /// How long its authority is, 1h to 10y, and no shorter than `lifetime`.
    pub(in crate::config) authority_lifetime: Span,
    /// For how long all API servers must have been able to hear of a new authority before it is relied on, 1s to 1h.
    pub(in crate::config) spread: Span,
    /// How often the Secret and the webhook configurations are looked at, 1s to 1m.
    pub(in crate::config) check: Span,
}
impl Default for SelfManaged {
    fn default() -> Self {
        SelfManaged {
            secret: "clinch-injector-tls".to_owned(),
            service: "clinch-injector".to_owned(),
            webhooks: vec!["clinch-injector".to_owned()],
            lifetime: Span::secs(90 * 86_400),
            authority_lifetime: Span::secs(730 * 86_400),
            spread: Span::secs(300),
            check: Span::secs(20),
        }
    }
}

/// `kubernetes`: null takes what every pod is told.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Kubernetes {
    /// The API server, such as `https://10.96.0.1`.
    pub(in crate::config) server: Option<String>,
    /// The file of the bearer token. Read again for every request.
    pub(in crate::config) token_file: Option<String>,
    /// The PEM file of the API server's authorities. Read again when it changes.
    pub(in crate::config) ca: Option<String>,
}

/// `admin`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct InjectorAdmin {
    /// The socket address; the kubelet and Prometheus come from other machines.
    pub(in crate::config) address: String,
}
impl Default for InjectorAdmin {
    fn default() -> Self {
        InjectorAdmin { address: "0.0.0.0:9902".to_owned() }
    }
}

/// `log`
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct InjectorLog {
    /// How a line looks.
    pub(in crate::config) format: LogFormat,
    /// The least severe level that is logged; `info` has a line for every review.
    pub(in crate::config) level: LogLevel,
}
