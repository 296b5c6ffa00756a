//! Who may stand before clinch, who passes for a mesh, which ports are accounted for, and who fires hooks.

use super::pods::*;
use clinch::config::pod::PodMode;
use clinch::config::template::Template;
use clinch::inject::patch::{Outcome, Place, patch};
use serde_json::{Value, json};

/// WH-006: who takes a mesh's name gets none of its rights without its image.
#[test]
fn a_mesh_is_known_by_its_image_too() {
    let init = |image: &str| {
        let mut pod = simple();
        pod["spec"]["initContainers"] = json!([{
            "name": "istio-init", "image": image,
            "securityContext": { "capabilities": { "add": ["NET_ADMIN"] } },
        }]);
        pod
    };
    let template = Template::default();
    for image in ["docker.io/istio/proxyv2:1", "istio/proxyv2:1", "registry.istio.io/release/proxyv2:1"] {
        patched(&init(image), &template);
    }
    for image in ["istio", "docker.io/istio-evil/proxyv2:1", "evil.example/docker.io/istio/proxyv2:1", ""] {
        assert!(faults(&init(image), &template).contains("is none of template.mesh_images"), "{image}");
    }
    let own = Template { mesh_images: vec!["mirror.example/mesh/".to_owned()], ..Template::default() };
    patched(&init("mirror.example/mesh/proxyv2:1"), &own);
    faults(&init("docker.io/istio/proxyv2:1"), &own);

    let mut pod = simple();
    let proxy = json!({ "name": "istio-proxy", "image": "evil:1", "ports": [{ "containerPort": 6666 }] });
    pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
    pod["metadata"]["annotations"] = json!({ "clinch.dev/port": "8080" });
    assert!(faults(&pod, &template).contains("port 6666/tcp would stay open"));
    pod["spec"]["containers"][1]["image"] = json!("docker.io/istio/proxyv2:1");
    patched(&pod, &template);
}

/// WH-013: nothing but a mesh goes on before clinch; before the rules of mode redirect nothing runs at all.
#[test]
fn nothing_stands_before_clinch() {
    let front = |template: &Template, first: Value| {
        let mut pod = patched(&simple(), template).0;
        let mut init = pod["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
        init.insert(0, first);
        pod["spec"]["initContainers"] = json!(init);
        let refused = patch(&pod, &place(), template).is_err();
        assert_eq!(verifies(&pod, template).is_err(), refused);
        refused
    };
    let port = Template::default();
    let redirecting = Template { mode: PodMode::Redirect, ..Template::default() };
    let plain = Template { native: false, ..Template::default() };
    let ends = json!({ "name": "vault-agent-init", "image": "v:1" });
    let goes_on = json!({ "name": "early", "image": "a:1", "restartPolicy": "Always" });
    let impostor = json!({ "name": "istio-proxy", "image": "a:1", "restartPolicy": "Always" });
    let mesh =
        json!({ "name": "istio-proxy", "image": "docker.io/istio/proxyv2:1", "restartPolicy": "Always" });
    for (template, first, refused) in [
        (&port, &ends, false),
        (&port, &goes_on, true),
        (&port, &impostor, true),
        (&port, &mesh, false),
        (&redirecting, &ends, true),
        (&redirecting, &goes_on, true),
        (&plain, &goes_on, false),
    ] {
        assert_eq!(front(template, first.clone()), refused, "{first} {}", template.native);
    }
    let mut pod = patched(&simple(), &redirecting).0;
    pod["spec"]["initContainers"].as_array_mut().unwrap().insert(1, ends);
    assert_eq!(verifies(&pod, &redirecting), Ok(()), "the rules are there");
}

/// WH-012: a guarded port that is nobody's leaves the application's unguarded.
#[test]
fn the_guarded_port_is_a_declared_one() {
    let excluding = |port, upstream: Option<&str>| {
        let mut pod = annotated(&[("port", port), ("exclude-ports", "8080")]);
        if let Some(upstream) = upstream {
            pod["metadata"]["annotations"]["clinch.dev/upstream-port"] = json!(upstream);
        }
        pod
    };
    let said = faults(&excluding("7777", None), &Template::default());
    assert!(said.contains("no container declares 7777, but 8080"), "{said}");
    faults(&excluding("7777", Some("7778")), &Template::default());
    patched(&annotated(&[("port", "80"), ("upstream-port", "8080")]), &Template::default());
    let mut silent = annotated(&[("port", "7777")]);
    silent["spec"]["containers"][0]["ports"] = Value::Null;
    patched(&silent, &Template::default());
}

/// WH-026: clinch's own numbers are its own in TCP alone.
#[test]
fn udp_at_a_number_of_ours_is_another_port() {
    for port in [9901, 9902, 15443] {
        let mut pod = simple();
        let udp = json!({ "containerPort": port, "protocol": "UDP" });
        pod["spec"]["containers"][0]["ports"].as_array_mut().unwrap().push(udp);
        let said = faults(&pod, &Template::default());
        assert!(said.contains(&format!("port {port}/udp would stay open")), "{said}");
    }
}

/// A hook's path can't be guessed, stays when the pod comes again with another token, and is none without one.
#[test]
fn a_hook_is_nobodys_to_fire() {
    let mut pod = simple();
    pod["spec"]["containers"][0]["lifecycle"] =
        json!({ "preStop": { "httpGet": { "port": 8080, "path": "/drain" } } });
    let mut after = injected(&pod);
    let key = format!("app/pre-stop/{}", place().token);
    assert_eq!(told(&mut after).probes.keys().collect::<Vec<_>>(), [&key]);
    let path = container(&mut after, "app")["lifecycle"]["preStop"]["httpGet"]["path"].clone();
    assert_eq!(path, format!("/probe/{key}"));
    let other = Place { token: "ffffffffffffffffffffffffffffffff", ..place() };
    assert_eq!(patch(&after, &other, &Template::default()), Ok(Outcome::Complete));
    assert!(!format!("{other:?}").contains(other.token));
    for weak in ["app/pre-stop", "app/pre-stop/0", "app/liveness/0123456789abcdef0123456789abcdef"] {
        let text = after.to_string().replace(&key, weak);
        let forged: Value = serde_json::from_str(&text).unwrap();
        assert!(faults(&forged, &Template::default()).contains("is of no container"), "{weak}");
    }
}
