//! What the kubelet asks a container: probes and hooks, where they go, and the same questions at loopback.

use super::probes::Probes;
use super::seen::Member;
use super::token::is_token;
use crate::config::pod::PodProbe;
use k8s_openapi::api::core::v1::{
    Container, GRPCAction, HTTPGetAction, HTTPHeader, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The container and the kind that a key is made of; a hook's ends with a token.
pub(super) fn parts(key: &str) -> Option<(&str, &str)> {
    let (container, rest) = key.split_once('/')?;
    let (kind, token) = rest.split_once('/').map_or((rest, None), |(kind, token)| (kind, Some(token)));
    let sound = match token {
        None => KINDS[..3].contains(&kind),
        Some(token) => KINDS[3..].contains(&kind) && is_token(token),
    };
    sound.then_some((container, kind))
}

/// Why a question can't be asked.
pub(super) struct Fault(pub(super) String);

/// A probe or hook that the kubelet carries out.
pub(super) struct Question<'a> {
    kind: &'static str,
    /// Where it is in its container.
    pub(super) path: &'static [&'static str],
    handler: Handler<'a>,
}

enum Handler<'a> {
    Http(&'a HTTPGetAction),
    Tcp(&'a TCPSocketAction),
    Grpc(&'a GRPCAction),
}

/// All of a container, but those by `exec`.
pub(super) fn questions(container: &Container) -> impl Iterator<Item = Question<'_>> {
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
    /// Below `/probe/`. A hook does something, so nobody may guess where: its key is the one that is known, or a new one.
    pub(super) fn key(&self, member: &Member<'_>, known: &Probes, token: &str) -> String {
        let key = format!("{}/{}", member.container.name, self.kind);
        if !KINDS[3..].contains(&self.kind) {
            return key;
        }
        let beginning = format!("{key}/");
        let next = known.range(beginning.clone()..).map(|(key, _)| key).next();
        next.filter(|key| key.starts_with(&beginning)).cloned().unwrap_or_else(|| beginning + token)
    }

    /// For people.
    pub(super) fn field(&self) -> String {
        self.path.join(".")
    }

    /// If it is a GET.
    pub(super) fn http(&self) -> Option<&HTTPGetAction> {
        match self.handler {
            Handler::Http(http) => Some(http),
            Handler::Tcp(_) | Handler::Grpc(_) => None,
        }
    }

    /// Whether Istio's agent is asked, which asks the application.
    pub(super) fn is_istios(&self) -> bool {
        let path = self.http().and_then(|http| http.path.as_deref());
        path.is_some_and(|path| path.starts_with("/app-health/"))
    }

    /// Before the containers that follow are started.
    pub(super) fn comes_early(&self) -> bool {
        self.kind == KINDS[2] || self.kind == KINDS[3]
    }

    /// Its port at the pod; none where it goes to another host.
    pub(super) fn port(&self, container: &Container) -> Result<Option<u16>, Fault> {
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
    pub(super) fn probe(&self, port: u16) -> Result<PodProbe, Fault> {
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
pub(super) fn target(path: &str) -> String {
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
