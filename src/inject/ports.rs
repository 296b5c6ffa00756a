//! Which port of a pod is guarded, and which stay as they are.
//!
//! Decides from what the containers declare and from `clinch.dev/port`, `…/upstream-port` and `…/exclude-ports` (WH-012).
//! In mode port only the guarded port comes to clinch, so every other that is declared has to be excluded in so many words;
//! in mode redirect the rules close whatever is not. What is listened at but not declared can't be seen here.

use super::annotations::{Port, Settings};
use super::names::{ADMIN_PORT, HEALTH_PORT};
use super::said::Said;
use super::seen::{Kind, Member, Seen};
use crate::config::pod::PodMode;
use crate::config::template::Template;
use std::collections::{BTreeMap, BTreeSet};

/// The port that is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guarded {
    /// Where the application's callers connect to.
    pub(super) port: u16,
    /// Where the application listens on loopback.
    pub(super) upstream: u16,
    /// The container that declares it, or that alone could: what it is and where in its array.
    pub(super) holder: Option<(Kind, usize)>,
}

/// The transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    /// What Kubernetes assumes.
    Tcp,
    /// QUIC, among others.
    Udp,
    /// Not redirected by anything.
    Sctp,
}

/// `clinch.dev/exclude-ports`: what stays open to everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Excluded(BTreeSet<(u16, Protocol)>);

impl Excluded {
    /// Reads `9090,9091/udp`.
    pub(super) fn read(key: &str, text: &str, said: &mut Said) -> Excluded {
        let mut read = BTreeSet::new();
        if text.split(',').nth(MOST_EXCLUDED).is_some() {
            said.fault(format!("{key}: found more, expected at most {MOST_EXCLUDED} ports"));
            return Excluded(read);
        }
        for item in text.split(',').map(str::trim) {
            let (port, protocol) = item.split_once('/').unwrap_or((item, "tcp"));
            match (number(port), Protocol::read(protocol)) {
                (Some(port), Some(protocol)) if read.insert((port, protocol)) => {}
                (Some(_), Some(_)) => said.wrong(key, item, "each port once"),
                _ => said.wrong(key, item, "ports such as 9090 or 9091/udp, with commas between"),
            }
        }
        Excluded(read)
    }

    /// Whether a port is excluded.
    pub(super) fn has(&self, port: u16, protocol: Protocol) -> bool {
        self.0.contains(&(port, protocol))
    }

    /// Says which ports nobody guards, because the author wrote so (WH-012).
    fn are_told(&self, said: &mut Said) {
        let all: Vec<String> =
            self.0.iter().map(|(port, over)| format!("{port}/{}", over.called())).collect();
        if !all.is_empty() {
            said.warn(format!(
                "clinch.dev/exclude-ports: open to everybody, round clinch: {}",
                all.join(", ")
            ));
        }
    }

    /// Those of one transport.
    pub(super) fn of(&self, protocol: Protocol) -> Vec<u16> {
        self.0.iter().filter(|(_, p)| *p == protocol).map(|(port, _)| *port).collect()
    }
}

impl Protocol {
    fn read(text: &str) -> Option<Protocol> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            "sctp" => Some(Protocol::Sctp),
            _ => None,
        }
    }

    fn called(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// A port number as it is written: from 1 to 65535, nothing around it.
pub(super) fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|port| plain && *port > 0)
}

/// The guarded port, and whether all others are accounted for.
pub(super) fn guarded(
    seen: &Seen<'_>,
    settings: &Settings,
    template: &Template,
    said: &mut Said,
) -> Option<Guarded> {
    let declared = declared(seen);
    let ours = [template.health_port, template.redirect_port, ADMIN_PORT];
    none_is_ours(&declared, settings, ours, said);
    let (port, holder) = chosen(seen, settings, &declared, said)?;
    let upstream = settings.upstream.unwrap_or(port);
    if ours.contains(&port) {
        said.fault(format!("clinch.dev/port: {port} is clinch's own"));
    }
    for (key, port) in [("port", port), ("upstream-port", upstream)] {
        if settings.excluded.has(port, Protocol::Tcp) {
            let why = "anybody would reach the application there, round clinch";
            said.fault(format!("clinch.dev/exclude-ports: {port} is clinch.dev/{key}: {why}"));
        }
        if settings.mode == PodMode::Port && settings.excluded.has(port, Protocol::Udp) {
            let why = "clinch holds UDP there, too; expected clinch.dev/mode redirect, or another port";
            said.fault(format!("clinch.dev/exclude-ports: {port}/udp is clinch.dev/{key}: {why}"));
        }
    }
    settings.excluded.are_told(said);
    if settings.mode == PodMode::Redirect && !settings.excluded.of(Protocol::Sctp).is_empty() {
        said.fault("clinch.dev/exclude-ports: the rules of mode redirect close all SCTP");
    }
    let guarded = Guarded { port, upstream, holder };
    let is_ours = |found: &&Declared<'_>| found.protocol == Protocol::Tcp && ours.contains(&found.port);
    let others: Vec<_> = declared.iter().filter(|found| !is_ours(found)).collect();
    others_are_accounted_for(&others, &guarded, settings, said);
    Some(guarded)
}

/// A port that a container says it listens at.
struct Declared<'a> {
    member: Member<'a>,
    name: Option<&'a str>,
    port: u16,
    protocol: Protocol,
}

