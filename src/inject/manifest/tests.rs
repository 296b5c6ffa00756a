use super::*;
use serde_json::json;

mod comments;

/// Stands for the real patch: a native sidecar first, an annotation, a volume, a variable, a probe.
fn fake(pod: &Value, _: &Place<'_>, _: &Template) -> Result<Outcome, Refusal> {
    if pod.pointer("/metadata/annotations/clinch.dev~1inject") == Some(&json!("disabled")) {
        return Ok(Outcome::Left("it opted out"));
    }
    if pod.pointer("/metadata/annotations/clinch.dev~1injected").is_some() {
        return Ok(Outcome::Complete);
    }
    if pod.pointer("/spec/hostNetwork") == Some(&json!(true)) {
        return Err(Refusal { faults: vec!["spec.hostNetwork is true".to_owned(), "and more".to_owned()] });
    }
    let mut new = pod.clone();
    new["metadata"]["annotations"]["clinch.dev/injected"] = json!("v1");
    for (list, item) in [
        (
            "initContainers",
            json!({"name": "clinch", "args": ["run", "--config", "/etc/clinch"], "env": [{"name": "CLINCH_POD", "value": "{\"mode\":\"port\"}"}]}),
        ),
        ("volumes", json!({"name": "clinch-tls", "secret": {"secretName": "clinch-tls"}})),
    ] {
        let old = new["spec"].get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        new["spec"][list] =
            if list == "volumes" { [old, vec![item]] } else { [vec![item], old] }.concat().into();
    }
    if let Some(probe) = new.pointer_mut("/spec/containers/0/readinessProbe") {
        *probe = json!({"httpGet": {"path": "/probe/app/readiness", "port": 9902}});
    }
    Ok(Outcome::Patched { patch: json_patch::diff(pod, &new), warnings: Vec::new() })
}

fn injected(text: &str) -> Result<Injected, Vec<Remark>> {
    let template = Template::default();
    inject(text, &Settings { namespace: "shop", own: "clinch-system", template: &template, token: "" }, &fake)
}

#[track_caller]
fn becomes(before: &str, after: &str) {
    let once = injected(before).unwrap();
    assert_eq!(once.text, after);
    assert_eq!(injected(after).unwrap().text, after, "a second time changes nothing");
}

#[test]
fn a_deployment_keeps_its_comments_and_its_layout() {
    becomes(DEPLOYMENT, DEPLOYMENT_INJECTED);
}

