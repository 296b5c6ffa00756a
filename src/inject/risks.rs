//! Whether a pod can be guarded at all, and what in it could get round clinch or read its memory.
//!
//! Decides on the network namespace, the operating system, namespaces of processes, privileges, user ids and paths of the node
//! (WH-008, WH-009).
//! A risk is a refusal or a warning, as the template says; what makes guarding impossible is a refusal always.

use super::annotations::Settings;
use super::names::{PREFIX, REDIRECT, SIDECAR, VOLUMES};
use super::said::Said;
use super::seen::{Kind, Seen, has_a_meshs_name};
use crate::config::pod::PodMode;
use crate::config::template::{Risks, Template};
use crate::config::words::quoted;
use k8s_openapi::api::core::v1::{SecurityContext, VolumeMount};

/// Everything in the way.
pub(super) fn look(seen: &Seen<'_>, settings: &Settings, template: &Template, said: &mut Said) {
    impossible(seen, template, said);
    mesh(seen, settings, said);
    let risk = |said: &mut Said, what: String| match template.risks {
        Risks::Deny => said.fault(what),
        Risks::Warn => said.warn(what),
    };
    pod_risks(seen).into_iter().for_each(|what| risk(said, what));
    for member in seen.all().filter(|member| !member.is_ours()) {
        let container = member.container;
        let meshs = seen.is_of_a_mesh(container);
        let own = meshs && member.kind == Kind::Init && INITS_OF_MESHES.contains(&container.name.as_str());
        let context = container.security_context.as_ref();
        let mut who = member.called();
        if !meshs && has_a_meshs_name(container) {
            who.push_str(" (its image is none of template.mesh_images)");
        }
        container_risks(&who, context, own, template, said);
        mounts(&who, container.volume_mounts.as_deref().unwrap_or(&[]), said);
    }
    for ephemeral in seen.spec.ephemeral_containers.iter().flatten() {
        let who = format!("ephemeral container {}", quoted(&ephemeral.name));
        if [SIDECAR, REDIRECT].contains(&ephemeral.name.as_str()) {
            said.fault(format!("{who}: the name is clinch's"));
        }
        container_risks(&who, ephemeral.security_context.as_ref(), false, template, said);
        mounts(&who, ephemeral.volume_mounts.as_deref().unwrap_or(&[]), said);
        if ephemeral.target_container_name.as_deref() == Some(SIDECAR) {
            risk(said, format!("{who}: targetContainerName: it could read clinch's memory"));
        }
    }
}

/// What concerns the pod as a whole.
fn pod_risks(seen: &Seen<'_>) -> Vec<String> {
    let spec = seen.spec;
    let mut risks = Vec::new();
    if spec.host_pid == Some(true) {
        risks.push("spec.hostPID: processes of the node could read clinch's memory".to_owned());
    }
    if spec.share_process_namespace == Some(true) {
        risks.push("spec.shareProcessNamespace: the other containers could read clinch's memory".to_owned());
    }
    let sysctls = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    if sysctls.into_iter().any(|sysctl| sysctl.name.replace('/', ".").ends_with(".route_localnet")) {
        risks
            .push("spec.securityContext.sysctls: route_localnet: neighbours could reach loopback".to_owned());
    }
    for volume in spec.volumes.iter().flatten() {
        let path = volume.host_path.as_ref().map(|host| host.path.as_str());
        if let Some(path) = path.filter(|path| is_of_the_node(path)) {
            let what = "who reads or asks there has clinch's private key";
            risks.push(format!("volume {}: hostPath {}: {what}", quoted(&volume.name), quoted(path)));
        }
    }
    risks
}

/// Whether a path of the node has what belongs to other containers, or who starts them, in it or around it.
fn is_of_the_node(path: &str) -> bool {
    let parts = |path: &'static str| path.split('/').filter(|part| !part.is_empty());
    NODE.iter().any(|node| {
        let asked = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        asked.zip(parts(node)).all(|(a, b)| a == b)
    })
}

/// What no setting makes possible.
fn impossible(seen: &Seen<'_>, template: &Template, said: &mut Said) {
    let spec = seen.spec;
    if spec.host_network == Some(true) {
        said.fault("spec.hostNetwork: found true; clinch can't guard a pod in the network of its node");
    }
    let selected = spec.node_selector.iter().flatten().find(|(key, _)| *key == "kubernetes.io/os");
    let named = [spec.os.as_ref().map(|os| os.name.as_str()), selected.map(|(_, os)| os.as_str())];
    if let Some(os) = named.into_iter().flatten().find(|os| *os != "linux") {
        said.wrong("the operating system (spec.os or nodeSelector kubernetes.io/os)", os, "`linux`");
    }
    if seen.annotations().contains_key("kubernetes.io/config.mirror") {
        said.fault("annotation kubernetes.io/config.mirror: a static pod is started by its node, and can't be changed");
    }
    if !template.native {
        let policy = spec.restart_policy.as_deref().unwrap_or("Always");
        if policy != "Always" || seen.is_of_a_job() {
            said.fault(
                "spec.restartPolicy: a Job would never end beside clinch as a plain container; \
                 expected native sidecars (template.native, Kubernetes 1.29)",
            );
        }
    }
    let pod = spec.security_context.as_ref();
    if pod.and_then(|context| context.run_as_user) == Some(i64::from(template.user)) {
        said.fault(format!("spec.securityContext.runAsUser: {} is clinch's own", template.user));
    }
}

