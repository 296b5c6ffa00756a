//! The init container of mode redirect, which has the kernel send what comes for the application's port to clinch.
//!
//! It alone has a privilege, `NET_ADMIN`, and ends before the application starts.

use super::annotations::Settings;
use super::names::{REDIRECT as NAME, literal};
use super::ports::{Guarded, Protocol};
use super::sidecar::{no_token, resources};
use crate::config::pod::{REDIRECT, Redirect};
use crate::config::template::Template;
use serde_json::{Value, json};

/// The container.
pub(super) fn container(settings: &Settings, template: &Template, guarded: &Guarded) -> Value {
    let rules = Redirect {
        port: guarded.port,
        to: template.redirect_port,
        health: template.health_port,
        open: settings.excluded.of(Protocol::Tcp),
        open_udp: settings.excluded.of(Protocol::Udp),
        user: template.user,
    };
    let mut container = json!({
        "name": NAME,
        "image": template.redirect_image.as_ref().unwrap_or(&settings.image),
        "args": ["redirect"],
        "env": [{ "name": REDIRECT, "value": literal(&serde_json::to_string(&rules).unwrap_or_default()) }],
        "resources": resources(&settings.resources),
        "volumeMounts": [no_token()],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    });
    if let Some(policy) = &template.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}
