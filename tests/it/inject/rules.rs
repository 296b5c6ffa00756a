//! Single rules of injection that a golden pod doesn't show.

use super::pods::*;
use clinch::config::pod::{PodMode, PodProbe};
use clinch::config::template::{Certificates, Template};
use clinch::inject::patch::{Outcome, Place, patch, verify};
use serde_json::{Value, json};

/// WH-007: who is left alone, and who can't be.
#[test]
fn namespaces_and_pods_opt_in() {
    let template = Template::default();
    let asked = |pod: &Value, namespace, opted_in, template: &Template| {
        let place = Place { namespace, opted_in, own: "clinch-system", token: "" };
        let outcome = patch(pod, &place, template);
        assert_eq!(verify(pod, &place, template).is_ok(), matches!(outcome, Ok(Outcome::Left(_))));
        match outcome {
            Ok(Outcome::Patched { .. }) => "patched",
            Ok(Outcome::Left(_)) => "left",
            Ok(Outcome::Complete) => "complete",
            Err(_) => "refused",
        }
    };
    let (plain, yes, no) =
        (simple(), annotated(&[("inject", "enabled")]), annotated(&[("inject", "disabled")]));
    for never in ["kube-system", "kube-public", "kube-node-lease", "clinch-system"] {
        assert_eq!(asked(&yes, never, true, &template), "left", "{never}");
    }
    assert_eq!(asked(&plain, "shop", false, &template), "left");
    assert_eq!(asked(&yes, "shop", false, &template), "patched");
    assert_eq!(asked(&no, "shop", false, &template), "left");
    assert_eq!(asked(&plain, "shop", true, &template), "patched");
    assert_eq!(asked(&no, "shop", true, &template), "refused");
    let lenient = Template { opt_out: true, ..Template::default() };
    assert_eq!(asked(&no, "shop", true, &lenient), "left");
}

/// WH-012: every way to write a port that isn't one.
#[test]
fn a_port_is_a_port() {
    for port in
        ["0", "70000", "8080,8080", "", " 8080", "+8080", "08080", "8080/tcp", "-1", "9902", "15443", "9901"]
    {
        let said = faults(&annotated(&[("port", port)]), &Template::default());
        assert!(said.contains("clinch.dev/port"), "{port}: {said}");
    }
    assert!(
        faults(&annotated(&[("port", "all")]), &Template::default()).contains("clinch.dev/port: found `all`")
    );
    for excluded in
        ["all", "0", "70000", "9090,9090", "9090,", "8080", "9902", "15443", "9901", "9090/quic", "*"]
    {
        let said = faults(&annotated(&[("exclude-ports", excluded)]), &Template::default());
        assert!(said.contains("clinch.dev/exclude-ports"), "{excluded}: {said}");
    }
}

