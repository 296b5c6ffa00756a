//! What passes for clinch and is not (WH-006).

use super::pods::*;
use clinch::config::pod::{Pod, PodMode, PodProbe};
use clinch::config::template::{Certificates, Template};
use serde_json::{Value, json};

type Change = fn(&mut Value);

/// WH-006: each field of the sidecar, changed alone, is refused, with the field's name; by the validating webhook too.
#[test]
fn a_sidecar_with_one_field_changed_is_refused() {
    let changes: [(&str, Change); 30] = [
        ("env", |c| c["env"].as_array_mut().unwrap().push(json!({ "name": "OTEL_AWS_", "value": "x" }))),
        ("volumeMounts", |c| {
            let usr = json!({ "name": "data", "mountPath": "/usr/local/bin" });
            c["volumeMounts"].as_array_mut().unwrap().push(usr);
        }),
        ("volumeMounts", |c| {
            let ours = json!({ "name": "data", "mountPath": "/etc/clinch/config/more" });
            c["volumeMounts"].as_array_mut().unwrap().push(ours);
        }),
        ("image", |c| c["image"] = json!("attacker.example/clinch:0.1.0")),
        ("image", |c| c["image"] = Value::Null),
        ("args", |c| c["args"] = json!(["run", "--config", "/tmp/mine.yaml"])),
        ("args", |c| c["args"] = Value::Null),
        ("command", |c| c["command"] = json!(["sleep", "infinity"])),
        ("env", |c| c["env"][0]["value"] = json!("127.0.0.1")),
        ("env", |c| c["env"][2]["value"] = json!("/tmp")),
        ("env", |c| c["env"].as_array_mut().unwrap().push(json!({ "name": "LD_PRELOAD", "value": "/x.so" }))),
        ("env", |c| c["env"].as_array_mut().unwrap().push(json!({ "name": "CLINCH_POD", "value": "{}" }))),
        ("env CLINCH_POD", |c| c["env"] = Value::Null),
        ("envFrom", |c| c["envFrom"] = json!([{ "configMapRef": { "name": "mine" } }])),
        ("securityContext", |c| c["securityContext"]["runAsUser"] = json!(0)),
        ("securityContext", |c| c["securityContext"]["privileged"] = json!(true)),
        ("securityContext", |c| c["securityContext"]["capabilities"]["add"] = json!(["NET_ADMIN"])),
        ("securityContext", |c| c["securityContext"] = Value::Null),
        ("volumeMounts", |c| c["volumeMounts"][0]["subPath"] = json!("mine")),
        ("volumeMounts", |c| c["volumeMounts"][0]["name"] = json!("data")),
        ("volumeMounts", |c| c["volumeMounts"].as_array_mut().unwrap().truncate(1)),
        ("restartPolicy", |c| c["restartPolicy"] = Value::Null),
        ("restartPolicyRules", |c| c["restartPolicyRules"] = json!([{ "action": "Restart" }])),
        ("lifecycle", |c| c["lifecycle"] = json!({ "preStop": { "exec": { "command": ["sh"] } } })),
        ("startupProbe", |c| c["startupProbe"] = json!({ "exec": { "command": ["true"] } })),
        ("livenessProbe", |c| c["livenessProbe"] = Value::Null),
        ("readinessProbe", |c| c["readinessProbe"]["tcpSocket"] = json!({ "port": 8080 })),
        ("workingDir", |c| c["workingDir"] = json!("/tmp")),
        ("ports", |c| c["ports"] = json!([{ "containerPort": 8080 }])),
        ("ofTheFuture", |c| c["ofTheFuture"] = json!({ "x": 1 })),
    ];
    for (field, change) in changes {
        let mut pod = injected(&simple());
        change(container(&mut pod, "clinch"));
        let said = faults(&pod, &Template::default());
        assert!(said.contains(field) && said.contains("not ours"), "{field}: {said}");
        assert!(verifies(&pod, &Template::default()).is_err(), "{field}");
    }
}

