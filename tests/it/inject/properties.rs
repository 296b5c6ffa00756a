//! What holds for any pod, over generated ones.

use super::pods::*;
use clinch::config::pod::PodMode;
use clinch::config::template::Template;
use clinch::inject::patch::{Outcome, patch};
use k8s_openapi::api::core::v1::Pod;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// WH-005, WH-015: a patched pod is complete, verifies, is a pod still, and has lost nothing of what it was.
    #[test]
    fn a_patch_is_complete_and_loses_nothing(pod in any_pod(), template in any_template()) {
        let (after, _) = patched(&pod, &template);
        prop_assert_eq!(patch(&after, &place(), &template), Ok(Outcome::Complete));
        prop_assert_eq!(verifies(&after, &template), Ok(()));
        prop_assert!(serde_json::from_value::<Pod>(after.clone()).is_ok());
        prop_assert!(verifies(&pod, &template).is_err());
        prop_assert_eq!(without_ours(after, &pod), with_empty_lists(pod));
    }

    /// WH-006: whatever single value of the sidecar or its volumes is another, it is not ours.
    #[test]
    fn a_sidecar_with_any_value_changed_is_refused(pod in any_pod(), template in any_template(), which in any::<Index>()) {
        let (mut after, _) = patched(&pod, &template);
        let leaves = leaves_of_ours(&after);
        let leaf = which.get(&leaves);
        let value = after.pointer_mut(leaf).unwrap();
        *value = match value.take() {
            Value::String(text) => json!(format!("{text}x")),
            Value::Bool(yes) => json!(!yes),
            Value::Number(number) => json!(number.as_u64().unwrap() + 1),
            Value::Null | Value::Array(_) | Value::Object(_) => unreachable!("a leaf"),
        };
        prop_assert!(patch(&after, &place(), &template).is_err(), "{}", leaf);
        prop_assert!(verifies(&after, &template).is_err(), "{}", leaf);
    }

    /// WH-014, WH-015: a pod with anything anywhere in it is answered: by a patch that applies and is complete, or a refusal.
    #[test]
    fn any_pod_is_answered(
        mut pod in any_pod(),
        template in any_template(),
        which in any::<Index>(),
        odd in select(vec![json!(null), json!({}), json!([]), json!([null]), json!("x"), json!(""), json!(0), json!(-1),
            json!(9902), json!(u64::MAX), json!(1.5), json!("clinch"), json!("clinch-tls"), json!(true)]),
        twice in any::<bool>(),
    ) {
        if twice {
            pod = patched(&pod, &template).0;
        }
        let mut places = Vec::new();
        every_place(&pod, String::new(), &mut places);
        let at: &String = which.get(&places);
        *pod.pointer_mut(at).unwrap() = odd;
        match patch(&pod, &place(), &template) {
            Ok(Outcome::Patched { patch: operations, .. }) => {
                let mut after = pod;
                json_patch::patch(&mut after, &operations).unwrap();
                prop_assert_eq!(patch(&after, &place(), &template), Ok(Outcome::Complete));
            }
            Ok(Outcome::Complete) => prop_assert!(twice),
            Ok(Outcome::Left(why)) => prop_assert!(false, "{}", why),
            Err(refusal) => prop_assert!(!refusal.faults.is_empty()),
        }
    }

    /// WH-012, WH-014, WH-016: annotations hold anything; the answer is a patch that is complete, or a refusal.
    #[test]
    fn any_annotation_is_answered(
        name in select(&["mode", "port", "upstream-port", "exclude-ports", "config-map", "certificates", "image",
            "cpu-request", "memory-limit", "log-level", "observe", "app-env", "inject", "injected", "x"][..]),
        value in prop_oneof!["\\PC{0,40}", "[0-9,/a-z=.$()]{0,12}", "[1-9][0-9]{0,4}"],
    ) {
        let pod = annotated(&[(name, &value)]);
        match patch(&pod, &place(), &Template::default()) {
            Ok(Outcome::Patched { patch: operations, .. }) => {
                let mut after = pod;
                json_patch::patch(&mut after, &operations).unwrap();
                prop_assert_eq!(patch(&after, &place(), &Template::default()), Ok(Outcome::Complete));
            }
            Ok(outcome) => prop_assert!(false, "{:?}", outcome),
            Err(refusal) => prop_assert!(refusal.faults.iter().all(|fault| !fault.is_empty() && fault.len() < 1_000)),
        }
    }
}

