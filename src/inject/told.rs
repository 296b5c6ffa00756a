//! What the application is told, in the environment of the container of the guarded port: to listen at loopback.
//!
//! `clinch.dev/app-env` sets variables, in both modes, and replaces literal values. In mode port `template.app_env` is added
//! where the container has no such variable; and where `clinch.dev/upstream-port` moves the application, a literal `PORT`
//! that is the guarded port becomes the new one. An application that is told in vain fails to bind the port: it is closed.

use super::annotations::Settings;
use super::names::literal;
use super::operations::Operations;
use super::ports::Guarded;
use super::said::Said;
use super::seen::{Member, Seen};
use crate::config::pod::PodMode;
use crate::config::template::Template;
use crate::config::words::quoted;
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tells the application.
pub(super) fn tell(
    seen: &Seen<'_>,
    guarded: &Guarded,
    settings: &Settings,
    template: &Template,
    said: &mut Said,
    operations: &mut Operations,
) {
    let holds = |member: &Member<'_>| guarded.holder == Some((member.kind, member.index));
    let Some(member) = seen.applications().find(holds) else {
        if !settings.app_env.is_empty() {
            said.fault(format!(
                "clinch.dev/app-env: no container declares port {}, and there are several",
                guarded.port
            ));
        }
        return;
    };
    let has: BTreeMap<&str, (usize, &EnvVar)> =
        member.container.env.iter().flatten().enumerate().map(|(i, e)| (e.name.as_str(), (i, e))).collect();
    let index = member.index.to_string();
    let path = ["spec", member.array(), &index, "env"];
    let mut added: Vec<Value> = Vec::new();
    for (name, value) in &settings.app_env {
        let value = literal(value);
        match has.get(name.as_str()) {
            None => added.push(json!({ "name": name, "value": value })),
            Some((_, env)) if env.value_from.is_some() => {
                said.fault(format!(
                    "clinch.dev/app-env: {} has {name} from elsewhere (valueFrom)",
                    member.called()
                ));
            }
            Some((_, env)) if env.value.as_deref() == Some(&value) => {}
            Some((at, _)) => replace(operations, &path, *at, &value),
        }
    }
    if settings.mode == PodMode::Port {
        let open = |name: &str| !settings.app_env.iter().any(|(set, _)| set == name);
        for (name, value) in template.app_env.iter().filter(|(name, _)| open(name)) {
            match has.get(name.as_str()) {
                None => added.push(json!({ "name": name, "value": literal(value) })),
                Some((_, env)) if env.value.as_deref() == Some(&literal(value)) => {}
                Some(_) => said.warn(format!(
                    "{}: {name} is set already, so it is not set to {} (clinch.dev/app-env would)",
                    member.called(),
                    quoted(value)
                )),
            }
        }
        let moved = (guarded.upstream != guarded.port && open("PORT")).then(|| guarded.port.to_string());
        match has.get("PORT") {
            Some((at, env)) if moved.is_some() && env.value == moved => {
                replace(operations, &path, *at, &guarded.upstream.to_string());
            }
            Some(_) | None => {}
        }
    }
    operations.insert(seen.value, &path, None, added);
}

fn replace(operations: &mut Operations, path: &[&str], at: usize, value: &str) {
    operations.set(&[path, &[at.to_string().as_str(), "value"]].concat(), json!(value));
}
