//! A pod as it is read: its containers by kind, and the service mesh that is in it or is going to be.
//!
//! What is decided is read from Kubernetes' own types; what is changed is the JSON that was given, by index, so that no
//! field that these types don't know is lost.

use super::names::{REDIRECT, SIDECAR};
use super::patch::Refusal;
use crate::config::template::Template;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde_json::Value;
use std::collections::BTreeMap;

/// A pod, read.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// As it was given.
    pub(super) value: &'a Value,
    pod: &'a Pod,
    /// Its specification.
    pub(super) spec: &'a PodSpec,
    /// What a mesh's images begin with.
    mesh_images: &'a [String],
}

/// A container and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    /// What becomes of it.
    pub(super) kind: Kind,
    /// In its array.
    pub(super) index: usize,
    /// As it is read.
    pub(super) container: &'a Container,
}

/// What becomes of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It ends before the containers start.
    Init,
    /// An init container that goes on.
    Sidecar,
    /// It starts when the init containers are done.
    App,
}

/// A service mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mesh {
    /// Which.
    pub(super) name: &'static str,
    /// When it takes the pod's traffic.
    pub(super) takes: Takes,
}

/// When a mesh takes the pod's traffic: from then on until its proxy runs there is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Before anything starts, and nothing runs yet that would pass it on (a CNI plugin, and a proxy that is a container).
    AtOnce,
    /// After clinch started, or nobody knows: its containers stand further back, or aren't there yet.
    Later,
    /// Its proxy runs before clinch starts.
    Runs,
}

impl<'a> Seen<'a> {
    /// A pod with a specification.
    pub(super) fn of(value: &'a Value, pod: &'a Pod, template: &'a Template) -> Result<Seen<'a>, Refusal> {
        let spec = pod.spec.as_ref().ok_or_else(|| Refusal::of("the pod has no spec"))?;
        Ok(Seen { value, pod, spec, mesh_images: &template.mesh_images })
    }

    /// Its annotations.
    pub(super) fn annotations(&self) -> &'a BTreeMap<String, String> {
        self.pod.metadata.annotations.as_ref().unwrap_or(&NONE)
    }

    /// Its labels.
    pub(super) fn labels(&self) -> &'a BTreeMap<String, String> {
        self.pod.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    /// Whether it belongs to a Job.
    pub(super) fn is_of_a_job(&self) -> bool {
        self.pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job")
    }

    /// All its containers but ephemeral ones, in the order they start.
    pub(super) fn all(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let init = self.spec.init_containers.iter().flatten().enumerate().map(|(index, container)| {
            let goes_on = container.restart_policy.as_deref() == Some("Always");
            Member { kind: if goes_on { Kind::Sidecar } else { Kind::Init }, index, container }
        });
        let apps = self.spec.containers.iter().enumerate();
        init.chain(apps.map(|(index, container)| Member { kind: Kind::App, index, container }))
    }

    /// The containers that are neither ours nor a mesh's.
    pub(super) fn applications(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let seen = *self;
        self.all().filter(move |member| !member.is_ours() && !seen.is_of_a_mesh(member.container))
    }

    /// Whether a container belongs to a mesh: by its name, which anybody can take, and its image, which is the operator's
    /// word (WH-006).
    pub(super) fn is_of_a_mesh(&self, container: &Container) -> bool {
        let image = container.image.as_deref().unwrap_or_default();
        has_a_meshs_name(container) && self.mesh_images.iter().any(|beginning| image.starts_with(beginning))
    }

    /// The mesh that is in it, or that its author asks for.
    pub(super) fn mesh(&self) -> Option<Mesh> {
        let is = |name: &str, value: &str| {
            [self.labels(), self.annotations()].iter().any(|map| map.get(name).is_some_and(|v| v == value))
        };
        let has = |names: &[&str]| {
            let mut meshs = self.all().filter(|member| self.is_of_a_mesh(member.container));
            meshs.any(|member| names.contains(&member.container.name.as_str()))
        };
        let istio = self.labels().contains_key("istio.io/rev") && !is("sidecar.istio.io/inject", "false");
        if has(&ISTIO) || istio || is("sidecar.istio.io/inject", "true") {
            return Some(Mesh { name: "Istio", takes: self.taken(has(&["istio-validation"])) });
        }
        if has(&LINKERD) || is("linkerd.io/inject", "enabled") || is("linkerd.io/inject", "ingress") {
            return Some(Mesh { name: "Linkerd", takes: self.taken(has(&["linkerd-network-validator"])) });
        }
        is("istio.io/dataplane-mode", "ambient")
            .then_some(Mesh { name: "Istio (ambient)", takes: Takes::Runs })
    }

    fn taken(&self, by_plugin: bool) -> Takes {
        let mut front = self.all().take(self.mesh_in_front());
        match front.any(|member| member.kind == Kind::Sidecar) {
            true => Takes::Runs,
            false if by_plugin => Takes::AtOnce,
            false => Takes::Later,
        }
    }

    /// Where clinch goes among the init containers: to the very front, but after a mesh's proxy that is there already. A
    /// mesh's rules that come before their proxy come after clinch, which then starts with the network as it is.
    pub(super) fn place(&self) -> usize {
        match self.mesh().map(|mesh| mesh.takes) {
            Some(Takes::Runs) => self.mesh_in_front(),
            Some(Takes::AtOnce | Takes::Later) | None => 0,
        }
    }

    /// How many init containers of a mesh stand at the very front.
    fn mesh_in_front(&self) -> usize {
        let init = self.spec.init_containers.iter().flatten();
        init.take_while(|container| self.is_of_a_mesh(container)).count()
    }
}

impl<'a> Member<'a> {
    /// Whether its name is one of ours.
    pub(super) fn is_ours(&self) -> bool {
        [SIDECAR, REDIRECT].contains(&self.container.name.as_str())
    }

    /// Whether it is there while requests come.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.kind, Kind::Sidecar | Kind::App)
    }

    /// The field of the specification that it is in.
    pub(super) fn array(&self) -> &'static str {
        match self.kind {
            Kind::Init | Kind::Sidecar => "initContainers",
            Kind::App => "containers",
        }
    }

    /// As it was given.
    pub(super) fn value(&self, seen: &Seen<'a>) -> &'a Value {
        &seen.value["spec"][self.array()][self.index]
    }

    /// For people.
    pub(super) fn called(&self) -> String {
        let kind = match self.kind {
            Kind::Init | Kind::Sidecar => "init container",
            Kind::App => "container",
        };
        format!("{kind} {}", crate::config::words::quoted(&self.container.name))
    }
}

/// Whether a container is called like one of a mesh, which proves nothing.
pub(super) fn has_a_meshs_name(container: &Container) -> bool {
    let name = container.name.as_str();
    ISTIO.contains(&name) || LINKERD.contains(&name)
}

const ISTIO: [&str; 3] = ["istio-init", "istio-validation", "istio-proxy"];
const LINKERD: [&str; 3] = ["linkerd-init", "linkerd-network-validator", "linkerd-proxy"];
static NONE: BTreeMap<String, String> = BTreeMap::new();
