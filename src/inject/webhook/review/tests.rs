#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::template::Template;
use crate::inject::patch::{Outcome, Refusal};
use serde_json::json;

fn rules(patch: super::super::Patch) -> Rules {
    let verify: super::super::Verify = |pod, _, _| match pod.pointer("/metadata/name") {
        Some(Value::String(name)) if name == "panics" => panic!("on purpose"),
        Some(Value::String(name)) if name == "bare" => {
            Err(Refusal { faults: vec!["it has no sidecar".to_owned()] })
        }
        _ => Ok(()),
    };
    Rules { template: Template::default(), own: "clinch-system".to_owned(), judges: (patch, verify) }
}

/// Adds what was asked for to the pod's annotations.
fn marking() -> Rules {
    rules(|_, place, _| {
        let value = json!({ "namespace": place.namespace, "optedIn": place.opted_in, "own": place.own });
        let patch = json!([{ "op": "add", "path": "/metadata/annotations", "value": value }]);
        Ok(Outcome::Patched {
            patch: serde_json::from_value(patch).unwrap(),
            warnings: vec!["w".repeat(300)],
        })
    })
}

fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "operation": "CREATE",
            "namespace": "shop",
            "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller" },
            "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "cart-" },
                "spec": { "containers": [{ "name": "app", "env": [{ "name": "KEY", "value": "s3cr3t" }] }] },
            },
            "oldObject": null,
            "dryRun": false,
        },
    })
}

fn ask(review: &Value, question: Question, rules: &Rules) -> (Value, Told) {
    let answer = answer(review.to_string().as_bytes(), question, rules).unwrap();
    (serde_json::from_slice(&answer.body).unwrap(), answer.told)
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut review = review();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    review.pointer_mut(parent).unwrap()[key] = value;
    review
}

/// WH-004
#[test]
fn a_pod_is_patched_in_the_namespace_of_the_request() {
    for (question, opted_in) in [(Question::InjectNamespace, true), (Question::InjectPod, false)] {
        let (answer, told) = ask(&review(), question, &marking());
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        let response = &answer["response"];
        assert_eq!(response["uid"], review()["request"]["uid"]);
        assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
        let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        let value = json!({ "namespace": "shop", "optedIn": opted_in, "own": "clinch-system" });
        assert_eq!(patch, json!([{ "op": "add", "path": "/metadata/annotations", "value": value }]));
        assert_eq!(response["warnings"][0].as_str().unwrap().len(), 256);
        assert_eq!(response["auditAnnotations"]["outcome"], "patched");
        assert_eq!((&*told.namespace, &*told.pod, told.outcome), ("shop", "cart-*", "patched"));
    }
}

#[test]
fn what_is_complete_or_left_goes_on_and_what_is_refused_does_not() {
    let (answer, told) = ask(&review(), Question::InjectPod, &rules(|_, _, _| Ok(Outcome::Complete)));
    assert_eq!((&answer["response"]["allowed"], told.outcome), (&json!(true), "complete"));
    assert!(answer["response"].get("patch").is_none());
    let (answer, told) = ask(&review(), Question::InjectPod, &rules(|_, _, _| Ok(Outcome::Left("ours"))));
    assert_eq!((&answer["response"]["allowed"], told.outcome), (&json!(true), "left"));
    let faults = || Refusal { faults: vec!["clinch.dev/port: 0".to_owned(), "hostNetwork".to_owned()] };
    FAULTS.set(faults()).unwrap();
    let refusing = rules(|_, _, _| Err(FAULTS.get().unwrap().clone()));
    let (answer, told) = ask(&review(), Question::InjectPod, &refusing);
    let response = &answer["response"];
    assert_eq!((&response["allowed"], told.outcome), (&json!(false), "refused"));
    assert_eq!(response["status"]["code"], 403);
    assert_eq!(response["status"]["message"], "clinch: clinch.dev/port: 0; hostNetwork");
}

static FAULTS: std::sync::OnceLock<Refusal> = std::sync::OnceLock::new();

#[test]
fn the_validating_webhook_asks_for_a_verdict_and_never_patches() {
    for question in [Question::ValidateNamespace, Question::ValidatePod] {
        for operation in ["CREATE", "UPDATE"] {
            let mut review = changed("/request/object/metadata/name", json!("bare"));
            review["request"]["operation"] = json!(operation);
            let (answer, told) = ask(&review, question, &marking());
            assert_eq!((&answer["response"]["allowed"], told.outcome), (&json!(false), "refused"));
            review["request"]["object"]["metadata"]["name"] = json!("guarded");
            let (answer, _) = ask(&review, question, &marking());
            assert_eq!(answer["response"]["allowed"], true);
            assert!(answer["response"].get("patch").is_none());
        }
    }
    let (answer, told) =
        ask(&changed("/request/operation", json!("UPDATE")), Question::InjectPod, &marking());
    assert!(answer["response"].get("patch").is_none() && told.outcome == "left");
}

