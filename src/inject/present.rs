//! What of ours a pod has already, and whether it is ours indeed.
//!
//! A pod comes here twice (`reinvocationPolicy: IfNeeded`), from `clinch inject`, or with a container of our name that somebody
//! else wrote (WH-005, WH-006). An annotation proves nothing: what is there has to be what would be generated, field by field.
//! Other webhooks may have changed its resources and pull policy, its place, and its probes as long as they are `httpGet`.

use super::annotations::accepted;
use super::names::{ADMIN_PORT, REDIRECT, SIDECAR, VOLUMES};
use super::operations::Operations;
use super::others::without;
use super::probes::Probes;
use super::question::{parts, target};
use super::said::Said;
use super::seen::{Member, Seen};
use super::sidecar::{waiting, written};
use crate::config::pod::{POD, Pod, PodProbe};
use crate::config::template::Template;
use crate::config::words::quoted;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Containers of our names.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    seen: Seen<'a>,
    /// The one that is called like the sidecar.
    pub(super) sidecar: Option<Member<'a>>,
    /// The one that is called like the init container of mode redirect.
    pub(super) redirect: Option<Member<'a>>,
}

impl<'a> Present<'a> {
    /// Finds them; a name is used once.
    pub(super) fn find(seen: Seen<'a>, said: &mut Said) -> Present<'a> {
        let mut one = |name: &str| {
            let mut found = seen.all().filter(|member| member.container.name == name);
            let first = found.next();
            if found.next().is_some() {
                said.fault(format!("several containers are called {name}"));
            }
            first
        };
        let (sidecar, redirect) = (one(SIDECAR), one(REDIRECT));
        Present { seen, sidecar, redirect }
    }

    /// What the sidecar that is there asks in the kubelet's place.
    pub(super) fn probes(&self, template: &Template, said: &mut Said) -> Probes {
        let Some(sidecar) = self.sidecar else { return Probes::new() };
        let value = sidecar
            .container
            .env
            .iter()
            .flatten()
            .find(|env| env.name == POD)
            .and_then(|e| e.value.as_deref());
        let told = value.and_then(|text| serde_json::from_str::<Pod>(&text.replace("$$", "$")).ok());
        let Some(told) = told else {
            said.fault(format!("{} is there and is not ours: env {POD}: unreadable", sidecar.called()));
            return Probes::new();
        };
        let names: BTreeSet<&str> =
            self.seen.applications().map(|member| member.container.name.as_str()).collect();
        let mut odd = |key: &str, why: &str| {
            said.fault(format!("{}: env {POD}: probe {} {why}", sidecar.called(), quoted(key)));
        };
        for (key, probe) in &told.probes {
            if !parts(key).is_some_and(|(container, _)| names.contains(container)) {
                odd(key, "is of no container");
            }
            if !may_be_asked(probe, template) {
                odd(key, "asks what no pod may");
            }
        }
        told.probes
    }

    /// Whether the sidecar is what would be generated; what other webhooks made necessary is changed.
    pub(super) fn sidecar_is(
        &self,
        had: Member<'a>,
        wanted: &Value,
        template: &Template,
        said: &mut Said,
        operations: &mut Operations,
    ) {
        let mut value = had.value(&self.seen).clone();
        let index = had.index.to_string();
        let place = ["spec", had.array(), index.as_str()];
        told(&mut value, wanted, &place, operations);
        started(&value, wanted, &place, operations);
        if !template.native && wanted.get("lifecycle").is_none() && value.get("lifecycle") == Some(&waiting())
        {
            operations.remove(&[&place[..], &["lifecycle"]].concat());
            value["lifecycle"] = Value::Null;
        }
        if had.array() != if template.native { "initContainers" } else { "containers" } {
            said.fault(format!(
                "{} is there and is not ours: expected it elsewhere (template.native)",
                had.called()
            ));
        }
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let none = probe == "startupProbe" && value[probe].is_null();
            if !none && !is_http(&value[probe]) {
                said.fault(format!("{} is there and is not ours: {probe}: expected httpGet", had.called()));
            }
        }
        image(had, template.image.as_str(), template, said);
        differences(&had.called(), &without(value, wanted), wanted, &TOLERATED, said);
    }

    /// Whether the init container of mode redirect is what would be generated.
    pub(super) fn redirect_is(&self, had: Member<'a>, wanted: &Value, template: &Template, said: &mut Said) {
        image(had, template.redirect_image.as_ref().unwrap_or(&template.image), template, said);
        if had.array() != "initContainers" {
            said.fault(format!("{} is there and is not ours: expected an init container", had.called()));
        }
        let value = without(had.value(&self.seen).clone(), wanted);
        differences(&had.called(), &value, wanted, &TOLERATED[..3], said);
    }