/// WH-006: what the sidecar is told is part of it: no other port, no watching only, no probe of what isn't there.
#[test]
fn a_sidecar_that_is_told_something_else_is_refused() {
    let changes: [fn(&mut Pod); 9] = [
        |told| told.listen = 8081,
        |told| told.upstream = Some(9090),
        |told| told.upstream = None,
        |told| told.health = 9903,
        |told| told.observe = true,
        |told| told.mode = PodMode::Redirect,
        |told| {
            told.probes.insert("ghost/liveness".to_owned(), PodProbe::Tcp { port: 1 });
        },
        |told| {
            told.probes.insert("app/liveness".to_owned(), PodProbe::Tcp { port: 9901 });
        },
        |told| {
            let path = "/ HTTP/1.1\r\nX: y".to_owned();
            told.probes
                .insert("app/liveness".to_owned(), PodProbe::Http { port: 8080, path, headers: Vec::new() });
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut pod = injected(&simple());
        let mut told = told(&mut pod);
        change(&mut told);
        container(&mut pod, "clinch")["env"][1]["value"] = json!(serde_json::to_string(&told).unwrap());
        assert!(faults(&pod, &Template::default()).contains("CLINCH_POD"), "{at}");
    }
}

/// WH-006: the init container of mode redirect, likewise.
#[test]
fn an_init_container_with_one_field_changed_is_refused() {
    let template = Template { mode: PodMode::Redirect, ..Template::default() };
    let changes: [(&str, Change); 6] = [
        ("args", |c| c["args"] = json!(["--help"])),
        ("image", |c| c["image"] = json!("busybox")),
        ("command", |c| c["command"] = json!(["true"])),
        ("env", |c| c["env"][0]["value"] = json!(r#"{"port":1,"to":15443,"health":9902,"user":64000}"#)),
        ("restartPolicy", |c| c["restartPolicy"] = json!("Always")),
        ("securityContext", |c| c["securityContext"]["capabilities"]["add"] = json!([])),
    ];
    for (field, change) in changes {
        let mut pod = patched(&simple(), &template).0;
        change(container(&mut pod, "clinch-redirect"));
        let said = faults(&pod, &template);
        assert!(said.contains(field), "{field}: {said}");
    }
    let pod = patched(&simple(), &template).0;
    let said = faults(&pod, &Template::default());
    assert!(said.contains("clinch-redirect` is there, but the mode is `port`"), "{said}");
}

/// WH-006, WH-014: a volume of our name that holds something else is refused, whether the sidecar is there or not.
#[test]
fn a_volume_of_our_name_with_something_else_is_refused() {
    let others = [
        json!({ "name": "clinch-config", "configMap": { "name": "mine", "defaultMode": 420 } }),
        json!({ "name": "clinch-config", "configMap": { "name": "clinch", "defaultMode": 420, "optional": true } }),
        json!({ "name": "clinch-tls", "hostPath": { "path": "/" } }),
        json!({ "name": "clinch-no-token", "projected": { "sources": [] } }),
        json!({ "name": "clinch-spiffe", "csi": { "driver": "csi.spiffe.io", "readOnly": true } }),
    ];
    for volume in others {
        let name = volume["name"].as_str().unwrap().to_owned();
        let mut pod = simple();
        pod["spec"]["volumes"] = json!([volume]);
        assert!(
            faults(&pod, &Template::default()).contains(&format!("volume {name} is there and is not ours"))
        );
        let mut pod = injected(&simple());
        pod["spec"]["volumes"].as_array_mut().unwrap().retain(|volume| volume["name"] != name.as_str());
        pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
        assert!(faults(&pod, &Template::default()).contains(&name));
    }
}

/// WH-006: a pod that lost a part of clinch is not guarded, whatever its annotations say.
#[test]
fn a_pod_without_the_sidecar_does_not_verify() {
    let template = Template { mode: PodMode::Redirect, ..Template::default() };
    let whole = patched(&simple(), &template).0;
    assert_eq!(verifies(&whole, &template), Ok(()));
    for name in ["clinch", "clinch-redirect"] {
        let mut pod = whole.clone();
        pod["spec"]["initContainers"].as_array_mut().unwrap().retain(|container| container["name"] != name);
        let why = verifies(&pod, &template).unwrap_err().faults.join("\n");
        assert!(why.contains(&format!("container {name} is missing")), "{why}");
    }
    let mut pod = whole;
    pod["spec"]["volumes"] = json!([]);
    assert!(
        verifies(&pod, &template).unwrap_err().faults.join("\n").contains("volume clinch-config is missing")
    );
    assert!(verifies(&simple(), &Template::default()).is_err());
}

/// WH-005: what other webhooks legitimately change doesn't make it another.
#[test]
fn what_other_webhooks_change_is_no_forgery() {
    let changes: [Change; 6] = [
        |c| c["resources"] = json!({ "requests": { "cpu": "1" } }),
        |c| c["imagePullPolicy"] = json!("Always"),
        |c| c["image"] = json!("registry.example.com/clinch:0.0.9"),
        |c| {
            c["readinessProbe"] = json!({ "httpGet": { "path": "/app-health/clinch/readyz", "port": 15020 } })
        },
        |c| c["startupProbe"]["failureThreshold"] = json!(1000),
        |c| {
            let identity = json!({ "name": "aws-iam-token", "readOnly": true, "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount" });
            c["volumeMounts"].as_array_mut().unwrap().insert(0, identity);
            let role = json!({ "name": "AWS_ROLE_ARN", "value": "arn:aws:iam::1:role/orders" });
            c["env"].as_array_mut().unwrap().insert(0, role);
        },
    ];
    let template = Template {
        accepted_images: vec!["registry.example.com/clinch:*".to_owned()],
        certificates: Certificates::default(),
        ..Template::default()
    };
    for (at, change) in changes.iter().enumerate() {
        let mut pod = patched(&simple(), &template).0;
        change(container(&mut pod, "clinch"));
        let init = pod["spec"]["initContainers"].as_array_mut().unwrap();
        init.insert(0, json!({ "name": "first", "image": "other:1" }));
        assert_eq!(verifies(&pod, &template), Ok(()), "{at}");
    }
}
