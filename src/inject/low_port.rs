//! Ports below 1024, in mode port: clinch is not root and has no capability, so the pod lets anybody bind them.
//!
//! `net.ipv4.ip_unprivileged_port_start` holds for both families and for the pod alone. Kubernetes counts it among the safe
//! ones, and Pod Security `restricted` admits it.

use super::operations::{Operations, at};
use super::ports::Guarded;
use super::said::Said;
use super::seen::Seen;
use serde_json::{Value, json};

/// Lets clinch bind what it must.
pub(super) fn allow(seen: &Seen<'_>, guarded: &Guarded, said: &mut Said, operations: &mut Operations) {
    let lowest = guarded.port.min(guarded.upstream);
    if lowest >= FIRST_FREE {
        return;
    }
    let context = ["spec", "securityContext"];
    let path = [context[0], context[1], "sysctls"];
    let set = at(seen.value, &path).and_then(Value::as_array).into_iter().flatten();
    let mut set = set.filter(|sysctl| sysctl["name"] == SYSCTL).map(|sysctl| sysctl["value"].as_str());
    match set.next_back() {
        None => {
            if !at(seen.value, &context).is_some_and(Value::is_object) {
                operations.set(&context, json!({}));
            }
            let value = json!({ "name": SYSCTL, "value": lowest.to_string() });
            operations.insert(seen.value, &path, None, vec![value]);
        }
        Some(value) if value.and_then(|value| value.parse().ok()).is_some_and(|from: u16| from <= lowest) => {
        }
        Some(_) => said.fault(format!(
            "spec.securityContext.sysctls: with this {SYSCTL} clinch can't listen at port {lowest}"
        )),
    }
}

const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";
/// Linux's own.
const FIRST_FREE: u16 = 1024;
