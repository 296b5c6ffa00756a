//! `listen.tls.spiffe`: where the Workload API is, and whose workloads are accepted. What it says is not known yet.

use crate::config::Spiffe;
use crate::config::checks::Checks;
use crate::config::file::{ClientChain, Spiffe as Written, Tls};
use crate::config::tree::item;
use crate::config::words::quoted;
use crate::pop::spiffe::is_trust_domain;

/// The API; `None` if something about it is at fault.
pub(super) fn check(c: &mut Checks<'_>, tls: &Tls, written: &Written) -> Option<Spiffe> {
    for (key, there) in [
        ("certificate", tls.certificate.is_some()),
        ("private_key", tls.private_key.is_some()),
        ("client_ca", !tls.client_ca.is_empty()),
        ("client_crl", !tls.client_crl.is_empty()),
        ("client_chain", tls.client_chain == ClientChain::Unchecked),
    ] {
        if there {
            c.fault(&format!("listen.tls.{key}"), format!("`{key}` beside `spiffe`"))
                .found("two sources of what TLS needs")
                .expected("one of the two: the Workload API brings certificate, key and authorities");
        }
    }
    for (at, name) in written.trust_domains.iter().enumerate() {
        let path = item(TRUST_DOMAINS, at);
        if !is_trust_domain(name) {
            c.fault(&path, "this is not the name of a trust domain")
                .found(quoted(name))
                .expected("a name such as prod.example, without spiffe:// and path");
        } else if written.trust_domains[..at].contains(name) {
            c.fault(&path, "this trust domain is in the list twice")
                .found(quoted(name))
                .expected("each once");
        }
    }
    let endpoint = written.endpoint.as_deref()?;
    let socket = endpoint.strip_prefix("unix://").filter(|path| path.starts_with('/') && path.len() > 1);
    if socket.is_none() {
        c.fault(ENDPOINT, "this is not the socket of a Workload API")
            .found(quoted(endpoint))
            .expected("unix:// and an absolute path, such as unix:///run/spire/agent.sock");
    }
    let endpoint = socket.map(|_| endpoint.to_owned())?;
    (!c.is_unsound(TRUST_DOMAINS)).then(|| Spiffe { endpoint, trust_domains: written.trust_domains.clone() })
}

const ENDPOINT: &str = "listen.tls.spiffe.endpoint";
const TRUST_DOMAINS: &str = "listen.tls.spiffe.trust_domains";
