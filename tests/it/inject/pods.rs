//! Pods as tests write them, and what becomes of them.

use clinch::config::template::Template;
use clinch::inject::patch::{Outcome, Place, Refusal, patch, verify};
use serde_json::{Value, json};

/// A namespace that is opted in.
pub fn place() -> Place<'static> {
    Place {
        namespace: "shop",
        opted_in: true,
        own: "clinch-system",
        token: "0123456789abcdef0123456789abcdef",
    }
}

/// One container with port 8080.
pub fn simple() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "orders" },
        "spec": { "containers": [{ "name": "app", "image": "app:1", "ports": [{ "containerPort": 8080 }] }] },
    })
}

/// The same with annotations.
pub fn annotated(annotations: &[(&str, &str)]) -> Value {
    let mut pod = simple();
    for (name, value) in annotations {
        pod["metadata"]["annotations"][format!("clinch.dev/{name}")] = json!(value);
    }
    pod
}

/// The pod after the patch, and the warnings.
pub fn patched(pod: &Value, template: &Template) -> (Value, Vec<String>) {
    match patch(pod, &place(), template) {
        Ok(Outcome::Patched { patch, warnings }) => {
            let mut after = pod.clone();
            json_patch::patch(&mut after, &patch).unwrap();
            (after, warnings)
        }
        other => panic!("not patched: {other:?}"),
    }
}

/// The pod with clinch in it, as the default template has it.
pub fn injected(pod: &Value) -> Value {
    patched(pod, &Template::default()).0
}

/// All faults, one to a line.
pub fn faults(pod: &Value, template: &Template) -> String {
    match patch(pod, &place(), template) {
        Err(Refusal { faults }) => faults.join("\n"),
        Ok(outcome) => panic!("not refused: {outcome:?}"),
    }
}

/// Whether the validating webhook lets it pass.
pub fn verifies(pod: &Value, template: &Template) -> Result<(), Refusal> {
    verify(pod, &place(), template)
}

/// The container of that name, anywhere.
pub fn container<'a>(pod: &'a mut Value, name: &str) -> &'a mut Value {
    let spec = pod["spec"].as_object_mut().unwrap();
    let arrays = spec.iter_mut().filter(|(key, _)| ["containers", "initContainers"].contains(&key.as_str()));
    let mut all = arrays.flat_map(|(_, array)| array.as_array_mut().unwrap());
    all.find(|container| container["name"] == name).unwrap()
}

/// `CLINCH_POD` as the sidecar reads it.
pub fn told(pod: &mut Value) -> clinch::config::pod::Pod {
    let env = &container(pod, "clinch")["env"];
    let text = env.as_array().unwrap().iter().find(|e| e["name"] == "CLINCH_POD").unwrap()["value"]
        .as_str()
        .unwrap();
    serde_json::from_str(&expanded(text)).unwrap()
}

/// A value as the kubelet hands it on, where it refers to nothing that is known.
pub fn expanded(text: &str) -> String {
    text.replace("$$", "$")
}
