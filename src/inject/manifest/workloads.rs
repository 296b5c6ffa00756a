//! Which objects hold pods, and where.

use serde_json::{Map, Value};

/// A pod of a document, or the template of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// `Deployment`
    pub(super) kind: String,
    /// `metadata.name`, or what is generated from; may be empty.
    pub(super) name: String,
    /// `metadata.namespace`
    pub(super) namespace: Option<String>,
    /// Keys and indices from the document down to the object.
    pub(super) object: Vec<Step>,
    /// From there on to what has the pod's metadata and spec; `None` where clinch does not know the kind, but it has a
    /// template of pods.
    pub(super) pod: Option<&'static [&'static str]>,
}

/// A key or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

/// Everything in a document that holds pods.
pub(super) fn find(document: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    object(document, None, Vec::new(), &mut found);
    found
}

fn object(value: &Value, implied: Option<&str>, path: Vec<Step>, found: &mut Vec<Found>) {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").or(implied).unwrap_or_default();
    // A list of the API server's own names kind and version once for all: `PodList` holds pods that say neither.
    if let (Some(items), Some(of)) = (value.get("items").and_then(Value::as_array), kind.strip_suffix("List"))
    {
        for (index, item) in items.iter().enumerate() {
            let below = path.iter().cloned().chain([Step::Key("items"), Step::Index(index)]).collect();
            object(item, Some(of).filter(|of| !of.is_empty()), below, found);
        }
        return;
    }
    let group = text("/apiVersion").unwrap_or("").rsplit_once('/').map_or("", |(group, _)| group);
    let known = KINDS.iter().find(|(known, groups, _)| {
        *known == kind && (groups.contains(&group) || (implied.is_some() && text("/apiVersion").is_none()))
    });
    let template = value.pointer("/spec/template/spec/containers").is_some();
    if known.is_none() && !template {
        return;
    }
    let name = text("/metadata/name").or(text("/metadata/generateName")).unwrap_or_default();
    found.push(Found {
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: text("/metadata/namespace").map(str::to_owned),
        object: path,
        pod: known.map(|(_, _, pod)| *pod),
    });
}

impl Found {
    /// The path of the pod or template, if the kind is known.
    pub(super) fn pointer(&self) -> Option<String> {
        let below = self.pod?.iter().map(|key| format!("/{key}"));
        let above = self.object.iter().map(|step| match step {
            Step::Key(key) => format!("/{key}"),
            Step::Index(index) => format!("/{index}"),
        });
        Some(above.chain(below).collect())
    }
}

/// What the webhook is shown: a pod, made of a template.
pub(super) fn as_pod(template: &Value) -> Value {
    let part = |key: &str| match template.get(key) {
        Some(value @ Value::Object(_)) => value.clone(),
        _ => Value::Object(Map::new()),
    };
    let mut pod = template.as_object().cloned().unwrap_or_default();
    pod.insert("apiVersion".to_owned(), "v1".into());
    pod.insert("kind".to_owned(), "Pod".into());
    pod.insert("metadata".to_owned(), part("metadata"));
    pod.insert("spec".to_owned(), part("spec"));
    Value::Object(pod)
}

/// The template with what a patched pod has.
pub(super) fn from_pod(template: &Value, pod: &Value) -> Value {
    let mut members = template.as_object().cloned().unwrap_or_default();
    for key in ["metadata", "spec"] {
        let new = pod.get(key).cloned().unwrap_or_default();
        // What was not there and got nothing is still not there.
        if members.contains_key(key) || new.as_object().is_some_and(|new| !new.is_empty()) {
            members.insert(key.to_owned(), new);
        }
    }
    Value::Object(members)
}

const APPS: &[&str] = &["apps", "extensions"];
/// Kinds, their API groups, and where their pods are described.
const KINDS: &[(&str, &[&str], &[&str])] = &[
    ("Pod", &[""], &[]),
    ("PodTemplate", &[""], &["template"]),
    ("ReplicationController", &[""], &["spec", "template"]),
    ("Deployment", APPS, &["spec", "template"]),
    ("ReplicaSet", APPS, &["spec", "template"]),
    ("DaemonSet", APPS, &["spec", "template"]),
    ("StatefulSet", APPS, &["spec", "template"]),
    ("Job", &["batch"], &["spec", "template"]),
    ("CronJob", &["batch"], &["spec", "jobTemplate", "spec", "template"]),
];
