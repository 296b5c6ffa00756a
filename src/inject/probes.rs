//! What the kubelet asks the application, sent through clinch where the port is clinch's or closed.
//!
//! The kubelet has no token. A probe of a port that it can't reach any more becomes a GET of clinch's health port, and clinch
//! asks the original at loopback (`CLINCH_POD`). Timeouts and thresholds stay. A probe of an excluded port, one that names a
//! host, and `exec` stay as they are; so do hooks by `tcpSocket`, which Kubernetes has never carried out.

use super::annotations::Settings;
use super::names::{ADMIN_PORT, is_label};
use super::operations::{Operations, at};
use super::ports::{Guarded, Protocol};
use super::said::Said;
use super::seen::{Kind, Member, Seen};
use crate::config::pod::{PodMode, PodProbe};
use crate::config::template::Template;
use k8s_openapi::api::core::v1::{
    Container, GRPCAction, HTTPGetAction, HTTPHeader, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// By the path below `/probe/`.
pub(super) type Probes = BTreeMap<String, PodProbe>;

/// Decides on the probes of a pod.
pub(super) struct Rewriting<'a> {
    /// The pod.
    pub(super) seen: Seen<'a>,
    /// The guarded port.
    pub(super) guarded: Guarded,
    /// What its author chose.
    pub(super) settings: &'a Settings,
    /// What the operator chose.
    pub(super) template: &'a Template,
    /// What a sidecar that is there already asks.
    pub(super) known: &'a Probes,
}

impl Rewriting<'_> {
    /// Rewrites what has to be; all that clinch is to ask.
    pub(super) fn all(&self, said: &mut Said, operations: &mut Operations) -> Probes {
        let mut probes = self.known.clone();
        for member in self.seen.applications().filter(Member::goes_on) {
            for question in questions(member.container) {
                match self.one(&member, &question) {
                    Ok(None) => {}
                    Ok(Some(probe)) => {
                        self.rewrite(&member, &question, said, operations);
                        probes.insert(question.key(&member), probe);
                    }
                    Err(Fault(why)) => {
                        said.fault(format!("{}: {}: {why}", member.called(), question.field()))
                    }
                }
                if self.asked_by_istio(&member, &question) {
                    said.warn(format!(
                        "{}: {}: Istio asks in place of the kubelet, and clinch will refuse it; \
                         annotate sidecar.istio.io/rewriteAppHTTPProbers: \"false\"",
                        member.called(),
                        question.field()
                    ));
                }
            }
        }
        probes
    }

    /// What clinch is to ask in place of the kubelet. `None`: nothing is to be changed.
    fn one(&self, member: &Member<'_>, question: &Question<'_>) -> Result<Option<PodProbe>, Fault> {
        let Some(port) = question.port(member.container)? else { return Ok(None) };
        if port == self.template.health_port {
            return self.ours(member, question);
        }
        if [self.template.redirect_port, ADMIN_PORT].contains(&port) {
            return Err(Fault(format!("port {port} is clinch's own")));
        }
        if !self.is_behind_clinch(port) {
            return Ok(None);
        }
        if !is_label(&member.container.name) {
            return Err(Fault("the container's name is none (RFC 1123 label)".to_owned()));
        }
        if !self.template.native && member.kind == Kind::Sidecar && question.comes_early() {
            return Err(Fault("clinch as a plain container is not there yet (template.native)".to_owned()));
        }
        let port = if port == self.guarded.port { self.guarded.upstream } else { port };
        question.probe(port).map(Some)
    }

    /// Whether the kubelet doesn't reach the application at this port.
    fn is_behind_clinch(&self, port: u16) -> bool {
        match self.settings.mode {
            PodMode::Port => port == self.guarded.port || port == self.guarded.upstream,
            PodMode::Redirect => !self.settings.excluded.has(port, Protocol::Tcp),
        }
    }

    /// A question that goes to clinch is the one that was rewritten, or nobody's.
    fn ours(&self, member: &Member<'_>, question: &Question<'_>) -> Result<Option<PodProbe>, Fault> {
        let key = question.key(member);
        let asks = question.http().and_then(|http| http.path.as_deref());
        if asks == Some(&format!("/probe/{key}")) && self.known.contains_key(&key) {
            return Ok(None);
        }
        Err(Fault(format!("port {} is clinch's own", self.template.health_port)))
    }

    fn rewrite(
        &self,
        member: &Member<'_>,
        question: &Question<'_>,
        said: &mut Said,
        operations: &mut Operations,
    ) {
        let Some(Value::Object(old)) = at(member.value(&self.seen), question.path) else {
            return said.fault(format!("{}: {}: expected an object", member.called(), question.field()));
        };
        let mut new = old.clone();
        new.retain(|key, _| !["httpGet", "tcpSocket", "grpc"].contains(&key.as_str()));
        let path = format!("/probe/{}", question.key(member));
        let get = json!({ "path": path, "port": self.template.health_port, "scheme": "HTTP" });
        new.insert("httpGet".to_owned(), get);
        let index = member.index.to_string();
        let place = [&["spec", member.array(), &index], question.path].concat();
        operations.replace(&place, Value::Object(new));
        operations.is_missing(format!(
            "{}: {}: doesn't go through clinch",
            member.called(),
            question.field()
        ));
    }

    /// Istio was here first: its agent asks at the pod's address.
    fn asked_by_istio(&self, member: &Member<'_>, question: &Question<'_>) -> bool {
        let path = question.http().and_then(|http| http.path.as_deref());
        path.is_some_and(|path| path.starts_with("/app-health/"))
            && !self.known.contains_key(&question.key(member))
    }
}

