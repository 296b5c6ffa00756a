//! The injector's file: addresses, certificates, the API server, the template.

mod template;
mod tls;

use super::{Checks, listen, telemetry};
use crate::config::file::InjectorFile;
use crate::config::problems::Fault;
use crate::config::template::Template;
use crate::config::tree::Node;
use crate::config::words::quoted;
use crate::config::{ApiServer, Injector, InjectorListen, Telemetry};
use crate::pop::Timestamp;
use std::path::Path;
use std::time::Duration;

/// Checks everything; `None` if there was any fault.
pub(in crate::config) fn all(
    root: &Node,
    file: &InjectorFile,
    base: &Path,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Option<Injector> {
    let mut c = Checks::begin(root, base, now, faults);
    let listen = file.listen.as_ref().map(|written| {
        let address = listen::address(&mut c, "listen.address", &written.address);
        let own = written.tls.as_ref().and_then(|tls| tls::own(&mut c, tls));
        let clients = written.tls.as_ref().and_then(|tls| tls::clients(&mut c, tls));
        let leave = c.within("listen.leave", written.leave, Duration::ZERO, LONGEST);
        let drain = c.within("listen.drain", written.drain, Duration::ZERO, LONGEST);
        let (client_ca, client_names) = clients?;
        Some(InjectorListen {
            address: address?,
            tls: own?,
            client_ca,
            client_names,
            connections: usize::try_from(written.connections).ok()?,
            leave: leave?,
            drain: drain?,
        })
    });
    let admin = listen::address(&mut c, "admin.address", &file.admin.address);
    if let (Some(Some(listen)), Some(admin)) = (&listen, admin)
        && listen.address == admin
        && admin.port() != 0
    {
        c.fault("admin.address", "this is the address reviews come in on")
            .found(quoted(&file.admin.address))
            .expected("an address of its own, such as 0.0.0.0:9902");
    }
    template::check(&mut c, &file.template);
    if let Some(namespace) = &file.namespace {
        label(&mut c, "namespace", namespace);
    }
    let kubernetes = api_server(&mut c, file);
    if !c.faults.is_empty() {
        return None;
    }
    Some(Injector {
        listen: listen??,
        template: file.template.clone(),
        namespace: file.namespace.clone(),
        kubernetes: kubernetes?,
        admin: admin?,
        telemetry: Telemetry {
            format: telemetry::format(file.log.format),
            level: telemetry::level(file.log.level),
            ..Telemetry::default()
        },
        warnings: c.warnings,
        files: c.files,
    })
}

/// Checks the template and the namespace alone, where the files that it names are not at hand.
pub(in crate::config) fn template(
    root: &Node,
    file: &InjectorFile,
    base: &Path,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Option<(Template, Option<String>)> {
    let mut c = Checks::begin(root, base, now, faults);
    template::check(&mut c, &file.template);
    if let Some(namespace) = &file.namespace {
        label(&mut c, "namespace", namespace);
    }
    c.faults.is_empty().then(|| (file.template.clone(), file.namespace.clone()))
}

/// Files of the API server are read when it is asked: they are renewed more often than this file.
fn api_server(c: &mut Checks<'_>, file: &InjectorFile) -> Option<ApiServer> {
    let written = &file.kubernetes;
    let server = match &written.server {
        None => None,
        Some(text) => {
            let uri = text.parse::<http::Uri>().ok().filter(|uri| {
                let bare = uri.path() == "/" && uri.query().is_none();
                bare && uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty())
            });
            if uri.is_none() {
                c.fault("kubernetes.server", "this is not an API server")
                    .found(quoted(text))
                    .expected("https://HOST or https://HOST:PORT");
            }
            Some(uri?)
        }
    };
    Some(ApiServer {
        server,
        token_file: written.token_file.as_ref().map(|file| c.resolve(file)),
        ca: written.ca.as_ref().map(|file| c.resolve(file)),
    })
}

/// A DNS label, as namespaces and Services are called (RFC 1123).
fn label(c: &mut Checks<'_>, path: &str, written: &str) {
    if !is_label(written) || written.len() > 63 {
        c.fault(path, "Kubernetes calls nothing like this")
            .found(quoted(written))
            .expected("up to 63 lower-case letters, digits and `-`, such as `clinch-system`");
    }
}

/// A DNS subdomain, as most objects are called.
fn name(c: &mut Checks<'_>, path: &str, written: &str) {
    if !written.split('.').all(is_label) || written.len() > 253 {
        c.fault(path, "Kubernetes calls nothing like this")
            .found(quoted(written))
            .expected("lower-case letters, digits, `-` and `.`, such as `clinch-injector`");
    }
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

const LONGEST: Duration = Duration::from_secs(3600);
