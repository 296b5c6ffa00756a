//! The caller's certificate in the word of a TLS terminator in front of us: `Client-Cert` (RFC 9440).
//!
//! A header proves nothing by itself, so it is read only from a terminator that the operator named (section 4,
//! CC-06, MTLS-09): by address, by its own certificate, or by both. From such a peer the header is all there
//! is: the terminator's own certificate is never taken for a caller's. A terminator must remove what its
//! clients send under this name (section 2.4); that is its operator's part. It tells nothing of how it
//! checked the chain, so the names in the certificate are not told on. Every header of this kind is removed
//! before the service sees the request, whoever sent it (`serve::fields`).

use super::mtls::{CertificateThumbprint, ClientCertificate, Names};
use super::{Denial, Timestamp};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::IpAddr;

/// The terminators whose word counts. Where both lists have entries, both must hold.
#[derive(Clone, Debug, Default)]
pub struct Terminators {
    /// Where they connect from.
    pub networks: Vec<IpNet>,
    /// The certificates they show us themselves.
    pub certificates: Vec<CertificateThumbprint>,
}

impl Terminators {
    /// Whether a peer is one of them. `own`: the certificate that it showed in the handshake.
    pub fn include(&self, address: IpAddr, own: Option<&ClientCertificate>, now: Timestamp) -> bool {
        let address = address.to_canonical();
        let here = self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address));
        let known = self.certificates.is_empty()
            || own.is_some_and(|own| own.still_valid(now) && self.certificates.contains(&own.thumbprint));
        let anybody = self.networks.is_empty() && self.certificates.is_empty();
        here && known && !anybody
    }
}

/// The one `Client-Cert` of a request, if there is one (CC-01, CC-02). Two of them, or a chain that belongs to
/// none, leave doubts about who is meant. The chain's certificates are looked at no further than that they are
/// a list of byte sequences: whether they lead anywhere was the terminator's to check.
pub fn shown(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Denial> {
    let mut values = headers.get_all(CLIENT_CERT).iter();
    let first = values.next();
    let mut chain =
        headers.get_all(CLIENT_CERT_CHAIN).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    let ambiguous = values.next().is_some();
    let orphaned = first.is_none() && headers.contains_key(CLIENT_CERT_CHAIN);
    if ambiguous || orphaned || chain.any(|member| byte_sequence(member).is_none()) {
        return Err(Denial::RequestMalformed);
    }
    Ok(first)
}

/// The certificate in a `Client-Cert` header: one byte sequence (RFC 8941 section 3.3.5) of one DER certificate.
pub fn read(value: &HeaderValue) -> Result<ClientCertificate, Denial> {
    let bytes = value.as_bytes();
    let der = (bytes.len() <= LONGEST).then(|| byte_sequence(bytes)).flatten();
    der.and_then(|der| ClientCertificate::read(&der, Names::Unvouched)).ok_or(Denial::RequestMalformed)
}

/// RFC 8941 section 4.2.7: base64 between colons. Padding may be absent and its bits may be anything, for some
/// encoders know no better; nothing else may differ, and there are no parameters (RFC 9440 section 2.2).
fn byte_sequence(text: &[u8]) -> Option<Vec<u8>> {
    let inner = trim(text).strip_prefix(b":")?.strip_suffix(b":")?;
    LENIENT.decode(inner).ok().filter(|bytes| !bytes.is_empty())
}

/// Optional white space around a list's members (RFC 8941 section 4.2.1).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest header that is read, in bytes: four times a large certificate.
const LONGEST: usize = 16 * 1024;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

#[cfg(test)]
mod tests;