/// A pod that ran unguarded before its namespace was opted in can still lose its finalizers; one that is guarded stays so.
#[test]
fn an_update_is_refused_for_what_it_brings_and_not_for_what_was_there() {
    let mut review = changed("/request/object/metadata/name", json!("bare"));
    review["request"]["operation"] = json!("UPDATE");
    for (before, outcome) in [("bare", "left"), ("guarded", "refused")] {
        review["request"]["oldObject"] = review["request"]["object"].clone();
        review["request"]["oldObject"]["metadata"]["name"] = json!(before);
        let (answer, told) = ask(&review, Question::ValidatePod, &marking());
        assert_eq!((&answer["response"]["allowed"], told.outcome), (&json!(outcome == "left"), outcome));
    }
    review["request"]["operation"] = json!("CREATE");
    review["request"]["oldObject"] = review["request"]["object"].clone();
    assert_eq!(ask(&review, Question::ValidatePod, &marking()).1.outcome, "refused");
}

/// WH-002
#[test]
fn a_review_that_can_not_be_answered_is_refused_in_its_own_version_with_its_uid() {
    for (pointer, value) in [
        ("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ("/apiVersion", json!("admission.k8s.io/v7")),
        ("/request", json!(null)),
        ("/request", json!([])),
        ("/request/uid", json!(null)),
        ("/request/uid", json!("")),
        ("/request/uid", json!(7)),
        ("/request/kind/kind", json!("Deployment")),
        ("/request/kind/group", json!("apps")),
        ("/request/kind", json!(null)),
        ("/request/operation", json!("DELETE")),
        ("/request/operation", json!("CONNECT")),
        ("/request/operation", json!("EXPLODE")),
        ("/request/object", json!(null)),
        ("/request/object", json!("a pod")),
        ("/request/namespace", json!(null)),
        ("/request/namespace", json!("")),
        ("/request/userInfo", json!(null)),
        ("/request/dryRun", json!("perhaps")),
    ] {
        for question in Question::ALL {
            let review = changed(pointer, value.clone());
            let (answer, told) = ask(&review, question, &marking());
            let response = &answer["response"];
            assert_eq!(answer["apiVersion"], review["apiVersion"], "{pointer} {value}");
            assert_eq!(response["allowed"], false, "{pointer} {value}");
            assert_eq!((&response["status"]["code"], told.outcome), (&json!(400), "malformed"), "{pointer}");
            let uid = review.pointer("/request/uid").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(response["uid"], uid, "{pointer} {value}");
        }
    }
}

/// WH-002
#[test]
fn what_is_no_review_is_told_so() {
    let deep = "[".repeat(100_000);
    for body in
        ["", "nonsense", "\u{0}", "null", "[]", "7", "{}", r#"{"kind":"Pod","apiVersion":"v1"}"#, &deep]
    {
        assert!(answer(body.as_bytes(), Question::InjectPod, &marking()).is_err(), "{body:.20}");
    }
    assert!(answer(&[0xff, 0xfe, b'{'], Question::InjectPod, &marking()).is_err());
}

#[test]
fn a_panic_is_a_refusal() {
    for (question, name) in [(Question::InjectPod, "any"), (Question::ValidatePod, "panics")] {
        let panicking = rules(|_, _, _| panic!("on purpose"));
        let (answer, told) =
            ask(&changed("/request/object/metadata/name", json!(name)), question, &panicking);
        assert_eq!((&answer["response"]["allowed"], told.outcome), (&json!(false), "panicked"));
        assert_eq!(answer["response"]["status"]["message"], "clinch: internal error");
    }
}

/// WH-020
#[test]
fn a_dry_run_is_answered_like_any_other_and_told_apart_in_the_log() {
    let (wet, _) = ask(&review(), Question::InjectPod, &marking());
    let (dry, told) = ask(&changed("/request/dryRun", json!(true)), Question::InjectPod, &marking());
    assert_eq!(wet, dry);
    assert!(told.dry_run);
}

#[test]
fn nothing_of_the_pod_is_told() {
    for question in Question::ALL {
        let (answer, told) = ask(&review(), question, &marking());
        assert!(!format!("{told:?}{answer}").contains("s3cr3t"));
    }
}
