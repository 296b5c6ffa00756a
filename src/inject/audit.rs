//! Looks for pods that should have the sidecar and don't, or whose sidecar is not ours.
//!
//! Every pod that is not finished is judged as the validating webhook would: those of namespaces that are opted in, and
//! those that ask for it themselves. Namespaces with a mistyped label are told of, for no webhook is asked about their pods. Names and reasons come out, nothing else of a pod.

use super::api::{Api, Pages, Trouble};
use super::patch::{Place, verify};
use crate::config::template::Template;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// How many pods were judged.
    pub judged: usize,
    /// Those that are not guarded as they should be.
    pub pods: Vec<Unguarded>,
    /// Namespaces whose label is a word that nobody understands: none of their pods is guarded, and nobody says so.
    pub namespaces: Vec<Mistyped>,
}

/// A namespace with the label `clinch.dev/inject`, and neither `enabled` nor `disabled` as its value.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mistyped {
    /// Its name.
    pub name: String,
    /// What it says.
    pub label: String,
}

impl Audit {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pods.is_empty() && self.namespaces.is_empty()
    }
}

/// A pod that should be guarded and is not.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unguarded {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Pending, Running or Unknown.
    pub phase: String,
    /// Everything that is wrong with it.
    pub reasons: Vec<String>,
}

/// Looks at the whole cluster. `own` is the injector's own namespace.
///
/// # Errors
/// A list can't be read to its end.
pub async fn audit(api: &Api, template: &Template, own: &str) -> Result<Audit, Trouble> {
    let mut begun = 1;
    loop {
        match once(api, template, own).await {
            // The list changed faster than it was read.
            Err(Trouble::Expired) if begun < ATTEMPTS => begun += 1,
            audited => return audited,
        }
    }
}

async fn once(api: &Api, template: &Template, own: &str) -> Result<Audit, Trouble> {
    let (mut opted_in, mut found) = (BTreeSet::new(), Audit::default());
    let mut namespaces = Pages::of(api, NAMESPACES);
    while let Some(page) = namespaces.next().await? {
        for namespace in &page {
            let name = text(namespace, "/metadata/name").unwrap_or_default();
            match text(namespace, "/metadata/labels/clinch.dev~1inject").as_deref() {
                Some("enabled") => drop(opted_in.insert(name)),
                Some("disabled") | None => {}
                Some(label) => found.namespaces.push(Mistyped { name, label: label.to_owned() }),
            }
        }
    }
    let mut pods = Pages::of(api, PODS);
    while let Some(page) = pods.next().await? {
        for pod in &page {
            let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
            let place =
                Place { namespace: &namespace, opted_in: opted_in.contains(&namespace), own, token: "" };
            if !(place.opted_in || asks(pod)) {
                continue;
            }
            found.judged += 1;
            if let Err(refusal) = verify(pod, &place, template) {
                found.pods.push(Unguarded {
                    name: text(pod, "/metadata/name").unwrap_or_default(),
                    phase: text(pod, "/status/phase").unwrap_or_else(|| "Unknown".to_owned()),
                    reasons: refusal.faults,
                    namespace,
                });
            }
        }
    }
    found.pods.sort();
    found.namespaces.sort();
    Ok(found)
}

/// Whether a pod asks for the sidecar itself.
fn asks(pod: &Value) -> bool {
    let says = |of: &str| pod.pointer(&format!("/metadata/{of}/clinch.dev~1inject")).and_then(Value::as_str);
    says("labels") == Some("enabled") || says("annotations") == Some("enabled")
}

fn text(object: &Value, pointer: &str) -> Option<String> {
    object.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

const NAMESPACES: &str = "/api/v1/namespaces?labelSelector=clinch.dev%2Finject";
/// A pod that has finished, guards nothing.
const PODS: &str = "/api/v1/pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
const ATTEMPTS: usize = 3;
