//! `tests/data/inject/*.yaml`: pods, each with what becomes of it beside it. A second document is the template.

use super::pods::{place, verifies};
use clinch::config::template::Template;
use clinch::inject::patch::{Outcome, Refusal, patch};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// WH-004, WH-005, WH-006, WH-007, WH-008, WH-009, WH-012, WH-015, WH-016, WH-024, WH-026: each is named in the file.
#[test]
fn every_pod_becomes_what_is_beside_it() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for file in files() {
        let (pod, template) = read(&file);
        let said = written(&pod, &template);
        let beside = file.with_extension("out");
        if bless {
            std::fs::write(&beside, &said).unwrap();
        }
        if said != std::fs::read_to_string(&beside).unwrap_or_default() {
            different.push(format!("{}:\n{said}", file.display()));
        }
    }
    assert!(files().len() > 40 && different.is_empty(), "{}", different.join("\n"));
}

/// WH-005, for every shape there is; and what we wrote is what Kubernetes' types would write.
#[test]
fn a_second_patch_changes_nothing() {
    for (file, after, template) in all_patched() {
        assert_eq!(patch(&after, &place(), &template), Ok(Outcome::Complete), "{file}");
        assert_eq!(verifies(&after, &template), Ok(()), "{file}");
        let typed: Pod = serde_json::from_value(after.clone()).unwrap();
        let mut back = serde_json::to_value(typed).unwrap();
        let mut after = after;
        for pod in [&mut back, &mut after] {
            pod["metadata"].as_object_mut().unwrap().remove("creationTimestamp"); // null in one shape
        }
        assert_eq!(back, after, "{file}");
    }
}

/// WH-005: the API server's defaults, a status, an ephemeral container and a service account's token don't make it another.
#[test]
fn a_running_pod_is_still_known() {
    for (file, after, template) in all_patched() {
        let running = as_it_runs(after);
        assert_eq!(verifies(&running, &template), Ok(()), "{file}");
        assert_eq!(patch(&running, &place(), &template), Ok(Outcome::Complete), "{file}");
    }
}

/// What the API server, the scheduler and a debugging colleague make of a pod.
fn as_it_runs(mut pod: Value) -> Value {
    pod["status"] = json!({ "phase": "Running", "podIP": "10.0.0.7", "podIPs": [{ "ip": "10.0.0.7" }] });
    pod["metadata"]["uid"] = json!("6e1f9c2e-6b5e-4f43-9c1b-7f2d1a0c8b11");
    pod["metadata"]["resourceVersion"] = json!("4711");
    let spec = &mut pod["spec"];
    spec["nodeName"] = json!("node1");
    spec["dnsPolicy"] = json!("ClusterFirst");
    spec["ephemeralContainers"] =
        json!([{ "name": "debugger", "image": "busybox", "targetContainerName": "app" }]);
    for array in ["containers", "initContainers"] {
        for container in spec[array].as_array_mut().into_iter().flatten() {
            let default = |container: &mut Value, field: &str, value: Value| {
                if container[field].is_null() {
                    container[field] = value;
                }
            };
            default(container, "imagePullPolicy", json!("IfNotPresent"));
            default(container, "terminationMessagePath", json!("/dev/termination-log"));
            default(container, "terminationMessagePolicy", json!("File"));
            default(container, "resources", json!({}));
            let path = "/var/run/secrets/kubernetes.io/serviceaccount";
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            if !mounts.iter().any(|mount| mount["mountPath"] == path) {
                let token = json!({ "name": "kube-api-access-a1b2c", "mountPath": path, "readOnly": true });
                container["volumeMounts"] = json!([mounts, vec![token]].concat());
            }
        }
    }
    pod
}

fn all_patched() -> Vec<(String, Value, Template)> {
    let patched = files().into_iter().filter_map(|file| {
        let (pod, template) = read(&file);
        let Ok(Outcome::Patched { patch, .. }) = patch(&pod, &place(), &template) else { return None };
        let mut after = pod;
        json_patch::patch(&mut after, &patch).unwrap();
        Some((file.display().to_string(), after, template))
    });
    let all: Vec<_> = patched.collect();
    assert!(all.len() > 15, "{}", all.len());
    all
}

/// The outcome as it stands beside a pod.
fn written(pod: &Value, template: &Template) -> String {
    match patch(pod, &place(), template) {
        Ok(Outcome::Left(why)) => format!("# left: {why}\n"),
        Ok(Outcome::Complete) => "# complete\n".to_owned(),
        Err(Refusal { faults }) => faults.iter().map(|fault| format!("# refused: {fault}\n")).collect(),
        Ok(Outcome::Patched { patch, warnings }) => {
            let mut after = pod.clone();
            json_patch::patch(&mut after, &patch).unwrap();
            let warnings: String = warnings.iter().map(|warning| format!("# warning: {warning}\n")).collect();
            format!("{warnings}{}", serde_saphyr::to_string(&after).unwrap())
        }
    }
}

fn read(file: &Path) -> (Value, Template) {
    let text = std::fs::read_to_string(file).unwrap();
    let (pod, template) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    let pod = serde_saphyr::from_str(pod).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    (pod, serde_saphyr::from_str(template).unwrap_or_else(|why| panic!("{}: {why}", file.display())))
}

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/inject");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}
