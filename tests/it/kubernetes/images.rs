//! The images that the API server's own policy believes, and how an overlay names others.

use super::policies::{Request, altered, judged, opted_in, pod};
use super::{deploy, object, objects};
use crate::support::temporary::Folder;
use clinch::inject::manifest::documents;
use serde_json::{Value, json};
use std::process::Command;

const IMAGE: &str = "/spec/initContainers/0/image";

/// A literal among the variables of `clinch-guarded`.
pub fn variable(all: &[Value], name: &str) -> Value {
    let spec = &object(all, "ValidatingAdmissionPolicy", "clinch-guarded")["spec"];
    let variables = spec["variables"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name).unwrap();
    let literal = found["expression"].as_str().unwrap().replace('\'', "\"");
    serde_json::from_str(&literal).unwrap()
}

pub fn names(all: &[Value], name: &str) -> Vec<String> {
    serde_json::from_value(variable(all, name)).unwrap()
}

fn guarded(all: &[Value], request: &Request) -> Option<String> {
    judged(&object(all, "ValidatingAdmissionPolicy", "clinch-guarded")["spec"], request)
}

/// What the binding needs to be resolved is the policy alone, so that nothing that is missing refuses every pod.
#[test]
fn the_policies_read_nothing_but_themselves() {
    for object in objects("overlays/plain") {
        if object["kind"].as_str().unwrap().starts_with("ValidatingAdmissionPolicy") {
            let spec = &object["spec"];
            assert_eq!((spec.get("paramKind"), spec.get("paramRef")), (None, None), "{object}");
        }
    }
}

/// The overlay of docs/kubernetes.md, rendered beside the others; with and without the lines for `template.opt_out`.
#[test]
fn another_registry_and_opting_out_are_an_overlay_s_patch() {
    let page = std::fs::read_to_string(deploy("../docs/kubernetes.md")).unwrap();
    let section = page.split("### Images of your own registry").nth(1).unwrap();
    let blocks: Vec<&str> =
        section.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    let all = registry(blocks[0]);
    assert_eq!(names(&all, "images"), ["registry.example.com/clinch"]);
    assert_eq!(names(&all, "redirectImages"), ["registry.example.com/clinch-redirect"]);
    let deployment = object(&all, "Deployment", "clinch-injector");
    let runs = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    assert!(runs.starts_with("registry.example.com/clinch:"), "{runs}");
    let ours = altered(IMAGE, json!("registry.example.com/clinch:1"));
    assert_eq!(guarded(&all, &Request::create(ours.clone())), None);
    assert!(guarded(&all, &Request::create(pod(true))).is_some());
    // Pods from before stay manageable: a finalizer can be taken away, an image can only become one of the new ones.
    let mut old = pod(true);
    assert_eq!(guarded(&all, &Request::update(old.clone(), pod(true))), None);
    old["metadata"]["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
    assert_eq!(guarded(&all, &Request::update(pod(true), old.clone())), None);
    assert_eq!(guarded(&all, &Request::update(ours, old.clone())), None);
    assert!(guarded(&all, &Request::update(altered(IMAGE, json!("evil.example/clinch:1")), old)).is_some());

    let mut out = pod(false);
    out["metadata"]["labels"]["clinch.dev/inject"] = json!("disabled");
    assert!(guarded(&all, &Request::create(out.clone())).is_some());
    let all = registry(&format!("{}{}", blocks[0], blocks[1]));
    assert_eq!(guarded(&all, &Request::create(out.clone())), None);
    assert!(guarded(&all, &Request::create(pod(false))).is_some());
    out["metadata"]["annotations"] = json!({ "clinch.dev/inject": "enabled" });
    assert!(guarded(&all, &Request::create(out)).is_some());
}

/// WH-006: who was guarded does not get another image by saying that it need not be.
#[test]
fn a_label_that_is_taken_away_with_the_image_does_not_help() {
    let all = objects("overlays/plain");
    let mut asked = pod(true);
    asked["metadata"]["labels"]["clinch.dev/inject"] = json!("enabled");
    let mut request = Request::update(altered(IMAGE, json!("evil.example/clinch:1")), asked);
    request.namespace = json!({ "metadata": { "name": "other" } });
    assert!(guarded(&all, &request).unwrap().contains("image of container clinch "));
    request.old = pod(true);
    assert_eq!(guarded(&all, &request), None);
    request.namespace = opted_in();
    assert!(guarded(&all, &request).is_some());
}

fn registry(kustomization: &str) -> Vec<Value> {
    let folder = Folder::new();
    let root = folder.at("").canonicalize().unwrap();
    let up = "../".repeat(root.components().count() - 1);
    let plain = deploy("kubernetes/overlays/plain").canonicalize().unwrap();
    let text = kustomization
        .replace("../plain", &format!("{up}{}", plain.to_str().unwrap().trim_start_matches('/')));
    folder.write("kustomization.yaml", &text);
    let config = std::fs::read_to_string(plain.join("injector.yaml")).unwrap();
    folder.write("injector.yaml", &config.replace("ghcr.io/clinch-dev", "registry.example.com"));
    let kubectl = Command::new(super::tool("bin/kubectl")).arg("kustomize").arg(&root).output().unwrap();
    assert!(kubectl.status.success(), "{}", String::from_utf8_lossy(&kubectl.stderr));
    documents(&String::from_utf8(kubectl.stdout).unwrap()).unwrap()
}