fn declared<'a>(seen: &Seen<'a>) -> Vec<Declared<'a>> {
    let there = seen.applications().filter(Member::goes_on);
    let ports =
        there.flat_map(|member| member.container.ports.iter().flatten().map(move |port| (member, port)));
    let read = ports.filter_map(|(member, port)| {
        let protocol = Protocol::read(port.protocol.as_deref().unwrap_or("TCP"))?;
        let number = u16::try_from(port.container_port).ok()?;
        Some(Declared { member, name: port.name.as_deref(), port: number, protocol })
    });
    read.collect()
}

/// No port of the pod, and none that its author names, is one of clinch's own.
fn none_is_ours(declared: &[Declared<'_>], settings: &Settings, ours: [u16; 3], said: &mut Said) {
    for found in declared.iter().filter(|found| found.protocol == Protocol::Tcp && ours.contains(&found.port))
    {
        said.fault(format!("{}: port {} is clinch's own", found.member.called(), found.port));
    }
    for found in declared.iter().filter(|found| found.name == Some(HEALTH_PORT)) {
        said.fault(format!(
            "{}: port {}: the name {HEALTH_PORT} is clinch's",
            found.member.called(),
            found.port
        ));
    }
    if let Some(port) = settings.upstream.filter(|port| ours.contains(port)) {
        said.fault(format!("clinch.dev/upstream-port: {port} is clinch's own"));
    }
    for port in ours.into_iter().filter(|port| settings.excluded.has(*port, Protocol::Tcp)) {
        said.fault(format!("clinch.dev/exclude-ports: {port} is clinch's own"));
    }
}

type Chosen = (u16, Option<(Kind, usize)>);

/// The one the author names, or the only one there is.
fn chosen(
    seen: &Seen<'_>,
    settings: &Settings,
    declared: &[Declared<'_>],
    said: &mut Said,
) -> Option<Chosen> {
    let tcp: BTreeMap<u16, &Declared<'_>> =
        declared.iter().rev().filter(|d| d.protocol == Protocol::Tcp).map(|d| (d.port, d)).collect();
    match &settings.port {
        Some(Port::Number(number)) => {
            let upstream = settings.upstream.unwrap_or(*number);
            if !tcp.is_empty() && !tcp.contains_key(number) && !tcp.contains_key(&upstream) {
                let why = "clinch would guard what nobody listens at, and leave those unguarded";
                said.fault(format!(
                    "clinch.dev/port: no container declares {number}, but {}; {why}",
                    listed(tcp.keys())
                ));
            }
            let holder = tcp.get(number).map(|found| found.member).or_else(|| only(seen));
            Some((*number, holder.map(place)))
        }
        Some(Port::Name(name)) => named(name, declared, said),
        None if tcp.len() == 1 => tcp.iter().next().map(|(port, found)| (*port, Some(place(found.member)))),
        None if tcp.is_empty() => {
            said.fault("clinch.dev/port: the containers declare no TCP port; expected the number of the application's");
            None
        }
        None => {
            let which = "expected the one that clinch is to guard";
            said.fault(format!("clinch.dev/port: the containers declare {}; {which}", listed(tcp.keys())));
            None
        }
    }
}

fn listed<'a>(ports: impl ExactSizeIterator<Item = &'a u16>) -> String {
    let dots = if ports.len() > MOST { ", …" } else { "" };
    let all: Vec<String> = ports.take(MOST).map(u16::to_string).collect();
    format!("{}{dots}", all.join(", "))
}

fn named(name: &str, declared: &[Declared<'_>], said: &mut Said) -> Option<Chosen> {
    let found: Vec<&Declared<'_>> = declared.iter().filter(|d| d.name == Some(name)).collect();
    let Some(first) = found.first() else {
        said.wrong("clinch.dev/port", name, "the number, or the name that a container gives to a port");
        return None;
    };
    if found.iter().any(|other| other.port != first.port) {
        said.wrong("clinch.dev/port", name, "a number: several ports have this name");
    } else if first.protocol != Protocol::Tcp {
        said.wrong("clinch.dev/port", name, "a TCP port");
    } else {
        return Some((first.port, Some(place(first.member))));
    }
    None
}

/// The only container of the application.
fn only<'a>(seen: &Seen<'a>) -> Option<Member<'a>> {
    let mut apps = seen.applications().filter(|member| member.kind == Kind::App);
    let first = apps.next()?;
    apps.next().is_none().then_some(first)
}

fn place(member: Member<'_>) -> (Kind, usize) {
    (member.kind, member.index)
}

/// Every other declared port: open because it is excluded, or closed by the rules (WH-026: HTTP/3, too).
fn others_are_accounted_for(
    others: &[&Declared<'_>],
    guarded: &Guarded,
    settings: &Settings,
    said: &mut Said,
) {
    for found in others {
        let Declared { port, protocol, .. } = **found;
        let held = [guarded.port, guarded.upstream].contains(&port);
        if protocol == Protocol::Tcp && held || settings.excluded.has(port, protocol) {
            continue;
        }
        let (who, over) = (found.member.called(), protocol.called());
        match settings.mode {
            PodMode::Port if held && protocol == Protocol::Udp => said.fault(format!(
                "{who}: port {port}/udp is held by clinch; expected no UDP at the guarded number, or clinch.dev/mode redirect"
            )),
            PodMode::Port => said.fault(format!(
                "{who}: port {port}/{over} would stay open to everybody, round clinch; \
                 name it in clinch.dev/exclude-ports if it may, or take clinch.dev/mode redirect"
            )),
            PodMode::Redirect => said.warn(format!(
                "{who}: port {port}/{over} is closed from outside the pod unless clinch.dev/exclude-ports names it"
            )),
        }
    }
}

/// Ports that are listed.
const MOST: usize = 10;
/// Ports that may be excluded: they have to fit into rules and an environment variable.
const MOST_EXCLUDED: usize = 100;
