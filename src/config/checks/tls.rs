//! `listen.tls`: the certificate, its key and the clock must agree, and so must what is asked of clients.

mod spiffe;

use super::{Checks, pem};
use crate::config::file::{ClientCertificate, ClientChain, Tls as Written};
use crate::config::tree::item;
use crate::config::{self, ClientCertificates, Own, Tls};
use crate::pop::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// Loads and checks everything that TLS needs: there is no listener without it (BEAR-10).
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Tls> {
    if let Some(workload) = &written.spiffe {
        let own = spiffe::check(c, written, workload)?;
        return Some(Tls {
            own: Own::Spiffe(own),
            client_certificate: asked(written),
            client_chain: config::ClientChain::Verified,
            client_ca: Vec::new(),
            client_crl: Vec::new(),
        });
    }
    let (certificate, private_key) =
        own_files(c, &written.certificate, &written.private_key, "a PEM file, or `listen.tls.spiffe`");
    let client_ca = authorities(c, CLIENT_CA, &written.client_ca);
    let client_crl = lists(c, &written.client_crl);
    if !c.is_unsound(CLIENT_CERTIFICATE) && !c.is_unsound(CLIENT_CHAIN) {
        agree(c, written);
    }
    if let (Some(roots), Some(lists)) = (&client_ca, &client_crl) {
        verifiable(c, roots, lists);
    }
    Some(Tls {
        own: Own::Files { certificate: certificate?, private_key: private_key? },
        client_certificate: asked(written),
        client_chain: match written.client_chain {
            ClientChain::Verified => config::ClientChain::Verified,
            ClientChain::Unchecked => config::ClientChain::Unchecked,
        },
        client_ca: client_ca?,
        client_crl: client_crl?,
    })
}

fn asked(written: &Written) -> ClientCertificates {
    match written.client_certificate {
        ClientCertificate::Off => ClientCertificates::Off,
        ClientCertificate::Optional => ClientCertificates::Optional,
        ClientCertificate::Required => ClientCertificates::Required,
    }
}

/// The certificate and its key, which must go together. `expected` where one is missing.
pub(super) fn own_files(
    c: &mut Checks<'_>,
    certificate: &Option<String>,
    private_key: &Option<String>,
    expected: &str,
) -> (Option<Vec<CertificateDer<'static>>>, Option<PrivateKeyDer<'static>>) {
    for (path, there) in [(CERTIFICATE, certificate), (PRIVATE_KEY, private_key)] {
        if there.is_none() && !c.is_unsound(path) {
            let key = path.rsplit('.').next().unwrap_or(path);
            c.fault(path, format!("`{key}` is missing")).expected(expected);
        }
    }
    let certificate = certificate.as_ref().and_then(|w| pem::certificates(c, CERTIFICATE, w));
    let private_key = private_key.as_ref().and_then(|w| pem::private_key(c, PRIVATE_KEY, w));
    if let Some(chain) = &certificate {
        valid_now(c, CERTIFICATE, chain);
    }
    if let (Some(chain), Some(key)) = (&certificate, &private_key) {
        belong_together(c, chain, key);
    }
    (certificate, private_key)
}

/// Every certificate of the chain counts: clients check the intermediate ones too.
fn valid_now(c: &mut Checks<'_>, path: &str, chain: &[CertificateDer<'_>]) {
    for (at, der) in chain.iter().enumerate() {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { continue };
        let validity = certificate.validity();
        let which = if at == 0 {
            "the certificate".to_owned()
        } else {
            format!("certificate {} of the chain", at + 1)
        };
        let now = c.now.as_secs();
        if now > validity.not_after.timestamp() {
            c.fault(path, format!("{which} has expired"))
                .found(format!("valid until {}", date(validity.not_after)))
                .expected("a certificate that is valid now");
        } else if now < validity.not_before.timestamp() {
            c.fault(path, format!("{which} is not valid yet"))
                .found(format!("valid from {}", date(validity.not_before)))
                .expected("a certificate that is valid now");
        } else if at == 0 && validity.not_after.timestamp() - now < SOON {
            c.warn(path, &format!("{which} expires on {}", date(validity.not_after)));
        }
    }
}

fn belong_together(c: &mut Checks<'_>, chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) {
    let Ok(signer) = aws_lc_rs::sign::any_supported_type(key) else {
        c.fault(PRIVATE_KEY, "this private key can't be used")
            .found("a kind of key that TLS does not use, or a damaged one")
            .expected("an ECDSA (P-256, P-384, P-521), Ed25519 or RSA key");
        return;
    };
    if CertifiedKey::new(chain.to_vec(), signer).keys_match().is_err() {
        c.fault(PRIVATE_KEY, "the private key does not belong to the certificate")
            .found("the key of another certificate")
            .expected("the key of the first certificate in `listen.tls.certificate`");
    }
}