/// Where the values of our containers and volumes are that nobody else may change.
fn leaves_of_ours(pod: &Value) -> Vec<String> {
    let others = ["resources", "imagePullPolicy", "startupProbe", "readinessProbe", "livenessProbe"];
    let mut leaves = Vec::new();
    for array in ["containers", "initContainers", "volumes"] {
        for (at, item) in pod["spec"][array].as_array().into_iter().flatten().enumerate() {
            if item["name"].as_str().unwrap().starts_with("clinch") {
                for (key, value) in
                    item.as_object().unwrap().iter().filter(|(key, _)| !others.contains(&key.as_str()))
                {
                    collect(value, format!("/spec/{array}/{at}/{key}"), &mut leaves);
                }
            }
        }
    }
    leaves.retain(|leaf| {
        !leaf.contains("/volumes/") || !leaf.ends_with("/name") || leaf.matches('/').count() > 4
    });
    leaves
}

fn collect(value: &Value, path: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| {
                collect(value, format!("{path}/{}", key.replace('/', "~1")), leaves)
            });
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| collect(value, format!("{path}/{at}"), leaves));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => leaves.push(path),
    }
}

/// Every place of a value, the whole first.
fn every_place(value: &Value, path: String, places: &mut Vec<String>) {
    places.push(path.clone());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            every_place(value, format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), places);
        }),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| every_place(value, format!("{path}/{at}"), places));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The patched pod with everything taken away that was added, and original questions put back where they were.
fn without_ours(mut after: Value, before: &Value) -> Value {
    let skip = ["eks.amazonaws.com/skip-containers", "azure.workload.identity/skip-containers"];
    for added in skip.into_iter().chain(["clinch.dev/injected", "kubectl.kubernetes.io/default-container"]) {
        after["metadata"]["annotations"].as_object_mut().unwrap().remove(added);
    }
    for array in ["containers", "initContainers", "volumes"] {
        if let Some(items) = after["spec"][array].as_array_mut() {
            items.retain(|item| !item["name"].as_str().unwrap().starts_with("clinch"));
        }
        for (at, item) in after["spec"][array].as_array_mut().into_iter().flatten().enumerate() {
            restore(item, &before["spec"][array][at]);
        }
    }
    with_empty_lists(after)
}

/// Takes `HOST` away, which was added at the end; puts a rewritten question's way back, and leaves its numbers as they are.
fn restore(container: &mut Value, original: &Value) {
    let had = original["env"].as_array().map_or(0, Vec::len);
    if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
        assert!(env.len() == had || env[had..] == [json!({ "name": "HOST", "value": "127.0.0.1" })]);
        env.truncate(had);
    }
    for path in
        ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"]
    {
        let (Some(new), Some(old)) = (container.pointer_mut(path), original.pointer(path)) else { continue };
        let asks = new["httpGet"]["path"].as_str().unwrap_or_default();
        if asks.starts_with("/probe/") {
            let new: &mut Map<String, Value> = new.as_object_mut().unwrap();
            new.remove("httpGet");
            for way in ["httpGet", "tcpSocket", "grpc"] {
                if let Some(old) = old.get(way) {
                    new.insert(way.to_owned(), old.clone());
                }
            }
        }
    }
}

/// Null, missing and empty lists and objects are the same to Kubernetes.
fn with_empty_lists(mut pod: Value) -> Value {
    for place in ["/spec/initContainers", "/spec/volumes", "/metadata/annotations"] {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let empty = pod.pointer(place).is_none_or(|v| v.is_null() || v == &json!([]) || v == &json!({}));
        if empty {
            pod.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
        }
    }
    for array in ["containers", "initContainers"] {
        for container in pod["spec"].get_mut(array).and_then(Value::as_array_mut).into_iter().flatten() {
            if container.get("env").is_some_and(|env| env.is_null() || env == &json!([])) {
                container.as_object_mut().unwrap().remove("env");
            }
        }
    }
    pod
}

fn any_template() -> impl Strategy<Value = Template> {
    (any::<bool>(), any::<bool>()).prop_map(|(native, redirect)| Template {
        native,
        mode: if redirect { PodMode::Redirect } else { PodMode::Port },
        image_pull_policy: native.then(|| "Always".to_owned()),
        ..Template::default()
    })
}

