//! Whether a pod is to be guarded.
//!
//! Decides by the namespace, and by the label or annotation `clinch.dev/inject` of the pod. That its author may say no is the
//! operator's choice (WH-007). Whether it can be guarded is not decided here.

use super::names::PREFIX;
use super::patch::{Place, Refusal};
use super::seen::Seen;
use crate::config::template::Template;
use crate::config::words::quoted;

/// `None`: it is to be guarded. Otherwise why it is left alone.
pub(super) fn left(
    seen: &Seen<'_>,
    place: &Place<'_>,
    template: &Template,
) -> Result<Option<&'static str>, Refusal> {
    if NEVER.contains(&place.namespace) {
        return Ok(Some("the namespace belongs to Kubernetes"));
    }
    if !place.own.is_empty() && place.namespace == place.own {
        return Ok(Some("the namespace is the injector's own"));
    }
    match asked(seen)? {
        Some(Asked::Enabled) => Ok(None),
        None if place.opted_in => Ok(None),
        None => Ok(Some("neither the namespace nor the pod asks for it (clinch.dev/inject: enabled)")),
        Some(Asked::Disabled) if !place.opted_in => Ok(Some("the pod asks not to be injected")),
        Some(Asked::Disabled) if template.opt_out => Ok(Some("the pod opts out")),
        Some(Asked::Disabled) => Err(Refusal::of(format!(
            "clinch.dev/inject: found `disabled`, but pods of namespace {} may not opt out (template.opt_out)",
            quoted(place.namespace)
        ))),
    }
}

/// What the pod itself says, by label or annotation.
fn asked(seen: &Seen<'_>) -> Result<Option<Asked>, Refusal> {
    let key = format!("{PREFIX}inject");
    let label = read("label", seen.labels().get(&key))?;
    let annotation = read("annotation", seen.annotations().get(&key))?;
    match (label, annotation) {
        (Some(label), Some(annotation)) if label != annotation => {
            Err(Refusal::of("clinch.dev/inject: the pod's label and its annotation contradict each other"))
        }
        (label, annotation) => Ok(label.or(annotation)),
    }
}

fn read(kind: &str, value: Option<&String>) -> Result<Option<Asked>, Refusal> {
    match value.map(String::as_str) {
        None => Ok(None),
        Some("enabled") => Ok(Some(Asked::Enabled)),
        Some("disabled") => Ok(Some(Asked::Disabled)),
        Some(other) => Err(Refusal::of(format!(
            "clinch.dev/inject ({kind}): found {}, expected `enabled` or `disabled`",
            quoted(other)
        ))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Enabled,
    Disabled,
}

/// A cluster that can't start these can't start the injector either.
const NEVER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
