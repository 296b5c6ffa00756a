//! What the kubelet asks the application, sent through clinch where the port is clinch's or closed.
//!
//! The kubelet has no token. A probe of a port that it can't reach any more becomes a GET of clinch's health port, and clinch
//! asks the original at loopback (`CLINCH_POD`). Timeouts and thresholds stay. A probe of an excluded port, one that names a
//! host, and `exec` stay as they are; so do hooks by `tcpSocket`, which Kubernetes has never carried out.

use super::annotations::Settings;
use super::names::{ADMIN_PORT, is_label};
use super::operations::{Operations, at};
use super::ports::{Guarded, Protocol};
use super::question::{Fault, Question, questions};
use super::said::Said;
use super::seen::{Kind, Member, Seen};
use crate::config::pod::{PodMode, PodProbe};
use crate::config::template::Template;
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
    /// The end of a new hook's path.
    pub(super) token: &'a str,
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
                        probes.insert(self.key(&member, &question), probe);
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

    fn key(&self, member: &Member<'_>, question: &Question<'_>) -> String {
        question.key(member, self.known, self.token)
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
            return if self.is_open(port, question) { Err(Fault(open(port))) } else { Ok(None) };
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

    /// Whether something listens there, by the author's own word, that nobody guards and nobody excluded.
    fn is_open(&self, port: u16, question: &Question<'_>) -> bool {
        self.settings.mode == PodMode::Port
            && !self.settings.excluded.has(port, Protocol::Tcp)
            && !question.is_istios()
    }

    /// A question that goes to clinch is the one that was rewritten, or nobody's.
    fn ours(&self, member: &Member<'_>, question: &Question<'_>) -> Result<Option<PodProbe>, Fault> {
        let key = self.key(member, question);
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
        let path = format!("/probe/{}", self.key(member, question));
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
        question.is_istios() && !self.known.contains_key(&self.key(member, question))
    }
}

fn open(port: u16) -> String {
    format!(
        "port {port}/tcp would stay open to everybody, round clinch; name it in clinch.dev/exclude-ports if it may"
    )
}
