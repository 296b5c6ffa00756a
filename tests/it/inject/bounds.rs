//! Pods of any size and shape are answered (WH-014).

use super::pods::*;
use clinch::config::template::Template;
use clinch::inject::patch::{Outcome, patch};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// WH-014: a thousand containers in three megabytes are patched, once, and known again.
#[test]
fn a_huge_pod_is_patched() {
    let pod = huge(1_000, &"x".repeat(3_000));
    assert!(serde_json::to_vec(&pod).unwrap().len() > 3_000_000);
    let started = Instant::now();
    let after = injected(&pod);
    assert_eq!(patch(&after, &place(), &Template::default()), Ok(Outcome::Complete));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(after["spec"]["containers"].as_array().unwrap().len(), 1_000);
}

/// WH-014: what takes twice as much takes about twice as long: four times would be a square.
#[test]
fn time_is_linear_in_the_pod() {
    let quickest = |pod: &Value| {
        let once = || {
            let started = Instant::now();
            let _ = patch(pod, &place(), &Template::default());
            started.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap()
    };
    let injected_huge = |containers| injected(&huge(containers, ""));
    let (small, large) = (quickest(&injected_huge(100)), quickest(&injected_huge(800)));
    assert!(large < small * 8 * 4, "100 containers: {small:?}, 800: {large:?}");
}

/// WH-014: a thousand faults are told in a bounded answer.
#[test]
fn an_answer_is_bounded() {
    let mut pod = huge(1_000, "");
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        container["securityContext"] =
            json!({ "privileged": true, "capabilities": { "add": ["x".repeat(1_000), "ALL"] } });
        container["name"] = json!("n".repeat(1_000));
    }
    let said = faults(&pod, &Template::default());
    assert!(said.len() < 10_000 && said.contains("more"), "{}", said.len());
    let long = "y".repeat(100_000);
    let said = faults(
        &annotated(&[("mode", &long), (&long, &long), ("exclude-ports", &long)]),
        &Template::default(),
    );
    assert!(said.len() < 2_000, "{}", said.len());
    let odd = json!({ "metadata": { "annotations": long }, "spec": { "containers": [] } });
    assert!(faults(&odd, &Template::default()).len() < 1_000);
    let many = (10_000..10_101).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
    assert!(
        faults(&annotated(&[("exclude-ports", &many)]), &Template::default()).contains("at most 100 ports")
    );
}

/// WH-014: probes that don't fit into an environment variable are refused, not cut.
#[test]
fn probes_that_are_too_long_are_refused() {
    let mut pod = simple();
    let path = format!("/{}", "p".repeat(200_000));
    pod["spec"]["containers"][0]["livenessProbe"] = json!({ "httpGet": { "port": 8080, "path": path } });
    assert!(faults(&pod, &Template::default()).contains("longer than an environment variable may be"));
}

/// WH-014: a name that can't be part of a probe's path is refused.
#[test]
fn a_name_that_is_none_is_refused() {
    for name in ["n".repeat(64), "a/b".to_owned(), "..".to_owned(), "A".to_owned(), String::new()] {
        let mut pod = simple();
        pod["spec"]["containers"][0]["name"] = json!(name);
        pod["spec"]["containers"][0]["livenessProbe"] = json!({ "tcpSocket": { "port": 8080 } });
        assert!(faults(&pod, &Template::default()).contains("RFC 1123 label"), "{name}");
    }
    let mut pod = simple();
    pod["spec"]["containers"][0]["name"] = json!("n".repeat(63));
    pod["spec"]["containers"][0]["livenessProbe"] = json!({ "tcpSocket": { "port": 8080 } });
    injected(&pod);
}

/// WH-014: whatever is not a pod is a fault, never a panic.
#[test]
fn what_is_no_pod_is_refused() {
    let none = [
        json!(null),
        json!(7),
        json!([]),
        json!({}),
        json!({ "spec": null }),
        json!({ "spec": [] }),
        json!({ "metadata": [], "spec": { "containers": [] } }),
        json!({ "spec": { "containers": null } }),
        json!({ "spec": { "containers": [null] } }),
        json!({ "spec": { "containers": [{ "name": "a", "ports": [{ "containerPort": "8080" }] }] } }),
        json!({ "spec": { "containers": [{ "name": "a", "ports": [{ "containerPort": 99999 }] }] } }),
        json!({ "kind": "Deployment", "apiVersion": "apps/v1", "spec": { "containers": [] } }),
    ];
    for pod in none {
        assert!(!faults(&pod, &Template::default()).is_empty(), "{pod}");
    }
}

/// Containers with a probe and an annotation each; the first one's port is guarded.
fn huge(containers: usize, padding: &str) -> Value {
    let one = |at: usize| {
        json!({
            "name": format!("c{at}"), "image": "a:1",
            "env": [{ "name": "PADDING", "value": padding }],
            "livenessProbe": { "httpGet": { "port": 8080, "path": "/live" } },
        })
    };
    let mut pod = annotated(&[("port", "8080")]);
    pod["spec"]["containers"] = (0..containers).map(one).collect();
    pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 8080 }]);
    pod
}