    /// Volumes of our names have to be ours; those that are missing are given back.
    pub(super) fn volumes(&self, wanted: Vec<Value>, said: &mut Said) -> Vec<Value> {
        let there = self.seen.value["spec"]["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |volume: &Value| volume["name"].as_str().unwrap_or_default().to_owned();
        let mut had = BTreeSet::new();
        for volume in there.iter().filter(|volume| VOLUMES.contains(&name(volume).as_str())) {
            let name = name(volume);
            let what = format!("volume {name}");
            match wanted.iter().find(|wanted| wanted["name"] == volume["name"]) {
                Some(wanted) => differences(&what, volume, wanted, &[], said),
                None => said.fault(format!("{what} is there and is not ours: none of that name is needed")),
            }
            had.insert(name);
        }
        wanted.into_iter().filter(|volume| !had.contains(&name(volume))).collect()
    }
}

/// Whether a question may come from a pod: clinch is not sent to its own ports, nor asks for what is no path.
fn may_be_asked(probe: &PodProbe, template: &Template) -> bool {
    let (port, path) = match probe {
        PodProbe::Http { port, path, .. } => (port, path.as_str()),
        PodProbe::Tcp { port } | PodProbe::Grpc { port, .. } => (port, "/"),
    };
    ![0, ADMIN_PORT, template.health_port, template.redirect_port].contains(port) && target(path) == path
}

/// Replaces what the sidecar is told where only probes were added to it.
fn told(value: &mut Value, wanted: &Value, place: &[&str], operations: &mut Operations) {
    let position = |container: &Value| container["env"].as_array()?.iter().position(|env| env["name"] == POD);
    let (Some(here), Some(there)) = (position(value), position(wanted)) else { return };
    let read = |container: &Value, at: usize| {
        let text = container["env"][at]["value"].as_str()?.replace("$$", "$");
        serde_json::from_str::<Pod>(&text).ok()
    };
    let (Some(mut had), Some(wants)) = (read(value, here), read(wanted, there)) else { return };
    had.probes.clone_from(&wants.probes);
    let new = written(&had);
    if had == wants && value["env"][here]["value"] != new.as_str() {
        let at = here.to_string();
        operations.set(&[place, &["env", &at, "value"]].concat(), Value::String(new.clone()));
        operations.is_missing(format!("container {SIDECAR}: env {POD} lacks probes"));
        value["env"][here]["value"] = Value::String(new);
    }
}

/// A mesh came, or its proxy moved: what the start waits for follows.
fn started(value: &Value, wanted: &Value, place: &[&str], operations: &mut Operations) {
    let (had, wants) = (&value["startupProbe"], &wanted["startupProbe"]);
    let own = |probe: &Value| {
        let get = &probe["httpGet"];
        ["/ready", "/live"].iter().any(|path| get["path"] == *path)
            && get["port"] == wanted["ports"][0]["containerPort"]
    };
    let path = [place, &["startupProbe"]].concat();
    if had.is_null() && !wants.is_null() {
        operations.set(&path, wants.clone());
    } else if own(had) && wants.is_null() {
        operations.remove(&path);
    } else if own(had) && had["httpGet"]["path"] != wants["httpGet"]["path"] {
        operations.set(&[&path[..], &["httpGet", "path"]].concat(), wants["httpGet"]["path"].clone());
    }
}

/// Any image that the operator lets pods have.
fn image(had: Member<'_>, own: &str, template: &Template, said: &mut Said) {
    let image = had.container.image.as_deref().unwrap_or_default();
    if image != own && !accepted(image, template) {
        let expected = "an image that the template accepts";
        said.wrong(&format!("{} is there and is not ours: image", had.called()), image, expected);
    }
}

fn is_http(probe: &Value) -> bool {
    let others = ["exec", "tcpSocket", "grpc"];
    probe["httpGet"].is_object() && others.iter().all(|other| probe[other].is_null())
}

/// Every field that is not as it would be generated.
fn differences(what: &str, had: &Value, wanted: &Value, tolerated: &[&str], said: &mut Said) {
    let none = Map::new();
    let (had, wanted) = (had.as_object().unwrap_or(&none), wanted.as_object().unwrap_or(&none));
    let fields: BTreeSet<&String> = had.keys().chain(wanted.keys()).collect();
    for field in fields.into_iter().filter(|field| !tolerated.contains(&field.as_str())) {
        let of = |object: &Map<String, Value>| object.get(field).and_then(bare);
        let (found, expected) = (of(had), of(wanted));
        if found != expected {
            let shown = |value: Option<Value>| value.map_or("nothing".to_owned(), |v| quoted(&v.to_string()));
            said.fault(format!(
                "{what} is there and is not ours: {field}: found {}, expected {}",
                shown(found),
                shown(expected)
            ));
        }
    }
}

/// Without what says nothing: null, and empty lists in an object. What the API server drops.
fn bare(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) => {
            let members = members.iter().filter_map(|(key, value)| Some((key.clone(), bare(value)?)));
            Some(Value::Object(members.collect()))
        }
        Value::Array(items) => {
            Some(Value::Array(items.iter().map(|v| bare(v).unwrap_or(Value::Null)).collect()))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
    }
}

/// What other webhooks may change: the first three of any container of ours.
const TOLERATED: [&str; 6] =
    ["image", "imagePullPolicy", "resources", "startupProbe", "readinessProbe", "livenessProbe"];
