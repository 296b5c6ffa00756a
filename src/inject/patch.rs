//! The patch: all decisions on a pod, in their order.

use super::annotations::Settings;
use super::names::{MARK, PREFIX, REDIRECT, SIDECAR};
use super::operations::{Operations, at};
use super::ports::{Guarded, guarded};
use super::present::Present;
use super::probes::Rewriting;
use super::said::Said;
use super::seen::{Kind, Member, Seen};
use super::{init, low_port, others, risks, sidecar, told, wanted};
use crate::config::pod::{Pod, PodMode};
use crate::config::template::Template;
use k8s_openapi::api::core::v1;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// Where a pod is.
#[derive(Clone)]
pub struct Place<'a> {
    /// Its namespace: of the request, for the pod itself may not say yet.
    pub namespace: &'a str,
    /// Whether that is opted in (`clinch.dev/inject: enabled`).
    pub opted_in: bool,
    /// The injector's own namespace.
    pub own: &'a str,
    /// The end of the paths of new hooks, made by [`token`](super::token::token). Only [`patch`] needs it.
    pub token: &'a str,
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { namespace, opted_in, own, token: _ } = self;
        f.debug_struct("Place")
            .field("namespace", namespace)
            .field("opted_in", opted_in)
            .field("own", own)
            .finish_non_exhaustive()
    }
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// clinch is put into it, or what is missing of it.
    Patched {
        /// To be applied to the pod as it was given.
        patch: json_patch::Patch,
        /// For the pod's author.
        warnings: Vec<String>,
    },
    /// It has all it needs.
    Complete,
    /// It is none of ours: why, in words.
    Left(&'static str),
}

/// Everything that is wrong with a pod, in words that name the annotation or the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// At least one.
    pub faults: Vec<String>,
}

/// What is to be done to a pod.
///
/// # Errors
/// It should be guarded and can't be, or has something that passes for clinch and is not.
pub fn patch(pod: &Value, place: &Place<'_>, template: &Template) -> Result<Outcome, Refusal> {
    Ok(match decide(pod, place, template)? {
        Decided::Left(why) => Outcome::Left(why),
        Decided::Guarded { operations, warnings } => {
            let patch = operations.patch();
            if patch.is_empty() { Outcome::Complete } else { Outcome::Patched { patch, warnings } }
        }
    })
}

/// Whether a pod that should be guarded is: it has the sidecar, and that is ours. A pod that runs may be asked about, too.
///
/// What the template wants the application to be told (`app_env`) is not missed here: the operator may have changed it since.
///
/// # Errors
/// It is not, or could not be.
pub fn verify(pod: &Value, place: &Place<'_>, template: &Template) -> Result<(), Refusal> {
    match decide(pod, place, template)? {
        Decided::Left(_) => Ok(()),
        Decided::Guarded { operations, .. } if operations.missing().is_empty() => Ok(()),
        Decided::Guarded { operations, .. } => Err(Refusal { faults: operations.missing().to_vec() }),
    }
}

enum Decided {
    Left(&'static str),
    Guarded { operations: Operations, warnings: Vec<String> },
}

fn decide(value: &Value, place: &Place<'_>, template: &Template) -> Result<Decided, Refusal> {
    let pod =
        v1::Pod::deserialize(value).map_err(|why| Refusal::of(format!("the pod can't be read: {why}")))?;
    let seen = Seen::of(value, &pod, template)?;
    if let Some(why) = wanted::left(&seen, place, template)? {
        return Ok(Decided::Left(why));
    }
    let mut said = Said::default();
    let mut operations = Operations::default();
    let settings = Settings::read(&seen, template, &mut said);
    risks::look(&seen, &settings, template, &mut said);
    if let Some(guarded) = guarded(&seen, &settings, template, &mut said) {
        let work = Work { seen, settings: &settings, template, guarded, token: place.token };
        work.all(&mut said, &mut operations);
    }
    if settings.observe {
        said.warn(format!("{PREFIX}observe: nothing is refused for want of proof, only recorded"));
    }
    Ok(Decided::Guarded { operations, warnings: said.outcome()? })
}

/// A pod whose guarded port is known.
struct Work<'a> {
    seen: Seen<'a>,
    settings: &'a Settings,
    template: &'a Template,
    guarded: Guarded,
    token: &'a str,
}

impl<'a> Work<'a> {
    /// Changes come first, then what is inserted: first among the init containers, but after a mesh's that stand in front.
    fn all(&self, said: &mut Said, operations: &mut Operations) {
        let Work { seen, settings, template, guarded, token } = self;
        let present = Present::find(*seen, said);
        let known = present.probes(template, said);
        let rewriting =
            Rewriting { seen: *seen, guarded: *guarded, settings, template, known: &known, token };
        let told = Pod { probes: rewriting.all(said, operations), ..self.told() };
        if settings.mode == PodMode::Port {
            low_port::allow(seen, guarded, said, operations);
        }
        told::tell(seen, guarded, settings, template, said, operations);
        let volumes = present.volumes(sidecar::volumes(settings, template), said);
        for volume in &volumes {
            operations
                .is_missing(format!("volume {} is missing", volume["name"].as_str().unwrap_or_default()));
        }
        operations.insert(seen.value, &["spec", "volumes"], None, volumes);
        let first = self.sidecar(&present, &told, said, operations);
        let (early, late): (Vec<Value>, Vec<Value>) =
            if template.native { (first, Vec::new()) } else { (Vec::new(), first) };
        let early = self.redirect(&present, said, operations).into_iter().chain(early).collect();
        operations.insert(seen.value, &["spec", "initContainers"], Some(seen.place()), early);
        operations.insert(seen.value, &["spec", "containers"], Some(0), late);
        self.starts_first(&present, said);
        self.annotate(present.sidecar.is_none(), operations);
    }