/// WH-013: clinch starts before whatever holds the guarded port.
#[test]
fn the_sidecar_starts_first() {
    let mut pod = simple();
    pod["spec"]["initContainers"] = json!([
        { "name": "migrate", "image": "a:1" },
        { "name": "early", "image": "a:1", "restartPolicy": "Always", "ports": [{ "containerPort": 7070 }] },
    ]);
    pod["metadata"]["annotations"] = json!({ "clinch.dev/port": "7070", "clinch.dev/exclude-ports": "8080" });
    let after = injected(&pod);
    let names = |pod: &Value| -> Vec<String> {
        let init = pod["spec"]["initContainers"].as_array().unwrap().iter();
        init.map(|container| container["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&after), ["clinch", "migrate", "early"]);
    let mut late = after;
    late["spec"]["initContainers"].as_array_mut().unwrap().rotate_left(1);
    assert_eq!(names(&late), ["migrate", "early", "clinch"]);
    assert!(faults(&late, &Template::default()).contains("expected it before init container `early`"));
    let plain = Template { native: false, ..Template::default() };
    assert!(faults(&pod, &plain).contains("starts later"));
}

/// WH-015: keys are escaped, missing objects and arrays added first, and what is null counts as missing.
#[test]
fn nothing_of_the_pod_is_lost() {
    let mut pod = simple();
    pod["metadata"] = json!({ "annotations": { "a/b~c": "x", "ofTheFuture": "y" } });
    pod["spec"]["ofTheFuture"] = json!({ "deep": [1, { "x": null }] });
    pod["spec"]["containers"][0]["ofTheFuture"] = json!(["x"]);
    pod["spec"]["initContainers"] = Value::Null;
    pod["spec"]["volumes"] = Value::Null;
    pod["spec"]["containers"][0]["env"] = Value::Null;
    let after = injected(&pod);
    assert_eq!(after["metadata"]["annotations"]["a/b~c"], "x");
    assert_eq!(after["metadata"]["annotations"]["clinch.dev/injected"], env!("CARGO_PKG_VERSION"));
    assert_eq!(after["spec"]["ofTheFuture"], pod["spec"]["ofTheFuture"]);
    assert_eq!(after["spec"]["containers"][0]["ofTheFuture"], json!(["x"]));
    for missing in [json!({}), json!({ "annotations": null })] {
        pod["metadata"] = missing;
        assert_eq!(
            injected(&pod)["metadata"]["annotations"]["clinch.dev/injected"],
            env!("CARGO_PKG_VERSION")
        );
    }
    for given in ["metadata", "apiVersion", "kind"] {
        pod.as_object_mut().unwrap().remove(given); // as in the template of a Deployment
    }
    assert!(injected(&pod)["metadata"]["annotations"].is_object());
}

/// WH-016: what comes from the pod ends as data, whatever it looks like; the kubelet finds no reference in it.
#[test]
fn no_value_becomes_anything_but_a_value() {
    let nasty = "/$(HOSTNAME)?q=\"'`{{ .x }}\n$$(X) ${Y}";
    let mut pod = simple();
    pod["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 8080, "path": nasty, "httpHeaders": [{ "name": "X", "value": nasty }] } });
    let mut after = injected(&pod);
    let text = container(&mut after, "clinch")["env"][1]["value"].as_str().unwrap().to_owned();
    assert!(!text.replace("$$", "").contains('$'), "{text}");
    let PodProbe::Http { path, headers, .. } = told(&mut after).probes["app/readiness"].clone() else {
        panic!()
    };
    assert_eq!(headers, [("X".to_owned(), nasty.to_owned())]);
    assert!(path.starts_with("/$(HOSTNAME)?q=%22") && !path.contains(['"', '\n', ' ']), "{path}");
    let bad = [
        ("image", "$(X)"),
        ("config-map", "a\nb"),
        ("certificates", "{{x}}"),
        ("mode", "port\n"),
        ("app-env", "A$=x"),
    ];
    for (name, value) in bad {
        assert!(faults(&annotated(&[(name, value)]), &Template::default()).contains(name), "{name}");
    }
    let mut pod = annotated(&[("app-env", "GREETING=$(HOSTNAME) $$ ${x}")]);
    pod["spec"]["containers"][0]["env"] = Value::Null;
    let after = injected(&pod);
    let env = after["spec"]["containers"][0]["env"].as_array().unwrap();
    assert_eq!(env[0], json!({ "name": "GREETING", "value": "$$(HOSTNAME) $$$$ $${x}" }));
}

/// WH-024: a mesh that comes after us changes what the start waits for, and nothing else; in mode redirect it is refused.
#[test]
fn a_mesh_may_come_later() {
    let mut pod = injected(&simple());
    let init = json!({
        "name": "istio-init", "image": "docker.io/istio/proxyv2:1",
        "securityContext": { "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] } },
    });
    pod["spec"]["initContainers"].as_array_mut().unwrap().push(init);
    let proxy = json!({ "name": "istio-proxy", "image": "docker.io/istio/proxyv2:1", "ports": [{ "containerPort": 15090 }] });
    pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
    assert_eq!(verifies(&pod, &Template::default()), Ok(()), "it is guarded already");
    let (mut after, warnings) = patched(&pod, &Template::default());
    assert_eq!(container(&mut after, "clinch")["startupProbe"]["httpGet"]["path"], "/live");
    container(&mut after, "clinch")["startupProbe"]["httpGet"]["path"] = json!("/ready");
    assert_eq!(after, pod);
    assert!(warnings.iter().any(|warning| warning.contains("Istio ends mutual TLS")), "{warnings:?}");

    let redirecting = Template { mode: PodMode::Redirect, ..Template::default() };
    assert!(faults(&pod, &redirecting).contains("Istio redirects this pod's traffic, too"));
    for (key, value) in [("linkerd.io/inject", "enabled"), ("istio.io/dataplane-mode", "ambient")] {
        let mut pod = simple();
        pod["metadata"]["annotations"][key] = json!(value);
        pod["metadata"]["labels"][key] = json!(value);
        assert!(faults(&pod, &redirecting).contains("redirects this pod's traffic"), "{key}");
        pod["metadata"]["annotations"][key] = json!("disabled");
        pod["metadata"]["labels"][key] = json!("none");
        patched(&pod, &redirecting);
    }
}

/// WH-005: another injector's container is asked through clinch as well, and what was known stays.
#[test]
fn a_container_that_comes_later_gets_its_probes() {
    let mut pod = simple();
    pod["spec"]["containers"][0]["livenessProbe"] = json!({ "tcpSocket": { "port": 8080 } });
    let mut pod = injected(&pod);
    let late = json!({ "name": "late", "image": "l:1", "readinessProbe": { "httpGet": { "port": 8080, "path": "/l" } } });
    pod["spec"]["containers"].as_array_mut().unwrap().push(late);
    assert!(verifies(&pod, &Template::default()).is_err());
    let mut after = injected(&pod);
    let told = told(&mut after);
    assert_eq!(told.probes.keys().collect::<Vec<_>>(), ["app/liveness", "late/readiness"]);
    assert_eq!(container(&mut after, "late")["readinessProbe"]["httpGet"]["path"], "/probe/late/readiness");
    assert_eq!(patch(&after, &place(), &Template::default()), Ok(Outcome::Complete));
    assert_eq!(verifies(&after, &Template::default()), Ok(()));
}

/// WH-026: UDP at the guarded number is refused in mode port, and open only if the author says so.
#[test]
fn http_3_does_not_go_round_clinch() {
    let mut pod = annotated(&[("port", "8080")]);
    pod["spec"]["containers"][0]["ports"] =
        json!([{ "containerPort": 8080 }, { "containerPort": 8080, "protocol": "UDP" }]);
    assert!(faults(&pod, &Template::default()).contains("port 8080/udp is held by clinch"));
    let redirecting = Template { mode: PodMode::Redirect, ..Template::default() };
    let (_, warnings) = patched(&pod, &redirecting);
    assert!(warnings[0].contains("port 8080/udp is closed"), "{warnings:?}");
    pod["metadata"]["annotations"]["clinch.dev/exclude-ports"] = json!("8080/udp");
    assert!(
        faults(&pod, &Template::default()).contains("8080/udp is clinch.dev/port: clinch holds UDP there")
    );
    let (_, warnings) = patched(&pod, &redirecting);
    assert_eq!(warnings, ["clinch.dev/exclude-ports: open to everybody, round clinch: 8080/udp"]);
}

/// The sidecar has no privilege, no token, and nothing that it could write to but its state.
#[test]
fn the_sidecar_is_restricted() {
    let template = Template {
        certificates: Certificates { spiffe: true, ..Certificates::default() },
        ..Template::default()
    };
    let mut pod = patched(&simple(), &template).0;
    let sidecar = container(&mut pod, "clinch");
    let writable = |mount: &&Value| mount["readOnly"] != true;
    let mounts = sidecar["volumeMounts"].as_array().unwrap();
    let writable: Vec<_> = mounts.iter().filter(writable).map(|mount| &mount["name"]).collect();
    assert_eq!(writable, ["clinch-state"]);
    assert!(mounts.iter().any(|m| m["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"));
    let context = &sidecar["securityContext"];
    assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }));
    assert_eq!(context["runAsNonRoot"], true);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
}

/// WH-024: beside a mesh that keeps everybody out until its proxy runs, nothing waits for clinch, or nothing would start.
#[test]
fn a_mesh_by_a_plugin_is_not_waited_for() {
    let mut pod = simple();
    pod["spec"]["initContainers"] =
        json!([{ "name": "istio-validation", "image": "docker.io/istio/proxyv2:1" }]);
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "istio-proxy", "image": "docker.io/istio/proxyv2:1" }));
    let mut after = injected(&pod);
    assert_eq!(after["spec"]["initContainers"][0]["name"], "clinch");
    assert!(container(&mut after, "clinch")["startupProbe"].is_null());

    let mut before = injected(&simple());
    before["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "istio-validation", "image": "docker.io/istio/proxyv2:1" }));
    before["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "istio-proxy", "image": "docker.io/istio/proxyv2:1" }));
    assert!(container(&mut injected(&before), "clinch")["startupProbe"].is_null());

    container(&mut after, "clinch")["securityContext"]["runAsUser"] = json!(0);
    assert!(faults(&after, &Template::default()).contains("securityContext"));
}

/// WH-012: a probe tells of a port that nobody declared: it would be open as any other.
#[test]
fn a_probed_port_is_accounted_for() {
    let mut pod = simple();
    pod["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 8081, "path": "/" } });
    assert!(faults(&pod, &Template::default()).contains("readinessProbe: port 8081/tcp would stay open"));
    pod["metadata"]["annotations"] = json!({ "clinch.dev/exclude-ports": "8081" });
    assert_eq!(
        injected(&pod)["spec"]["containers"][0]["readinessProbe"],
        pod["spec"]["containers"][0]["readinessProbe"]
    );
}
