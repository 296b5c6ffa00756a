//! Reading the files that the configuration names: certificates, keys and revocation lists in PEM.
//!
//! No content of any file ever reaches a message.

use super::Checks;
use crate::config::load::why_unreadable;
use crate::config::words::quoted;
use crate::config::{Look, Source};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::io::Read;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The bytes of a file that a key names.
pub(super) fn read(c: &mut Checks<'_>, path: &str, written: &str) -> Option<Vec<u8>> {
    let file = c.resolve(written);
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&file);
    let look = opened.as_ref().ok().and_then(|file| Some(Look::of(&file.metadata().ok()?)));
    c.files.push(Source { path: file.clone(), look });
    match opened.and_then(|f| f.take(LARGEST + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > LARGEST => {
            c.fault(path, "the file is too large").found("more than 64 MiB").expected("a smaller one");
            None
        }
        Ok(_) => Some(bytes),
        Err(error) => {
            let why = why_unreadable(&error);
            c.fault(path, format!("this file can't be read: {why}"))
                .found(quoted(&file.display().to_string()))
                .expected("a readable file; relative paths resolve against this configuration");
            None
        }
    }
}

/// Every certificate of a PEM file; `None` unless there is one and all of them are sound.
pub(super) fn certificates(
    c: &mut Checks<'_>,
    path: &str,
    written: &str,
) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = read(c, path, written)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let Ok(certificates) = read else {
        c.fault(path, "this file is damaged").found("PEM that can't be decoded").expected("PEM certificates");
        return None;
    };
    if certificates.is_empty() {
        let found = contents(&bytes);
        c.fault(path, "there is no certificate in this file").found(found).expected("PEM certificates");
        return None;
    }
    for (at, der) in certificates.iter().enumerate() {
        let sound = matches!(X509Certificate::from_der(der), Ok((rest, _)) if rest.is_empty());
        if !sound {
            let found = format!("something else as certificate {} of {}", at + 1, certificates.len());
            c.fault(path, "this file is damaged").found(found).expected("X.509 certificates");
            return None;
        }
    }
    Some(certificates)
}

/// The private key of a PEM file.
pub(super) fn private_key(c: &mut Checks<'_>, path: &str, written: &str) -> Option<PrivateKeyDer<'static>> {
    let bytes = read(c, path, written)?;
    warn_if_open_to_all(c, path, written);
    if let Ok(key) = PrivateKeyDer::from_pem_slice(&bytes) {
        return Some(key);
    }
    c.fault(path, "there is no private key in this file")
        .found(contents(&bytes))
        .expected("a PEM private key, not encrypted: PKCS #8, SEC 1 or PKCS #1");
    None
}

/// The revocation lists of a PEM file; `None` unless there is one.
pub(super) fn revocation_lists(
    c: &mut Checks<'_>,
    path: &str,
    written: &str,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let bytes = read(c, path, written)?;
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let all = lists.len();
    let sound: Vec<_> = lists
        .into_iter()
        .flatten()
        .filter(|der| x509_parser::parse_x509_crl(der).is_ok_and(|(rest, _)| rest.is_empty()))
        .collect();
    if all > 0 && sound.len() == all {
        return Some(sound);
    }
    let message = if all == 0 { "there is no revocation list in this file" } else { "this file is damaged" };
    c.fault(path, message).found(contents(&bytes)).expected("PEM revocation lists (X509 CRL)");
    None
}

/// What kinds of PEM sections there are, never what is in them.
pub(super) fn contents(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".to_owned();
    }
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes);
    let kinds: Vec<&str> = sections.map_while(Result::ok).map(|(kind, _)| name(kind)).collect();
    match kinds.first() {
        Some(first) if kinds.len() == 1 => format!("a {first}"),
        Some(first) => format!("{} PEM sections, the first a {first}", kinds.len()),
        None if bytes.windows(MARK.len()).any(|w| w == MARK) => "PEM of another kind".to_owned(),
        None => "no PEM".to_owned(),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enumeration is not ours and not exhaustive")]
fn name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Certificate => "certificate",
        SectionKind::PublicKey => "public key",
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => "private key",
        SectionKind::Crl => "revocation list",
        SectionKind::Csr => "certificate request",
        _ => "section of another kind",
    }
}

#[cfg(unix)]
pub(super) fn warn_if_open_to_all(c: &mut Checks<'_>, path: &str, written: &str) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(c.resolve(written)).map_or(0, |m| m.permissions().mode());
    if mode & 0o004 != 0 {
        c.warn(path, "this secret can be read by every user of this machine");
    }
}
#[cfg(not(unix))]
pub(super) fn warn_if_open_to_all(_: &mut Checks<'_>, _: &str, _: &str) {}

const MARK: &[u8] = b"-----BEGIN ";
/// Room for the largest revocation lists in use, and an end to reading `/dev/zero`.
const LARGEST: u64 = 64 << 20;
