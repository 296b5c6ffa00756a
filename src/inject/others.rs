//! Webhooks that give every container an identity of the cloud: told to pass ours by, and borne where they don't.
//!
//! clinch needs none of it. What they add can't change what clinch does: a volume where clinch looks for nothing, and
//! variables that it doesn't read (WH-005, WH-006).

use super::names::{REDIRECT, SIDECAR, VOLUMES};
use serde_json::Value;
use std::collections::BTreeMap;

/// The annotations that name containers to be passed by, with ours among them: those that have to be set.
pub(super) fn skipped(annotations: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let extended = |(key, separator): (&'static str, &'static str)| {
        let had = annotations.get(key).map(String::as_str).unwrap_or_default();
        let names = had.split(separator).map(str::trim).filter(|name| !name.is_empty());
        let ours = [SIDECAR, REDIRECT].into_iter().filter(|our| !names.clone().any(|name| name == *our));
        let all: Vec<&str> = names.clone().chain(ours.clone()).collect();
        (ours.count() > 0).then(|| (key, all.join(separator)))
    };
    SKIP.into_iter().filter_map(extended).collect()
}

/// A container of ours without what such a webhook added.
pub(super) fn without(mut container: Value, wanted: &Value) -> Value {
    if let Some(env) = container["env"].as_array_mut() {
        env.retain(|variable| {
            let name = variable["name"].as_str().unwrap_or_default();
            !VARIABLES.iter().any(|beginning| name.starts_with(beginning))
        });
    }
    let ours: Vec<Vec<&str>> =
        wanted["volumeMounts"].as_array().into_iter().flatten().filter_map(path).collect();
    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
        mounts.retain(|mount| !is_harmless(mount, &ours));
    }
    container
}

/// Whether a volume lies where neither clinch nor the system's own files are.
fn is_harmless(mount: &Value, ours: &[Vec<&str>]) -> bool {
    if mount["name"].as_str().is_none_or(|name| VOLUMES.contains(&name)) {
        return false;
    }
    let Some(path) = path(mount) else { return false };
    let system = SYSTEM.iter().map(|path| parts(path));
    let meets = |other: &[&str]| path.iter().zip(other).all(|(a, b)| a == b);
    !system.flatten().any(|other| meets(&other)) && !ours.iter().any(|other| meets(other))
}

fn path(mount: &Value) -> Option<Vec<&str>> {
    parts(mount["mountPath"].as_str()?)
}

/// The parts of an absolute, normalised path; `/var/run` is `/run`.
fn parts(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let odd = |part: &&str| part.is_empty() || [".", ".."].contains(part) || part.contains(['\0', ':', '\\']);
    if parts.iter().any(odd) {
        return None;
    }
    let below = if parts.starts_with(&["var", "run"]) { 1 } else { 0 };
    Some(parts[below..].to_vec())
}

/// By whom, and what stands between names there (amazon-eks-pod-identity-webhook, azure-workload-identity).
const SKIP: [(&str, &str); 2] =
    [("eks.amazonaws.com/skip-containers", ","), ("azure.workload.identity/skip-containers", ";")];
/// What their variables begin with.
const VARIABLES: [&str; 2] = ["AWS_", "AZURE_"];
/// Programs, libraries, settings, the kernel's own, and a service account's token.
const SYSTEM: [&str; 12] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/var/run/secrets/kubernetes.io/serviceaccount",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_lies_apart_is_harmless() {
        let ours = vec![vec!["etc", "clinch", "config"], vec!["var", "lib", "clinch"]];
        let at = |path: &str| is_harmless(&json!({ "name": "x", "mountPath": path }), &ours);
        for path in [
            "/var/run/secrets/eks.amazonaws.com/serviceaccount",
            "/vault/secrets",
            "/var/lib/other",
            "/library",
        ] {
            assert!(at(path), "{path}");
        }
        for path in [
            "",
            "/",
            "data",
            "//data",
            "/data/",
            "/data/../etc",
            "/./etc",
            "/var",
            "/var/lib",
            "/var/lib/clinch",
            "/var/lib/clinch/x",
            "/etc",
            "/etc/ssl",
            "/usr/local/bin",
            "/lib64",
            "/proc/self",
            "/run/secrets",
            "/run/secrets/kubernetes.io/serviceaccount/token",
            "/var/run/secrets/kubernetes.io",
            "/var/run",
            "/run",
        ] {
            assert!(!at(path), "{path}");
        }
        assert!(!is_harmless(&json!({ "name": "clinch-config", "mountPath": "/data" }), &ours));
    }

    #[test]
    fn a_name_is_added_once() {
        let (eks, azure) = (SKIP[0].0, SKIP[1].0);
        let none = BTreeMap::new();
        assert_eq!(
            skipped(&none),
            [(eks, "clinch,clinch-redirect".to_owned()), (azure, "clinch;clinch-redirect".to_owned())]
        );
        let some = |value: &str| {
            BTreeMap::from([
                (eks.to_owned(), value.to_owned()),
                (azure.to_owned(), "clinch-redirect; clinch".to_owned()),
            ])
        };
        assert_eq!(skipped(&some("a, b")), [(eks, "a,b,clinch,clinch-redirect".to_owned())]);
        assert_eq!(skipped(&some("clinch")), [(eks, "clinch,clinch-redirect".to_owned())]);
        assert_eq!(skipped(&some("clinch,x,clinch-redirect")), []);
    }
}
