//! `template` of the injector's configuration: what the operator decides for all pods.

use super::pod::PodMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the sidecar of every pod is made of; annotations of a pod choose within it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// The image of the sidecar.
    pub image: String,
    /// The image of the init container in mode `redirect`: one with `nft`. Null takes `image`.
    pub redirect_image: Option<String>,
    /// Further images that a pod may ask for (`clinch.dev/image`) or already have: exactly so written, or all that begin
    /// with what stands before a `*` at the end.
    pub accepted_images: Vec<String>,
    /// What the images of a service mesh begin with, registry and all. A container that is called like one of Istio's or
    /// Linkerd's (`istio-init`, `linkerd-proxy`) may write rules for traffic, stand before clinch, and keep its ports, if
    /// its image begins so; with any other it is taken for the application's. Name your mirror here.
    pub mesh_images: Vec<String>,
    /// `Always`, `IfNotPresent` or `Never`; null leaves it to Kubernetes.
    pub image_pull_policy: Option<String>,
    /// Whether the sidecar is a native one (Kubernetes 1.29): an init container that goes on. Otherwise a plain container.
    pub native: bool,
    /// How requests come to clinch where a pod does not say (`clinch.dev/mode`).
    pub mode: PodMode,
    /// The user and group id of the sidecar. No container of a pod may share it.
    #[schemars(range(min = 1, max = 2147483647))]
    pub user: u32,
    /// The ConfigMap of the pod's namespace whose `clinch.yaml` is the configuration (`clinch.dev/config-map`).
    pub config_map: String,
    /// Where the certificates of the sidecar come from.
    pub certificates: Certificates,
    /// CPU and memory; annotations may say otherwise.
    pub resources: Resources,
    /// Where clinch listens in mode `redirect`. No port of the pod may be this one.
    #[schemars(range(min = 1024, max = 65535))]
    pub redirect_port: u16,
    /// Where the kubelet finds the sidecar. No port of the pod may be this one.
    #[schemars(range(min = 1024, max = 65535))]
    pub health_port: u16,
    /// Environment variables that tell the application to listen at loopback, in mode `port`, where the pod does not say
    /// (`clinch.dev/app-env`). Given to the container of the guarded port, where it has none of that name.
    pub app_env: BTreeMap<String, String>,
    /// What a pod that could get round clinch or read its memory comes to.
    pub risks: Risks,
    /// Whether a pod of a namespace that is opted in may opt out (`clinch.dev/inject: disabled`).
    pub opt_out: bool,
    /// Whether a pod may ask that a want of proof is only recorded (`clinch.dev/observe: true`).
    pub observe: bool,
}

/// Where the files below `/etc/clinch/tls` come from. At most one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Certificates {
    /// A Secret of the pod's namespace; of type `kubernetes.io/tls`, such as cert-manager keeps (`clinch.dev/certificates`).
    pub secret: Option<String>,
    /// An ephemeral volume of a CSI driver, such as `csi.cert-manager.io`.
    pub csi: Option<Csi>,
    /// The Workload API socket of SPIFFE, by the driver `csi.spiffe.io`, below `/run/spire`.
    pub spiffe: bool,
}

/// An ephemeral volume of a CSI driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csi {
    /// The driver's name.
    pub driver: String,
    /// What it is told.
    pub attributes: BTreeMap<String, String>,
}

/// CPU and memory, as Kubernetes writes quantities.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// CPU that is set aside (`clinch.dev/cpu-request`).
    pub cpu_request: Option<String>,
    /// CPU at most (`clinch.dev/cpu-limit`).
    pub cpu_limit: Option<String>,
    /// Memory that is set aside (`clinch.dev/memory-request`).
    pub memory_request: Option<String>,
    /// Memory at most (`clinch.dev/memory-limit`).
    pub memory_limit: Option<String>,
}

/// What a pod with a risk comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risks {
    /// It is refused.
    #[default]
    Deny,
    /// It is injected, and its author warned.
    Warn,
}

impl Default for Template {
    fn default() -> Template {
        Template {
            image: concat!("ghcr.io/clinch-dev/clinch:", env!("CARGO_PKG_VERSION")).to_owned(),
            redirect_image: None,
            accepted_images: Vec::new(),
            mesh_images: MESH_IMAGES.map(str::to_owned).to_vec(),
            image_pull_policy: None,
            native: true,
            mode: PodMode::Port,
            user: 64_000,
            config_map: "clinch".to_owned(),
            certificates: Certificates { secret: Some("clinch-tls".to_owned()), ..Certificates::default() },
            resources: Resources::default(),
            redirect_port: 15_443,
            health_port: 9_902,
            app_env: BTreeMap::from([("HOST".to_owned(), "127.0.0.1".to_owned())]),
            risks: Risks::Deny,
            opt_out: false,
            observe: false,
        }
    }
}

impl Default for Resources {
    fn default() -> Resources {
        let some = |quantity: &str| Some(quantity.to_owned());
        Resources {
            cpu_request: some("50m"),
            cpu_limit: None,
            memory_request: some("64Mi"),
            memory_limit: some("256Mi"),
        }
    }
}

/// Where Istio and Linkerd publish their images.
const MESH_IMAGES: [&str; 6] = [
    "docker.io/istio/",
    "istio/",
    "gcr.io/istio-release/",
    "registry.istio.io/",
    "cr.l5d.io/linkerd/",
    "ghcr.io/linkerd/",
];