    /// What clinch is told, but for probes.
    fn told(&self) -> Pod {
        let listen = match self.settings.mode {
            PodMode::Port => self.guarded.port,
            PodMode::Redirect => self.template.redirect_port,
        };
        Pod {
            mode: self.settings.mode,
            listen,
            upstream: Some(self.guarded.upstream),
            health: self.template.health_port,
            log_level: self.settings.log_level.clone(),
            observe: self.settings.observe,
            probes: super::probes::Probes::new(),
        }
    }

    /// The sidecar, unless it is there.
    fn sidecar(
        &self,
        present: &Present<'a>,
        told: &Pod,
        said: &mut Said,
        operations: &mut Operations,
    ) -> Vec<Value> {
        if sidecar::written(told).len() > LONGEST {
            said.fault("the probes: all together they are longer than an environment variable may be");
        }
        let wanted = sidecar::container(self.settings, self.template, told, self.seen.mesh());
        match present.sidecar {
            Some(had) => present.sidecar_is(had, &wanted, self.template, said, operations),
            None => {
                operations.is_missing(format!("container {SIDECAR} is missing"));
                return vec![wanted];
            }
        }
        Vec::new()
    }

    /// The init container of mode redirect, unless it is there.
    fn redirect(&self, present: &Present<'a>, said: &mut Said, operations: &mut Operations) -> Option<Value> {
        let wanted = init::container(self.settings, self.template, &self.guarded);
        match (self.settings.mode, present.redirect) {
            (PodMode::Port, None) => {}
            (PodMode::Port, Some(had)) => {
                said.fault(format!("{} is there, but the mode is `port`", had.called()));
            }
            (PodMode::Redirect, Some(had)) => present.redirect_is(had, &wanted, self.template, said),
            (PodMode::Redirect, None) => {
                operations.is_missing(format!("init container {REDIRECT} is missing"));
                return Some(wanted);
            }
        }
        None
    }

    /// Nothing that goes on, but a mesh's, starts before what guards: it would have the guarded port first, and the state of
    /// the network as it was. Before the rules of mode redirect nothing runs at all (WH-013).
    fn starts_first(&self, present: &Present<'a>, said: &mut Said) {
        let ends = |kind: Kind, before: &Member<'_>| before.kind == Kind::Init && kind == Kind::Sidecar;
        let guards = [(present.sidecar, Kind::Sidecar), (present.redirect, Kind::Init)];
        let native = |(guard, kind): (Option<Member<'a>>, Kind)| {
            Some((guard.filter(|guard| guard.array() == "initContainers")?, kind))
        };
        for (guard, kind) in guards.into_iter().filter_map(native) {
            let mut init = self.seen.applications().filter(|member| member.array() == "initContainers");
            if let Some(early) = init.find(|early| early.index < guard.index && !ends(kind, early)) {
                said.fault(format!("{}: expected it before {}", guard.called(), early.called()));
            }
        }
        let Some((Kind::Sidecar, _)) = self.guarded.holder else { return };
        if !self.template.native && self.settings.mode == PodMode::Port {
            said.fault(format!(
                "clinch.dev/port: {} is an init container's, and clinch as a plain container starts later (template.native)",
                self.guarded.port
            ));
        }
    }

    /// For other webhooks: which containers to pass by. For people, where clinch is new: which version did it, and whose
    /// logs kubectl shows where clinch is the first container.
    fn annotate(&self, new: bool, operations: &mut Operations) {
        let had = self.seen.annotations();
        let mut wanted = others::skipped(had);
        if new {
            wanted.push((MARK, env!("CARGO_PKG_VERSION").to_owned()));
            let first = self.seen.spec.containers.first();
            let first = first.filter(|_| !self.template.native && !had.contains_key(DEFAULT));
            wanted.extend(first.map(|first| (DEFAULT, first.name.clone())));
        }
        let mut path: &[&str] = &["metadata"];
        for deeper in [&["metadata"][..], &["metadata", "annotations"]] {
            path = deeper;
            if !wanted.is_empty() && !at(self.seen.value, path).is_some_and(Value::is_object) {
                operations.set(path, serde_json::json!({}));
            }
        }
        for (key, value) in wanted {
            operations.set(&[path, &[key]].concat(), Value::String(value));
        }
    }
}

/// The container that kubectl takes where none is named.
const DEFAULT: &str = "kubectl.kubernetes.io/default-container";
/// Bytes of `CLINCH_POD`: Linux takes 128 KiB for one variable (execve(2)).
const LONGEST: usize = 100_000;