const DEPLOYMENT: &str = "\
# The shop.
---
apiVersion: apps/v1 # stable
kind: Deployment
metadata: { name: shop, labels: {a: b} }   # one line
spec:
  replicas:   2
  template:
    metadata:
      labels:
        app: shop
      # nobody annotates this yet

    spec:
      # The application.
      containers:
      # It has one container.
      - name: app
        image: \"registry.example/shop:1\" # pinned
        args: [\"-v\", # be chatty
               \"-x\"]
        readinessProbe:
          tcpSocket:
            # where it listens
            port: 8080
          # slow to start
        command:
          - |
            # no comment
            exec shop
---
# Not ours.
kind: Service
apiVersion: v1
spec: {ports: [{port: 80}]}
";

const DEPLOYMENT_INJECTED: &str = "\
# The shop.
---
apiVersion: apps/v1 # stable
kind: Deployment
metadata: { name: shop, labels: {a: b} }   # one line
spec:
  replicas:   2
  template:
    metadata:
      labels:
        app: shop
      annotations:
        clinch.dev/injected: v1
      # nobody annotates this yet

    spec:
      # The application.
      containers:
      # It has one container.
      - name: app
        image: \"registry.example/shop:1\" # pinned
        args: [\"-v\", # be chatty
               \"-x\"]
        readinessProbe:
          # where it listens
          httpGet:
            path: /probe/app/readiness
            port: 9902
          # slow to start
        command:
          - |
            # no comment
            exec shop
      initContainers:
      - name: clinch
        args:
        - run
        - --config
        - /etc/clinch
        env:
        - name: CLINCH_POD
          value: '{\"mode\":\"port\"}'
      volumes:
      - name: clinch-tls
        secret:
          secretName: clinch-tls
---
# Not ours.
kind: Service
apiVersion: v1
spec: {ports: [{port: 80}]}
";

#[test]
fn a_first_item_goes_above_the_others_and_their_comments() {
    let before = "kind: Pod\napiVersion: v1\nmetadata:\n  annotations: {} # none\nspec:\n  initContainers:\n    # waits\n    - name: wait # long\n  volumes:\n    - {name: a}\n    # after";
    let after = "kind: Pod\napiVersion: v1\nmetadata:\n  annotations: # none\n    clinch.dev/injected: v1\nspec:\n  initContainers:\n    - name: clinch\n      args:\n        - run\n        - --config\n        - /etc/clinch\n      env:\n        - name: CLINCH_POD\n          value: '{\"mode\":\"port\"}'\n    # waits\n    - name: wait # long\n  volumes:\n    - {name: a}\n    - name: clinch-tls\n      secret:\n        secretName: clinch-tls\n    # after";
    becomes(before, after);
}

#[test]
fn carriage_returns_and_a_byte_order_mark_stay() {
    let text = injected("\u{feff}kind: Pod\r\napiVersion: v1\r\nspec:\r\n  containers:\r\n  - name: a\r\n")
        .unwrap()
        .text;
    assert!(text.starts_with('\u{feff}'));
    assert!(text.matches('\n').count() > 10);
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{text:?}");
}

#[test]
fn flow_style_and_json_are_edited_in_their_own_style() {
    becomes(
        "{kind: Pod, apiVersion: v1, spec: {volumes: [a, ], initContainers: [ {name: b} ]}} # c\n",
        "{kind: Pod, apiVersion: v1, spec: {volumes: [a, {\"name\": \"clinch-tls\", \"secret\": {\"secretName\": \"clinch-tls\"}}, ], initContainers: [ {\"name\": \"clinch\", \"args\": [\"run\", \"--config\", \"/etc/clinch\"], \"env\": [{\"name\": \"CLINCH_POD\", \"value\": \"{\\\"mode\\\":\\\"port\\\"}\"}]}, {name: b} ]}, \"metadata\": {\"annotations\": {\"clinch.dev/injected\": \"v1\"}}} # c\n",
    );
    let before = "{\n\t\"kind\": \"Pod\",\n\t\"apiVersion\": \"v1\",\n\t\"spec\": {\n\t\t\"containers\": [{ \"name\": \"a\\/\\uD83D\\uDE00\" }]\n\t}\n}\n";
    let text = injected(before).unwrap().text;
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["spec"]["containers"][0]["name"], "a/\u{1f600}");
    assert_eq!(value["spec"]["initContainers"][0]["name"], "clinch");
    assert_eq!(injected(&text).unwrap().text, text);
}

#[test]
fn json_with_lines_gets_lines() {
    let before = "{\n  \"kind\": \"Pod\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {\n    \"name\": \"a\"\n  },\n  \"spec\": {\n    \"volumes\": [\n      { \"name\": \"x\" }\n    ],\n    \"initContainers\": []\n  }\n}\n";
    let after = "{\n  \"kind\": \"Pod\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {\n    \"name\": \"a\",\n    \"annotations\": {\n      \"clinch.dev/injected\": \"v1\"\n    }\n  },\n  \"spec\": {\n    \"volumes\": [\n      { \"name\": \"x\" },\n      {\n        \"name\": \"clinch-tls\",\n        \"secret\": {\n          \"secretName\": \"clinch-tls\"\n        }\n      }\n    ],\n    \"initContainers\": [{\"name\": \"clinch\", \"args\": [\"run\", \"--config\", \"/etc/clinch\"], \"env\": [{\"name\": \"CLINCH_POD\", \"value\": \"{\\\"mode\\\":\\\"port\\\"}\"}]}]\n  }\n}\n";
    becomes(before, after);
}

#[test]
fn aliases_of_what_changes_are_written_out() {
    let before = "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  apiVersion: v1\n  metadata: &meta\n    labels: &l {app: a}\n  spec: &spec\n    containers:\n    - name: a\n- kind: Pod\n  apiVersion: v1\n  metadata:\n    <<: *meta\n    name: b\n  spec: *spec # the same\n- kind: Service\n  apiVersion: v1\n  spec:\n    selector: *l\n";
    let once = injected(before).unwrap().text;
    let read = tree::read(&once).unwrap().documents[0].value.clone();
    assert_eq!(read["items"][1]["spec"]["initContainers"][0]["name"], "clinch", "{once}");
    assert_eq!(
        read["items"][0]["metadata"],
        json!({"labels": {"app": "a"}, "annotations": {"clinch.dev/injected": "v1"}})
    );
    assert_eq!(read["items"][1]["metadata"]["labels"], json!({"app": "a"}));
    assert!(once.contains("selector: *l\n") && once.contains("# the same"), "{once}");
    assert_eq!(injected(&once).unwrap().text, once);
}

#[test]
fn all_kinds_are_found_and_others_are_left() {
    let pod = "spec:\n      containers: [{name: a}]\n";
    for (kind, group, path) in [
        ("Deployment", "apps/v1", "/spec/template"),
        ("StatefulSet", "apps/v1", "/spec/template"),
        ("DaemonSet", "apps/v1", "/spec/template"),
        ("ReplicaSet", "apps/v1", "/spec/template"),
        ("ReplicationController", "v1", "/spec/template"),
        ("Job", "batch/v1", "/spec/template"),
    ] {
        let text = format!("apiVersion: {group}\nkind: {kind}\nspec:\n  template:\n    {pod}");
        let read = tree::read(&injected(&text).unwrap().text).unwrap().documents[0].value.clone();
        assert_eq!(read.pointer(path).unwrap()["spec"]["volumes"][0]["name"], "clinch-tls", "{kind}");
        assert_eq!(read.pointer(path).unwrap().get("kind"), None, "{kind}");
    }
    let text = format!(
        "apiVersion: batch/v1\nkind: CronJob\nspec:\n jobTemplate:\n  spec:\n   template:\n    {pod}"
    );
    let read = tree::read(&injected(&text).unwrap().text).unwrap().documents[0].value.clone();
    assert_eq!(read["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"][0]["name"], "clinch-tls");
    let text = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: r}}\nspec:\n  template:\n    {pod}"
    );
    let rollout = injected(&text).unwrap();
    assert_eq!(rollout.text, text);
    assert_eq!(rollout.notes[0].object, "document 1, Rollout/r");
    let text = "kind: PodList\napiVersion: v1\nitems:\n- spec:\n    containers: [{name: a}]\n";
    assert!(injected(text).unwrap().text.contains("clinch-tls"));
    for other in [
        "",
        "# nothing\n",
        "---\n---\n",
        "a: 1\n",
        "- 1\n",
        "kind: Job\napiVersion: batch.volcano.sh/v1\nspec: {}\n",
    ] {
        assert_eq!(injected(other).unwrap(), Injected { text: other.to_owned(), notes: Vec::new() });
    }
}

