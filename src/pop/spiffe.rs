//! SPIFFE IDs: what workloads are called (SPIFFE-ID section 2), what certificates say so (X509-SVID sections 2 to 4), and which of
//! them a route admits.
//!
//! Read strictly: an ID is written in one way, so two that differ are two. Whether anybody vouches for a certificate is
//! not decided here.

use std::fmt;
use std::str::FromStr;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

/// The SPIFFE ID of a workload: `spiffe://`, a trust domain and perhaps a path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId(String);

/// Which IDs a route admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpiffePattern {
    /// This one.
    Exact(SpiffeId),
    /// Every one below this path, `spiffe://td/path/*`, by whole segments. What is kept ends with the slash.
    Below(String),
}

impl SpiffeId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its trust domain.
    pub fn trust_domain(&self) -> &str {
        let rest = self.0.get(SCHEME.len()..).unwrap_or_default();
        rest.split('/').next().unwrap_or_default()
    }

    /// The ID in a certificate that is an X509-SVID: exactly one URI among its names, no authority over other
    /// certificates, and a key that is there for signatures.
    pub fn of_svid(certificate: &X509Certificate<'_>) -> Option<SpiffeId> {
        let alternatives = certificate.subject_alternative_name().ok()??;
        let mut uris = alternatives.value.general_names.iter().filter_map(uri);
        let id = match (uris.next(), uris.next()) {
            (Some(only), None) => only.parse().ok()?,
            _ => return None,
        };
        if certificate.basic_constraints().ok()?.is_some_and(|found| found.value.ca) {
            return None;
        }
        let usage = certificate.key_usage().ok()??.value;
        let signs_only = usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign();
        let readable = certificate
            .extensions()
            .iter()
            .all(|extension| !matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }));
        (signs_only && readable).then_some(id)
    }
}

impl FromStr for SpiffeId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SpiffeId, &'static str> {
        let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with spiffe://")?;
        let mut segments = rest.split('/');
        if !segments.next().is_some_and(is_trust_domain) {
            return Err("its trust domain is none: a-z, 0-9, `.`, `-` and `_`, at most 255 of them");
        }
        if !segments.all(is_segment) {
            return Err("its path is none: segments of a-z, A-Z, 0-9, `.`, `-` and `_`, no slash at the end");
        }
        if text.len() > LONGEST { Err("it is longer than 2048 bytes") } else { Ok(SpiffeId(text.to_owned())) }
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SpiffePattern {
    /// Whether an ID is meant.
    pub fn admits(&self, id: &SpiffeId) -> bool {
        match self {
            SpiffePattern::Exact(one) => one == id,
            SpiffePattern::Below(path) => id.0.len() > path.len() && id.0.starts_with(path.as_str()),
        }
    }
}

impl FromStr for SpiffePattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SpiffePattern, &'static str> {
        match text.strip_suffix("/*") {
            Some(above) => above.parse().map(|SpiffeId(above)| SpiffePattern::Below(above + "/")),
            None => text.parse().map(SpiffePattern::Exact),
        }
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpiffePattern::Exact(id) => f.write_str(id.as_str()),
            SpiffePattern::Below(path) => write!(f, "{path}*"),
        }
    }
}

/// Whether this is the name of a trust domain.
pub fn is_trust_domain(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    (1..=255).contains(&name.len()) && name.bytes().all(sound)
}

fn is_segment(segment: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !["", ".", ".."].contains(&segment) && segment.bytes().all(sound)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the enumeration is not ours")]
fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

const SCHEME: &str = "spiffe://";
const LONGEST: usize = 2048;

#[cfg(test)]
mod tests;
