//! The policies' expressions, evaluated as an API server would, on pods that are guarded, that are not, and that pretend.

use super::{EXAMPLE, injected, object, objects, rendered};
use cel::{Context, Program, Value as Cel};
use clinch::inject::manifest::documents;
use serde_json::{Value, json};
use std::collections::HashMap;

/// A request as the policies see it.
pub struct Request {
    pub operation: &'static str,
    pub object: Value,
    pub old: Value,
    pub namespace: Value,
}

impl Request {
    pub fn create(object: Value) -> Request {
        Request { operation: "CREATE", object, old: Value::Null, namespace: opted_in() }
    }
    pub fn update(object: Value, old: Value) -> Request {
        Request { operation: "UPDATE", object, old, namespace: opted_in() }
    }

    fn context(&self) -> Context<'static, 'static> {
        let mut context = Context::default();
        context.add_variable("object", &self.object).unwrap();
        context.add_variable("oldObject", &self.old).unwrap();
        context.add_variable("namespaceObject", &self.namespace).unwrap();
        context.add_variable("request", json!({ "operation": self.operation })).unwrap();
        context
    }
}

fn evaluate(expression: &Value, context: &Context<'_, '_>) -> Cel {
    let text = expression.as_str().unwrap();
    let program = Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    program.execute(context).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The message of the first validation that fails, by a policy as the overlay has it.
fn refused(policy: &str, request: &Request) -> Option<String> {
    judged(&object(&objects("overlays/plain"), "ValidatingAdmissionPolicy", policy)["spec"], request)
}

/// Nothing but the request and the policy itself is there to look at: no parameters.
pub fn judged(spec: &Value, request: &Request) -> Option<String> {
    assert_eq!(spec.get("paramKind"), None);
    let mut context = request.context();
    let mut variables: HashMap<String, Cel> = HashMap::new();
    for variable in spec["variables"].as_array().unwrap() {
        context.add_variable_from_value("variables", variables.clone());
        variables.insert(
            variable["name"].as_str().unwrap().to_owned(),
            evaluate(&variable["expression"], &context),
        );
    }
    context.add_variable_from_value("variables", variables);
    let mut validations = spec["validations"].as_array().unwrap().iter();
    let failed =
        validations.find(|validation| evaluate(&validation["expression"], &context) != Cel::Bool(true))?;
    Some(failed["message"].as_str().unwrap().to_owned())
}

pub fn opted_in() -> Value {
    json!({ "metadata": { "name": "shop", "labels": { "clinch.dev/inject": "enabled" } } })
}

/// A pod of the example, as the injector leaves it, or as its author wrote it.
pub fn pod(guarded: bool) -> Value {
    let text = rendered(EXAMPLE);
    let all = documents(&if guarded { injected(&text) } else { text }).unwrap();
    let mut pod = object(&all, "Deployment", "shop")["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod
}

pub fn altered(pointer: &str, value: Value) -> Value {
    let mut pod = pod(true);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = pod.pointer_mut(parent).unwrap();
    if value.is_null() {
        parent.as_object_mut().unwrap().remove(key);
    } else {
        parent[key] = value;
    }
    pod
}

/// WH-006: a name, a mark or an annotation proves nothing to the API server's own policy either.
#[test]
fn only_a_pod_with_our_sidecar_is_let_in() {
    let policy = "clinch-guarded";
    assert_eq!(refused(policy, &Request::create(pod(true))), None);
    assert!(refused(policy, &Request::create(pod(false))).unwrap().contains("has no sidecar"));
    let mut marked = pod(false);
    marked["metadata"]["annotations"] = json!({ "clinch.dev/injected": "0.1.0" });
    assert!(refused(policy, &Request::create(marked)).unwrap().contains("has no sidecar"));
    let sidecar = "/spec/initContainers/0";
    for (member, value, message) in [
        ("image", json!("evil.example/clinch:1"), "image of container clinch "),
        ("image", json!("ghcr.io/clinch-dev/clinch-evil:1"), "image of container clinch "),
        ("command", json!(["sleep", "9"]), "must run as the injector has it"),
        ("args", json!(["run", "--config", "/tmp/open.yaml"]), "must run as the injector has it"),
        ("args", Value::Null, "must run as the injector has it"),
        ("env", Value::Null, "CLINCH_POD"),
        ("envFrom", json!([{ "configMapRef": { "name": "x" } }]), "CLINCH_POD"),
        ("volumeMounts", json!([]), "its configuration"),
        ("restartPolicy", Value::Null, "has no sidecar"),
        ("name", json!("klinch"), "has no sidecar"),
        ("securityContext", Value::Null, "securityContext"),
        ("securityContext/runAsNonRoot", json!(false), "securityContext"),
        ("securityContext/readOnlyRootFilesystem", Value::Null, "securityContext"),
        ("securityContext/privileged", json!(true), "securityContext"),
        ("securityContext/allowPrivilegeEscalation", json!(true), "securityContext"),
        ("securityContext/capabilities/drop", json!([]), "securityContext"),
        ("securityContext/capabilities/add", json!(["NET_ADMIN"]), "securityContext"),
    ] {
        let told = refused(policy, &Request::create(altered(&format!("{sidecar}/{member}"), value)));
        assert!(told.as_ref().is_some_and(|told| told.contains(message)), "{member}: {told:?}");
    }
}

#[test]
fn who_is_not_opted_in_is_not_asked_and_who_asks_is() {
    let policy = "clinch-guarded";
    let mut elsewhere = Request::create(pod(false));
    elsewhere.namespace = json!({ "metadata": { "name": "other" } });
    assert_eq!(refused(policy, &elsewhere), None);
    for asks in ["labels", "annotations"] {
        elsewhere.object["metadata"][asks] = json!({ "clinch.dev/inject": "enabled" });
        assert!(refused(policy, &elsewhere).is_some(), "{asks}");
        elsewhere.object["metadata"].as_object_mut().unwrap().remove(asks);
    }
    // A plain container, for clusters without native sidecars; and a digest.
    let mut plain = pod(true);
    let mut sidecar = plain["spec"]["initContainers"][0].take();
    sidecar["image"] = json!("ghcr.io/clinch-dev/clinch@sha256:00");
    sidecar.as_object_mut().unwrap().remove("restartPolicy");
    plain["spec"].as_object_mut().unwrap().remove("initContainers");
    plain["spec"]["containers"].as_array_mut().unwrap().push(sidecar);
    assert_eq!(refused(policy, &Request::create(plain)), None);
}

/// A pod from before its namespace was opted in can still be labelled, finished and deleted; an image can't be swapped.
#[test]
fn what_runs_stays_manageable_but_not_exchangeable() {
    assert_eq!(refused("clinch-guarded", &Request::update(pod(false), pod(false))), None);
    let swapped = altered("/spec/initContainers/0/image", json!("evil.example/clinch:1"));
    assert!(refused("clinch-guarded", &Request::update(swapped.clone(), pod(true))).is_some());
    let all = objects("overlays/plain");
    let webhooks = &object(&all, "ValidatingWebhookConfiguration", "clinch-injector")["webhooks"];
    let asked = |condition: &Value, request: &Request| {
        evaluate(&condition["expression"], &request.context()) == Cel::Bool(true)
    };
    let of_images = &webhooks[0]["matchConditions"][0];
    assert!(asked(of_images, &Request::create(pod(false))));
    assert!(asked(of_images, &Request::update(swapped, pod(true))));
    let other = altered("/spec/containers/0/image", json!("other"));
    assert!(asked(of_images, &Request::update(other, pod(true))));
    for unchanged in [pod(true), pod(false)] {
        let mut labelled = unchanged.clone();
        labelled["metadata"]["labels"]["more"] = json!("x");
        assert!(!asked(of_images, &Request::update(labelled, unchanged)));
    }
    for (guarded, is_asked) in [(true, true), (false, false)] {
        let mut context = Request::update(pod(guarded), pod(guarded)).context();
        context
            .add_variable("request", json!({ "operation": "UPDATE", "subResource": "ephemeralcontainers" }))
            .unwrap();
        assert_eq!(evaluate(&of_images["expression"], &context), Cel::Bool(is_asked));
    }
    let asks = &webhooks[1]["matchConditions"][0];
    let mut asked_once = pod(true);
    asked_once["metadata"]["annotations"]["clinch.dev/inject"] = json!("enabled");
    assert!(asked(asks, &Request::update(pod(true), asked_once)));
    assert!(!asked(asks, &Request::update(pod(true), pod(true))));
    assert!(!asked(asks, &Request::create(pod(false))));
    let mut bare = pod(false);
    bare["metadata"] = json!({});
    assert!(!asked(asks, &Request::create(bare)));
    for place in ["labels", "annotations"] {
        let mut pod = pod(false);
        pod["metadata"][place] = json!({ "clinch.dev/inject": "anything" });
        assert!(asked(asks, &Request::create(pod)), "{place}");
    }
}

#[test]
fn ephemeral_containers_get_no_power_over_the_sidecar() {
    let with = |guarded: bool, container: Value| {
        let mut pod = pod(guarded);
        pod["spec"]["ephemeralContainers"] = json!([container]);
        refused("clinch-ephemeral", &Request::update(pod, Value::Null))
    };
    assert_eq!(with(true, json!({ "name": "debug", "image": "busybox" })), None);
    assert_eq!(with(true, json!({ "name": "debug", "securityContext": { "runAsUser": 1000 } })), None);
    assert_eq!(with(false, json!({ "name": "debug", "securityContext": { "privileged": true } })), None);
    assert_eq!(refused("clinch-ephemeral", &Request::update(pod(true), Value::Null)), None);
    for (container, message) in [
        (json!({ "securityContext": { "privileged": true } }), "neither privileged"),
        (json!({ "securityContext": { "capabilities": { "add": ["NET_ADMIN"] } } }), "neither privileged"),
        (json!({ "targetContainerName": "clinch" }), "look into the sidecar"),
        (json!({ "securityContext": { "runAsUser": 64000 } }), "the sidecar's user"),
    ] {
        let told = with(true, container.clone());
        assert!(told.as_ref().is_some_and(|told| told.contains(message)), "{container}: {told:?}");
    }
}

/// A value that is mistyped must not leave a namespace open without a word; what is there already can be put right.
#[test]
fn a_namespace_is_opted_in_or_out_and_nothing_else() {
    let with = |value: Option<&str>| {
        let labels = value.map_or(json!({}), |value| json!({ "clinch.dev/inject": value }));
        json!({ "metadata": { "name": "shop", "labels": labels } })
    };
    let told = |request: &Request| refused("clinch-namespace", request);
    for value in [None, Some("enabled"), Some("disabled")] {
        assert_eq!(told(&Request::create(with(value))), None, "{value:?}");
        assert_eq!(told(&Request::update(with(value), with(Some("yes")))), None, "{value:?}");
    }
    assert_eq!(told(&Request::create(json!({ "metadata": { "name": "shop" } }))), None);
    for value in ["", "Enabled", "true", "enable"] {
        assert!(
            told(&Request::create(with(Some(value)))).unwrap().contains("enabled or disabled"),
            "{value}"
        );
        assert!(told(&Request::update(with(Some(value)), with(None))).is_some(), "{value}");
        assert!(told(&Request::update(with(Some(value)), with(Some("enabled")))).is_some(), "{value}");
        assert_eq!(told(&Request::update(with(Some(value)), with(Some(value)))), None, "{value}");
    }
}
