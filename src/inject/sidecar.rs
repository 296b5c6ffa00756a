//! The container of clinch, and its volumes, with every default of Kubernetes' API written out.
//!
//! What is generated here is what [`present`](super::present) demands of a container of that name, so nothing is left for the
//! API server to fill in. It has no privileges, no token of a service account (an empty volume lies where the admission
//! plugin would mount one), and reads nothing of the pod but its own configuration and certificates.
//!
//! As a native sidecar it starts before the application, ends after it, and lets a Job end (WH-013).

use super::annotations::Settings;
use super::names::{ADMIN_PORT, CONFIG, HEALTH_PORT, NO_TOKEN, SIDECAR, SPIFFE, STATE, TLS, literal};
use super::seen::{Mesh, Takes};
use crate::config::pod::{POD, POD_IPS, Pod};
use crate::config::template::{Resources, Template};
use serde_json::{Map, Value, json};

/// The container.
pub(super) fn container(settings: &Settings, template: &Template, told: &Pod, mesh: Option<Mesh>) -> Value {
    let waits = !matches!(takes(mesh), Takes::Runs); // for a mesh, and the kubelet with it
    let mut container = json!({
        "name": SIDECAR,
        "image": settings.image,
        "args": ["run", "--config", "/etc/clinch/config/clinch.yaml"],
        "ports": [{ "name": HEALTH_PORT, "containerPort": told.health, "protocol": "TCP" }],
        "env": [
            { "name": POD_IPS, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIPs" } } },
            { "name": POD, "value": written(told) },
            { "name": "STATE_DIRECTORY", "value": STATE_DIRECTORY },
        ],
        "resources": resources(&settings.resources),
        "volumeMounts": mounts(settings, template),
        "readinessProbe": probe("/ready", told.health, 5, 3),
        "livenessProbe": probe("/live", told.health, 10, if waits { 60 } else { 6 }),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": template.user,
            "runAsGroup": template.user,
            "runAsNonRoot": true,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    });
    if let Some(policy) = &template.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    if template.native {
        container["restartPolicy"] = json!("Always");
    } else if !waits {
        container["lifecycle"] = waiting();
    }
    if let Some(path) = started(mesh, template) {
        container["startupProbe"] = probe(path, told.health, 1, 300);
    }
    container
}

/// What clinch is told of its pod, as an environment variable holds it: nothing in it is a reference (WH-016).
pub(super) fn written(told: &Pod) -> String {
    literal(&serde_json::to_string(told).unwrap_or_default())
}

/// When the containers after it may start: when it can decide on requests. Where the issuer may be reached through a mesh
/// only, whose proxy comes later, when it listens; and where the mesh keeps even the kubelet out until then, at once.
fn started(mesh: Option<Mesh>, template: &Template) -> Option<&'static str> {
    match takes(mesh) {
        Takes::Runs => Some("/ready"),
        Takes::AtOnce if template.native => None,
        Takes::AtOnce | Takes::Later => Some("/live"),
    }
}

fn takes(mesh: Option<Mesh>) -> Takes {
    mesh.map_or(Takes::Runs, |mesh| mesh.takes)
}

/// How a plain container has those after it wait.
pub(super) fn waiting() -> Value {
    let admin = format!("http://127.0.0.1:{ADMIN_PORT}");
    json!({
        "postStart": {
            "exec": { "command": ["/usr/local/bin/clinch", "ready", "--wait", "60s", "--admin", admin] },
        },
    })
}

/// CPU and memory.
pub(super) fn resources(resources: &Resources) -> Value {
    let Resources { cpu_request, cpu_limit, memory_request, memory_limit } = resources;
    let mut both = Map::new();
    for (key, cpu, memory) in [("requests", cpu_request, memory_request), ("limits", cpu_limit, memory_limit)]
    {
        let quantities = [("cpu", cpu), ("memory", memory)];
        let written: Map<String, Value> = quantities
            .into_iter()
            .filter_map(|(name, q)| Some((name.to_owned(), json!(q.as_ref()?))))
            .collect();
        if !written.is_empty() {
            both.insert(key.to_owned(), Value::Object(written));
        }
    }
    Value::Object(both)
}

/// Its volumes, and the one that the init container shares.
pub(super) fn volumes(settings: &Settings, template: &Template) -> Vec<Value> {
    let mut volumes = vec![
        json!({ "name": CONFIG, "configMap": { "name": settings.config_map, "defaultMode": READABLE } }),
    ];
    let certificates = &template.certificates;
    if certificates.spiffe {
        volumes.push(json!({ "name": SPIFFE, "csi": { "driver": "csi.spiffe.io", "readOnly": true } }));
    }
    if let Some(csi) = &certificates.csi {
        let mut volume = json!({ "driver": csi.driver, "readOnly": true });
        if !csi.attributes.is_empty() {
            volume["volumeAttributes"] = json!(csi.attributes);
        }
        volumes.push(json!({ "name": TLS, "csi": volume }));
    } else if let Some(secret) = &settings.secret {
        volumes.push(json!({ "name": TLS, "secret": { "secretName": secret, "defaultMode": READABLE } }));
    }
    for name in [STATE, NO_TOKEN] {
        volumes.push(json!({ "name": name, "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }));
    }
    volumes
}

/// Where an empty volume hides the token of the service account.
pub(super) fn no_token() -> Value {
    json!({ "name": NO_TOKEN, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true })
}

fn mounts(settings: &Settings, template: &Template) -> Value {
    let read_only = |name: &str, path: &str| json!({ "name": name, "mountPath": path, "readOnly": true });
    let mut mounts = vec![read_only(CONFIG, "/etc/clinch/config")];
    if template.certificates.spiffe {
        mounts.push(read_only(SPIFFE, "/run/spire"));
    }
    if template.certificates.csi.is_some() || settings.secret.is_some() {
        mounts.push(read_only(TLS, "/etc/clinch/tls"));
    }
    mounts.push(json!({ "name": STATE, "mountPath": STATE_DIRECTORY }));
    mounts.push(no_token());
    json!(mounts)
}

fn probe(path: &str, port: u16, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": port, "scheme": "HTTP" },
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "successThreshold": 1,
        "failureThreshold": failures,
    })
}

/// Outlives the container, not the pod.
const STATE_DIRECTORY: &str = "/var/lib/clinch";
/// `0644`, which is Kubernetes' default: the files are root's, whatever group the pod has for volumes, and only the
/// sidecar mounts them.
const READABLE: u32 = 0o644;