/// The certificates of files of authorities at a key.
pub(super) fn authorities(
    c: &mut Checks<'_>,
    key: &str,
    written: &[String],
) -> Option<Vec<CertificateDer<'static>>> {
    let mut all = Some(Vec::new());
    for (at, file) in written.iter().enumerate() {
        let path = item(key, at);
        let Some(certificates) = pem::certificates(c, &path, file) else {
            all = None;
            continue;
        };
        for der in &certificates {
            if RootCertStore::empty().add(der.clone()).is_err() {
                c.fault(&path, "a certificate in this file can't be a trust anchor")
                    .expected("CA certificates");
                all = None;
            }
            let ended = X509Certificate::from_der(der).map(|(_, ca)| ca.validity().not_after.timestamp());
            if ended.is_ok_and(|end| end < c.now.as_secs()) {
                c.warn(&path, "an authority in this file has expired");
            }
        }
        if let Some(all) = &mut all {
            all.extend(certificates);
        }
    }
    all
}

fn lists(c: &mut Checks<'_>, written: &[String]) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let mut all = Some(Vec::new());
    for (at, file) in written.iter().enumerate() {
        let path = item(CLIENT_CRL, at);
        let read = pem::revocation_lists(c, &path, file);
        for der in read.iter().flatten() {
            let next = x509_parser::parse_x509_crl(der).ok().and_then(|(_, list)| list.next_update());
            if next.is_some_and(|next| next.timestamp() < c.now.as_secs()) {
                c.warn(&path, "a revocation list in this file is past its next update");
            }
        }
        match (&mut all, read) {
            (Some(all), Some(read)) => all.extend(read),
            (_, None) => all = None,
            (None, Some(_)) => {}
        }
    }
    all
}

/// What is asked of clients and what it is checked with go together.
fn agree(c: &mut Checks<'_>, written: &Written) {
    let off = written.client_certificate == ClientCertificate::Off;
    match written.client_chain {
        ClientChain::Unchecked if off => {
            c.fault(CLIENT_CHAIN, "a rule for client certificates that nobody is asked for")
                .found("`client_certificate: off`")
                .expected("`client_certificate: optional` or `required`, or no `client_chain`");
        }
        ClientChain::Unchecked => {
            needless(c, written, "`client_chain: unchecked`", "`client_chain: verified`");
            c.warn(CLIENT_CHAIN, UNCHECKED);
        }
        ClientChain::Verified if off => {
            needless(c, written, "`client_certificate: off`", "`client_certificate: optional` or `required`");
        }
        ClientChain::Verified if written.client_ca.is_empty() && !c.is_unsound(CLIENT_CA) => {
            c.fault(CLIENT_CERTIFICATE, "client certificates can't be checked without `client_ca`")
                .found("no `client_ca`")
                .expected("`client_ca: [FILE]`");
        }
        ClientChain::Verified => {}
    }
}

/// Authorities and lists that would never be looked at: their author believes something else.
fn needless(c: &mut Checks<'_>, written: &Written, found: &str, instead: &str) {
    let why = if written.client_certificate == ClientCertificate::Off {
        "that nobody is asked for"
    } else {
        "that nobody checks"
    };
    for (path, files, what) in [
        (CLIENT_CA, &written.client_ca, "authorities"),
        (CLIENT_CRL, &written.client_crl, "revocation lists"),
    ] {
        if !files.is_empty() {
            let key = path.rsplit('.').next().unwrap_or(path);
            c.fault(path, format!("{what} for client certificates {why}"))
                .found(found)
                .expected(format!("{instead}, or no `{key}`"));
        }
    }
}

/// The last word is with the verifier that will judge the clients.
fn verifiable(
    c: &mut Checks<'_>,
    roots: &[CertificateDer<'static>],
    lists: &[CertificateRevocationListDer<'static>],
) {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    if lists.is_empty() || store.is_empty() {
        return;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
        .with_crls(lists.iter().cloned())
        .build();
    if built.is_err() {
        c.fault(CLIENT_CRL, "these revocation lists can't be used")
            .expected("X.509 v2 revocation lists (RFC 5280 section 5)");
    }
}

/// The UTC date, as operators write it.
fn date(time: ASN1Time) -> String {
    let at = Timestamp::from_secs(time.timestamp()).as_millis();
    let since = std::time::Duration::from_millis(u64::try_from(at).unwrap_or(0));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

pub(super) const CERTIFICATE: &str = "listen.tls.certificate";
pub(super) const PRIVATE_KEY: &str = "listen.tls.private_key";
pub(super) const CLIENT_CERTIFICATE: &str = "listen.tls.client_certificate";
const CLIENT_CHAIN: &str = "listen.tls.client_chain";
pub(super) const CLIENT_CA: &str = "listen.tls.client_ca";
const CLIENT_CRL: &str = "listen.tls.client_crl";
const UNCHECKED: &str = "no authority vouches for client certificates: anyone can show one of their own making. It proves \
                         possession for a token bound to it, and says nothing else about who calls";
/// Two days, in seconds: by then somebody should have renewed it.
const SOON: i64 = 2 * 86_400;