/// The container and the kind that a key is made of.
pub(super) fn parts(key: &str) -> Option<(&str, &str)> {
    key.rsplit_once('/').filter(|(_, kind)| KINDS.contains(kind))
}

struct Fault(String);

/// A probe or hook that the kubelet carries out.
struct Question<'a> {
    kind: &'static str,
    path: &'static [&'static str],
    handler: Handler<'a>,
}

enum Handler<'a> {
    Http(&'a HTTPGetAction),
    Tcp(&'a TCPSocketAction),
    Grpc(&'a GRPCAction),
}

/// All of a container, but those by `exec`.
fn questions(container: &Container) -> impl Iterator<Item = Question<'_>> {
    let hooks = container.lifecycle.as_ref();
    let questions = [
        probe(KINDS[0], &["livenessProbe"], container.liveness_probe.as_ref()),
        probe(KINDS[1], &["readinessProbe"], container.readiness_probe.as_ref()),
        probe(KINDS[2], &["startupProbe"], container.startup_probe.as_ref()),
        hook(KINDS[3], &["lifecycle", "postStart"], hooks.and_then(|h| h.post_start.as_ref())),
        hook(KINDS[4], &["lifecycle", "preStop"], hooks.and_then(|h| h.pre_stop.as_ref())),
    ];
    questions.into_iter().flatten()
}

fn probe<'a>(
    kind: &'static str,
    path: &'static [&'static str],
    probe: Option<&'a Probe>,
) -> Option<Question<'a>> {
    let probe = probe?;
    let http = probe.http_get.as_ref().map(Handler::Http);
    let tcp = || probe.tcp_socket.as_ref().map(Handler::Tcp);
    let handler = http.or_else(tcp).or_else(|| probe.grpc.as_ref().map(Handler::Grpc))?;
    Some(Question { kind, path, handler })
}

fn hook<'a>(
    kind: &'static str,
    path: &'static [&'static str],
    hook: Option<&'a LifecycleHandler>,
) -> Option<Question<'a>> {
    let handler = hook?.http_get.as_ref().map(Handler::Http)?;
    Some(Question { kind, path, handler })
}

impl Question<'_> {
    fn key(&self, member: &Member<'_>) -> String {
        format!("{}/{}", member.container.name, self.kind)
    }

    fn field(&self) -> String {
        self.path.join(".")
    }

    fn http(&self) -> Option<&HTTPGetAction> {
        match self.handler {
            Handler::Http(http) => Some(http),
            Handler::Tcp(_) | Handler::Grpc(_) => None,
        }
    }

    /// Before the containers that follow are started.
    fn comes_early(&self) -> bool {
        self.kind == KINDS[2] || self.kind == KINDS[3]
    }

    /// Its port at the pod; none where it goes to another host.
    fn port(&self, container: &Container) -> Result<Option<u16>, Fault> {
        let (host, port) = match self.handler {
            Handler::Http(http) => (http.host.as_deref(), &http.port),
            Handler::Tcp(tcp) => (tcp.host.as_deref(), &tcp.port),
            Handler::Grpc(grpc) => return resolved(&IntOrString::Int(grpc.port), container).map(Some),
        };
        if host.is_some_and(|host| !host.is_empty()) {
            return Ok(None);
        }
        resolved(port, container).map(Some)
    }

    /// The same question, at loopback.
    fn probe(&self, port: u16) -> Result<PodProbe, Fault> {
        match self.handler {
            Handler::Http(http) if http.scheme.as_deref().unwrap_or("HTTP") != "HTTP" => Err(Fault(
                "scheme: found HTTPS, but clinch speaks plain HTTP to the application; expected HTTP or tcpSocket".to_owned(),
            )),
            Handler::Http(http) => {
                let pair = |header: &HTTPHeader| (header.name.clone(), header.value.clone());
                let headers = http.http_headers.iter().flatten().map(pair).collect();
                Ok(PodProbe::Http { port, path: target(http.path.as_deref().unwrap_or("/")), headers })
            }
            Handler::Tcp(_) => Ok(PodProbe::Tcp { port }),
            Handler::Grpc(grpc) => Ok(PodProbe::Grpc { port, service: grpc.service.clone().unwrap_or_default() }),
        }
    }
}

/// A port as the kubelet finds it: a number, a name of the same container's, or a number as text.
fn resolved(port: &IntOrString, container: &Container) -> Result<u16, Fault> {
    let named = |name: &str| {
        let mut ports = container.ports.iter().flatten();
        ports.find(|port| port.name.as_deref() == Some(name)).map(|port| i64::from(port.container_port))
    };
    let number = match port {
        IntOrString::Int(number) => Some(i64::from(*number)),
        IntOrString::String(name) => named(name).or_else(|| name.parse().ok()),
    };
    let number = number
        .ok_or_else(|| Fault("port: expected a number, or a name among the container's ports".to_owned()))?;
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    port.ok_or_else(|| Fault(format!("port: found {number}, expected 1 to 65535")))
}

/// A path as the kubelet puts it into a request: from `/` on, without a fragment, what may not stand there encoded.
fn target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut target = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => target.push(char::from(byte)),
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

const KINDS: [&str; 5] = ["liveness", "readiness", "startup", "post-start", "pre-stop"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_asked_for_as_the_kubelet_would() {
        for (path, asked) in [
            ("", "/"),
            ("/", "/"),
            ("healthz", "/healthz"),
            ("/a?b=c&d=%20", "/a?b=c&d=%20"),
            ("/a b#c", "/a%20b"),
            ("/ä\r\nX: y", "/%C3%A4%0D%0AX:%20y"),
        ] {
            assert_eq!(target(path), asked, "{path}");
        }
    }
}
