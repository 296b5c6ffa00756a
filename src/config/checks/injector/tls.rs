//! `listen.tls` of the injector.

use super::super::tls::{CERTIFICATE, CLIENT_CA, PRIVATE_KEY, own_files};
use super::super::{Checks, pem};
use super::{label, name};
use crate::config::file::{InjectorTls as Written, SelfManaged as WrittenSelfManaged};
use crate::config::tree::item;
use crate::config::words::quoted;
use crate::config::{InjectorTls, SelfManaged};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::time::Duration;

/// Our own certificate: from files, or made by ourselves.
pub(super) fn own(c: &mut Checks<'_>, written: &Written) -> Option<InjectorTls> {
    let files = [(CERTIFICATE, &written.certificate), (PRIVATE_KEY, &written.private_key)];
    if let Some(managed) = &written.self_managed {
        for (path, _) in files.iter().filter(|(_, there)| there.is_some()) {
            c.fault(path, "the certificate can't come from a file and be made here")
                .found("`self_managed`")
                .expected("either of the two");
        }
        return self_managed(c, managed).map(InjectorTls::SelfManaged);
    }
    let expected = "a PEM file, or `self_managed: {}` for a certificate made here";
    let (certificate, private_key) = own_files(c, &written.certificate, &written.private_key, expected);
    Some(InjectorTls::Files { certificate: certificate?, private_key: private_key? })
}

fn self_managed(c: &mut Checks<'_>, written: &WrittenSelfManaged) -> Option<SelfManaged> {
    let at = |key: &str| format!("{SELF_MANAGED}.{key}");
    name(c, &at("secret"), &written.secret);
    label(c, &at("service"), &written.service);
    for (index, webhook) in written.webhooks.iter().enumerate() {
        name(c, &item(&at("webhooks"), index), webhook);
    }
    let lifetime = c.within(&at("lifetime"), written.lifetime, HOUR, YEAR);
    let authority_lifetime = c.within(&at("authority_lifetime"), written.authority_lifetime, HOUR, YEAR * 10);
    let spread = c.within(&at("spread"), written.spread, SECOND, HOUR);
    let check = c.within(&at("check"), written.check, SECOND, SECOND * 60);
    if written.authority_lifetime.0 < written.lifetime.0 {
        c.fault(&at("authority_lifetime"), "an authority can't end before what it vouches for")
            .found(quoted(&written.authority_lifetime.to_string()))
            .expected(format!("at least {}, which is `lifetime`", written.lifetime));
    }
    Some(SelfManaged {
        secret: written.secret.clone(),
        service: written.service.clone(),
        webhooks: written.webhooks.clone(),
        lifetime: lifetime?,
        authority_lifetime: authority_lifetime?,
        spread: spread?,
        check: check?,
    })
}

/// Whose certificates count, and their names (WH-019).
#[allow(clippy::type_complexity, reason = "two keys that belong together")]
pub(super) fn clients(
    c: &mut Checks<'_>,
    written: &Written,
) -> Option<(Option<Vec<CertificateDer<'static>>>, Vec<String>)> {
    let Some(file) = &written.client_ca else {
        if !written.client_names.is_empty() {
            c.fault("listen.tls.client_names", "names of certificates that nobody is asked for")
                .found("no `client_ca`")
                .expected("`client_ca`, or no `client_names`");
        }
        return Some((None, Vec::new()));
    };
    let authorities = pem::certificates(c, CLIENT_CA, file)?;
    if authorities.iter().any(|der| RootCertStore::empty().add(der.clone()).is_err()) {
        c.fault(CLIENT_CA, "a certificate in this file can't be a trust anchor").expected("CA certificates");
    }
    if written.client_names.is_empty() {
        c.warn(CLIENT_CA, "whoever has a certificate of these authorities may ask: `client_names` says who");
    }
    Some((Some(authorities), written.client_names.clone()))
}

const SELF_MANAGED: &str = "listen.tls.self_managed";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(366 * 86_400);