/// A mesh: it ends TLS before clinch does, and both can't redirect (WH-024).
fn mesh(seen: &Seen<'_>, settings: &Settings, said: &mut Said) {
    if seen.applications().any(|member| member.container.name == "daprd") {
        said.warn(
            "daprd reaches the application at loopback: what comes through Dapr doesn't come through clinch",
        );
    }
    let Some(mesh) = seen.mesh() else { return };
    match settings.mode {
        PodMode::Redirect => said.fault(format!(
            "clinch.dev/mode: found `redirect`, but {} redirects this pod's traffic, too; expected `port`",
            mesh.name
        )),
        PodMode::Port => said.warn(format!(
            "{} ends mutual TLS before clinch: clinch doesn't see certificates of clients, \
             and refuses tokens that are bound to one",
            mesh.name
        )),
    }
}

/// What a container may do beyond its own.
fn container_risks(
    who: &str,
    context: Option<&SecurityContext>,
    own: bool,
    template: &Template,
    said: &mut Said,
) {
    let Some(context) = context else { return };
    let risk = |said: &mut Said, what: String| match template.risks {
        Risks::Deny => said.fault(what),
        Risks::Warn => said.warn(what),
    };
    if context.run_as_user == Some(i64::from(template.user)) {
        said.fault(format!("{who}: securityContext.runAsUser: {} is clinch's own", template.user));
    }
    if context.privileged == Some(true) {
        risk(
            said,
            format!("{who}: securityContext.privileged: it could get round clinch, or read its memory"),
        );
    }
    let added = context.capabilities.iter().flat_map(|c| c.add.iter().flatten());
    for capability in added {
        let upper = capability.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let what =
            format!("{who}: capability {}: it could get round clinch, or read its memory", quoted(bare));
        match bare {
            "NET_ADMIN" if own => {}
            "NET_RAW" if own => {}
            "NET_RAW" => said.warn(what),
            _ if DANGEROUS.contains(&bare) => risk(said, what),
            _ => {}
        }
    }
}

/// Nobody else mounts a volume of ours: it would be there by the time Kubernetes looks for it.
fn mounts(who: &str, mounts: &[VolumeMount], said: &mut Said) {
    for mount in mounts.iter().filter(|mount| VOLUMES.contains(&mount.name.as_str())) {
        said.fault(format!("{who}: volumeMounts: volume {} is clinch's own ({PREFIX}…)", mount.name));
    }
}

/// Volumes, keys and sockets of the kubelet and of container runtimes, and all processes.
const NODE: [&str; 14] = [
    "/var/lib/kubelet",
    "/proc",
    "/run/containerd",
    "/var/run/containerd",
    "/run/crio",
    "/var/run/crio",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/cri-dockerd.sock",
    "/var/run/cri-dockerd.sock",
    "/run/k3s",
    "/var/lib/k0s",
    "/var/snap/microk8s",
    "/etc/kubernetes",
];
/// They come before everything else and end, and have to write rules.
const INITS_OF_MESHES: [&str; 2] = ["istio-init", "linkerd-init"];
/// Capabilities that change the network, load code into the kernel, or read other processes (capabilities(7)).
const DANGEROUS: [&str; 10] = [
    "ALL",
    "NET_ADMIN",
    "SYS_ADMIN",
    "SYS_PTRACE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "BPF",
    "PERFMON",
    "DAC_READ_SEARCH",
    "CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_node_are_known_in_and_around() {
        for path in [
            "/",
            "",
            "//var/",
            "/var/lib",
            "/var/lib/kubelet/pods",
            "/proc/1",
            "/run",
            "/var/run/docker.sock",
            "/./proc",
            "/etc",
            "/run/k3s/containerd/containerd.sock",
            "/run/cri-dockerd.sock",
            "/etc/kubernetes/pki",
            "/var/lib/k0s/run",
            "/var/snap/microk8s/common",
        ] {
            assert!(is_of_the_node(path), "{path}");
        }
        for path in ["/var/log", "/data", "/run/spire/sockets", "/var/lib/kubelets", "/dev/dri", "/etc/ssl"] {
            assert!(!is_of_the_node(path), "{path}");
        }
    }
}