#[test]
fn every_refusal_of_every_document_is_told() {
    let text = "kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {hostNetwork: true}\n---\n# b\nkind: Pod\napiVersion: v1\nmetadata: {generateName: b-}\nspec: {hostNetwork: true}\n";
    let told: Vec<String> = injected(text).unwrap_err().iter().map(Remark::to_string).collect();
    assert_eq!(
        told,
        [
            "1: document 1, Pod/a: spec.hostNetwork is true",
            "1: document 1, Pod/a: and more",
            "7: document 2, Pod/b-: spec.hostNetwork is true",
            "7: document 2, Pod/b-: and more",
        ]
    );
    for (text, why) in [
        ("a: 1\na: 2\n", "the key a appears twice"),
        ("a: !secret b\n", "a tag that Kubernetes does not know"),
        ("a: {{ .Values.b }}\n", "a key that is no text"),
        ("a: [\n", "not YAML"),
        ("<<: 1\n", "<< takes in mappings only"),
    ] {
        let refused = injected(text).unwrap_err();
        assert!(refused[0].words.starts_with(why), "{text}: {refused:?}");
    }
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", "));
    }
    assert_eq!(injected(&bomb).unwrap_err()[0].words, "too much, aliases followed");
}

#[test]
fn opting_out_is_respected_and_said() {
    let text =
        "kind: Pod\napiVersion: v1\nmetadata: {annotations: {clinch.dev/inject: disabled}}\nspec: {}\n";
    let left = injected(text).unwrap();
    assert_eq!((left.text.as_str(), left.notes[0].words.as_str()), (text, "left as it is: it opted out"));
}
