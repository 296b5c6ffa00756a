//! What the file means: every check that needs more than its shape.
//!
//! Each check takes the sound part of one section and gives its checked form, or reports why there is
//! none. Nothing here stops at the first fault.

pub(super) mod algorithms;
mod audit;
mod delivery;
mod dpop;
mod identity;
pub(super) mod injector;
mod introspection;
mod issuers;
mod limits;
mod listen;
mod pem;
mod replay;
mod revocation;
mod routes;
mod telemetry;
mod terminators;
mod tls;
mod transmitters;
mod upstream;

use super::file::{File, Mode, Span};
use super::problems::Fault;
use super::tree::{Node, Value, item, member};
use super::words::quoted;
use super::{Config, OBSERVES, Source, Written};
use crate::pop::Timestamp;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The checks under way: where keys stand, where files are, what time it is, what was found wrong.
pub(super) struct Checks<'a> {
    places: HashMap<String, Range<usize>>,
    base: &'a Path,
    now: Timestamp,
    faults: &'a mut Vec<Fault>,
    warnings: Vec<String>,
    /// The files that were read.
    files: Vec<Source>,
}

/// Checks everything; `None` if there was any fault.
pub(super) fn all(
    root: &Node,
    file: &File,
    base: &Path,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Option<Config> {
    let mut c = Checks::begin(root, base, now, faults);
    let listen = file.listen.as_ref().map(|l| listen::check(&mut c, l, &file.upstream));
    let upstream = upstream::check(&mut c, &file.upstream, file.listen.as_ref());
    let issuers = file.issuers.as_ref().map(|i| issuers::check(&mut c, i));
    let nonces = dpop::nonces(&mut c, &file.dpop.nonce);
    let dpop = dpop::check(&mut c, &file.dpop);
    let replay = replay::check(&mut c, &file.dpop.replay);
    let issued = file.issuers.as_deref().unwrap_or_default();
    let revocation = file.revocation.as_ref().map(|r| revocation::check(&mut c, r, issued));
    let tls = file.listen.as_ref().and_then(|l| l.tls.as_ref());
    let asked = tls.map(|t| t.client_certificate).filter(|_| !c.is_unsound(tls::CLIENT_CERTIFICATE));
    // Where a terminator tells, certificates come although none is asked for here.
    let told = file.listen.as_ref().is_some_and(|l| l.client_cert_from.is_some());
    let asked = asked.filter(|_| !told);
    let routes = file.routes.as_ref().map(|r| routes::check(&mut c, r, asked));
    if let (Some(routes), Some(_)) = (&file.routes, &file.issuers) {
        let names: Vec<&str> = issued.iter().filter_map(|one| one.issuer.as_deref()).collect();
        routes::issuers_exist(&mut c, routes, &names);
    }
    let identity = identity::check(&mut c, &file.identity);
    let telemetry = telemetry::check(&mut c, &file.telemetry);
    let audit = audit::check(&mut c, &file.audit);
    let admin = telemetry::admin(&mut c, &file.admin, file.listen.as_ref());
    if let Some(push) = revocation.as_ref().and_then(|r| r.as_ref()?.push.as_ref()) {
        let listen = listen.as_ref().and_then(|l| Some(l.as_ref()?.address));
        if tls.is_some_and(|tls| tls.spiffe.is_some()) {
            delivery::needs_files(&mut c);
        }
        delivery::apart(&mut c, push.address, &[("listen.address", listen), ("admin.address", admin)]);
    }
    if !c.faults.is_empty() {
        return None;
    }
    let observes = file.mode == Mode::Observe;
    if observes {
        c.warn("mode", OBSERVES);
    }
    Some(Config {
        observes,
        listen: listen??,
        upstream: upstream?,
        issuers: issuers??,
        dpop: dpop?,
        nonces: nonces?,
        replay: replay?,
        revocation: match revocation {
            Some(revocation) => Some(revocation?),
            None => None,
        },
        routes: routes?,
        identity,
        telemetry: telemetry?,
        audit: audit?,
        worker_threads: file.runtime.worker_threads.and_then(|threads| usize::try_from(threads).ok()),
        admin: admin?,
        pod: None,
        warnings: c.warnings,
        written: Written::default(),
        files: c.files,
    })
}

impl<'a> Checks<'a> {
    fn begin(root: &Node, base: &'a Path, now: Timestamp, faults: &'a mut Vec<Fault>) -> Checks<'a> {
        let mut places = HashMap::new();
        index(root, "", &mut places);
        Checks { places, base, now, faults, warnings: Vec::new(), files: Vec::new() }
    }
}

impl Checks<'_> {
    /// A fault at a key, or at the nearest key above it that is in the file.
    fn fault(&mut self, path: &str, message: impl Into<String>) -> Builder<'_> {
        let fault = Fault::new(path, self.place(path), message);
        Builder { faults: self.faults, fault: Some(fault) }
    }

    /// Something an operator should know and may well have meant.
    fn warn(&mut self, path: &str, message: &str) {
        self.warnings.push(format!("{path}: {message}"));
    }

    fn place(&self, path: &str) -> Range<usize> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place.clone();
            }
            let Some(end) = path.rfind(['.', '[']) else { return 0..0 };
            path = path.get(..end).unwrap_or("");
        }
    }

    /// Whether the key, or something below it, already has a fault: then its absence is no second one.
    fn is_unsound(&self, path: &str) -> bool {
        let below = |fault: &Fault| {
            fault.path().strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with(['.', '[']))
        };
        self.faults.iter().any(below)
    }

    /// A path of the file, resolved against it.
    fn resolve(&self, written: &str) -> PathBuf {
        self.base.join(written)
    }

    /// A duration within bounds, both included.
    fn within(&mut self, path: &str, span: Span, least: Duration, most: Duration) -> Option<Duration> {
        if (least..=most).contains(&span.0) {
            return Some(span.0);
        }
        self.fault(path, "out of range").found(quoted(&span.to_string())).expected(format!(
            "a duration from {} to {}",
            Span(least),
            Span(most)
        ));
        None
    }
}

/// Takes the rest of a fault and reports it when dropped.
struct Builder<'f> {
    faults: &'f mut Vec<Fault>,
    fault: Option<Fault>,
}
impl Builder<'_> {
    fn found(mut self, found: impl Into<String>) -> Self {
        self.fault = self.fault.take().map(|f| f.found(found));
        self
    }
    fn expected(mut self, expected: impl Into<String>) -> Self {
        self.fault = self.fault.take().map(|f| f.expected(expected));
        self
    }
}
impl Drop for Builder<'_> {
    fn drop(&mut self) {
        self.faults.extend(self.fault.take());
    }
}

fn index(node: &Node, path: &str, places: &mut HashMap<String, Range<usize>>) {
    if !path.is_empty() {
        places.insert(path.to_owned(), node.place.clone());
    }
    match &node.value {
        Value::Mapping(entries) => {
            for entry in entries {
                index(&entry.node, &member(path, &entry.key), places);
            }
        }
        Value::Sequence(items) => {
            for (at, node) in items.iter().enumerate() {
                index(node, &item(path, at), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Broken => {}
    }
}
