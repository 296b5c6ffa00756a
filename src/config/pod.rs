//! What an injected sidecar is told of its pod, beside the configuration file, which many pods share.
//!
//! The injector writes it as JSON into the environment of its containers (`CLINCH_POD`, `CLINCH_REDIRECT`), `clinch run`
//! and `clinch redirect` read it there: one set of types, so that the two can't drift apart.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `CLINCH_POD`: what `clinch run` takes from here instead of from its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pod {
    /// How requests come to clinch.
    pub mode: PodMode,
    /// Where clinch listens: in place of the port of `listen.address`.
    pub listen: u16,
    /// Where the service listens on loopback: in place of the port of `upstream.url`. `None` leaves that as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<u16>,
    /// Where the kubelet finds `/live`, `/ready`, `/metrics` and `/probe/…`, on every address of the pod.
    pub health: u16,
    /// In place of `telemetry.log.level`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// In place of `mode`: `observe` where true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// What the kubelet asked the application itself before, by the path below `/probe/`, such as `app/readiness`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, PodProbe>,
}

/// How requests come to clinch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PodMode {
    /// clinch listens at the service's port on the addresses of the pod, the application at loopback only. No privileges.
    #[default]
    Port,
    /// An init container has the kernel send what comes for the application's port to clinch.
    Redirect,
}

/// A question that clinch passes on to the application, on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum PodProbe {
    /// GET: any status from 200 to 399 is good (Kubernetes: `httpGet`).
    Http {
        /// On loopback.
        port: u16,
        /// With its query.
        path: String,
        /// Sent along, `Host` among them, as they are written.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    /// A connection is good (`tcpSocket`).
    Tcp {
        /// On loopback.
        port: u16,
    },
    /// The answer SERVING is good (`grpc`; the gRPC health checking protocol).
    Grpc {
        /// On loopback.
        port: u16,
        /// The service that is asked about; empty asks about all.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        service: String,
    },
}

/// `CLINCH_REDIRECT`: what the rules of `clinch redirect` are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Redirect {
    /// The application's TCP port.
    pub port: u16,
    /// clinch's.
    pub to: u16,
    /// clinch's own: what stays open because clinch answers there.
    pub health: u16,
    /// TCP ports that stay open as they are, because the operator excluded them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<u16>,
    /// UDP ports that stay open, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_udp: Vec<u16>,
    /// The user id of clinch, whose connections are never redirected.
    pub user: u32,
}

/// What a [`Pod`] may say of how much is logged.
pub const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The environment variable with a [`Pod`].
pub const POD: &str = "CLINCH_POD";
/// The environment variable with the pod's addresses, separated by commas (`status.podIPs`).
pub const POD_IPS: &str = "CLINCH_POD_IPS";
/// The environment variable with a [`Redirect`].
pub const REDIRECT: &str = "CLINCH_REDIRECT";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let written = json!({
            "mode": "port", "listen": 8080, "upstream": 8080, "health": 9902,
            "probes": {
                "app/readiness": { "http": { "port": 8080, "path": "/ready" } },
                "app/liveness": { "tcp": { "port": 8080 } },
                "app/startup": { "grpc": { "port": 8080 } },
            },
        });
        let pod: Pod = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&pod).unwrap(), written);
        let mut more = written;
        more["failOpen"] = json!(true);
        assert!(serde_json::from_value::<Pod>(more).is_err());
    }
}