/// A pod that can be guarded: port 8080 is, 9090 and 5353/udp are excluded.
fn any_pod() -> impl Strategy<Value = Value> {
    let containers = vec(container(), 1..4);
    let init =
        weighted(0.7, prop_oneof![Just(Value::Null), vec(init_container(), 0..3).prop_map(Value::from)]);
    let volumes =
        weighted(0.5, prop_oneof![Just(Value::Null), Just(json!([{ "name": "data", "emptyDir": {} }]))]);
    let odd = weighted(0.5, ("[a-z~/\"]{1,12}", "\\PC{0,12}"));
    (containers, init, volumes, odd).prop_map(|(mut containers, init, volumes, odd)| {
        for (at, container) in containers.iter_mut().enumerate() {
            container["name"] = json!(format!("c{at}"));
        }
        containers[0]["ports"] = json!([{ "containerPort": 8080, "name": "http" }]);
        let mut annotations = json!({ "clinch.dev/port": "8080", "clinch.dev/exclude-ports": "9090,5353/udp" });
        if let Some((key, value)) = odd {
            annotations[key] = json!(value);
        }
        let mut spec = json!({ "containers": containers, "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["x"] }] });
        if let Some(mut init) = init {
            for (at, container) in init.as_array_mut().into_iter().flatten().enumerate() {
                container["name"] = json!(format!("i{at}"));
            }
            spec["initContainers"] = init;
        }
        if let Some(volumes) = volumes {
            spec["volumes"] = volumes;
        }
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "annotations": annotations }, "spec": spec })
    })
}

fn container() -> impl Strategy<Value = Value> {
    let env = weighted(
        0.6,
        prop_oneof![
            Just(Value::Null),
            Just(json!([])),
            Just(json!([{ "name": "A", "value": "$(B)" }, { "name": "HOST", "value": "x" }])),
            Just(json!([{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }])),
        ],
    );
    let ports = select(vec![
        Value::Null,
        json!([]),
        json!([{ "containerPort": 9090 }, { "containerPort": 5353, "protocol": "UDP" }]),
    ]);
    let hooks = weighted(0.3, (question(), question()));
    (env, ports, weighted(0.5, question()), weighted(0.5, question()), weighted(0.5, question()), hooks)
        .prop_map(|(env, ports, live, ready, start, hooks)| {
            let mut container = json!({ "name": "", "image": "a:1", "ofTheFuture": { "x": [1] } });
            let mut put = |key: &str, value: Option<Value>| {
                if let Some(value) = value {
                    container[key] = value;
                }
            };
            put("env", env);
            put("ports", (!ports.is_null()).then_some(ports));
            put("livenessProbe", live.map(timed));
            put("readinessProbe", ready.map(timed));
            put("startupProbe", start.map(timed));
            put(
                "lifecycle",
                hooks.map(|(start, stop)| json!({ "postStart": hook(start), "preStop": hook(stop) })),
            );
            container
        })
}

/// One that goes on is asked nothing early: a plain clinch isn't there yet.
fn init_container() -> impl Strategy<Value = Value> {
    (any::<bool>(), weighted(0.5, question())).prop_map(|(goes_on, live)| {
        let mut container = json!({ "name": "", "image": "i:1" });
        if goes_on {
            container["restartPolicy"] = json!("Always");
            if let Some(live) = live {
                container["livenessProbe"] = timed(live);
            }
        }
        container
    })
}

fn question() -> impl Strategy<Value = Value> {
    select(vec![
        json!({ "httpGet": { "port": 8080, "path": "/a?b", "httpHeaders": [{ "name": "Host", "value": "x" }] } }),
        json!({ "httpGet": { "port": "8080" } }),
        json!({ "httpGet": { "port": 9090, "scheme": "HTTPS" } }),
        json!({ "httpGet": { "port": 4711, "host": "example.com", "scheme": "HTTPS" } }),
        json!({ "tcpSocket": { "port": 8080 } }),
        json!({ "tcpSocket": { "port": 9090 } }),
        json!({ "grpc": { "port": 8080, "service": "s" } }),
        json!({ "exec": { "command": ["true"] } }),
    ])
}

/// With a number that has to stay.
fn timed(mut question: Value) -> Value {
    question["failureThreshold"] = json!(7);
    question["ofTheFuture"] = json!(true);
    question
}

/// A hook is no gRPC call.
fn hook(question: Value) -> Value {
    if question["grpc"].is_null() { question } else { json!({ "sleep": { "seconds": 1 } }) }
}
