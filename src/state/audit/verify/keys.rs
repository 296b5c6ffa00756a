//! Whose signatures are believed: Ed25519 keys (RFC 8032), read from PEM.

use crate::pop::sha256;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::pem::{PemObject as _, SectionKind};

/// A public key that signs checkpoints.
#[derive(Clone, Debug)]
pub struct Key {
    raw: [u8; 32],
    name: String,
}

impl Key {
    /// From the 32 bytes of the key itself.
    #[must_use]
    pub fn new(raw: [u8; 32]) -> Key {
        let name = sha256::text(&sha256::of(&raw));
        Key { raw, name: String::from_utf8_lossy(&name).into_owned() }
    }

    /// Of whoever signs.
    pub(in crate::state::audit) fn of_pair(pair: &Ed25519KeyPair) -> Key {
        let mut raw = [0; 32];
        raw.copy_from_slice(pair.public_key().as_ref());
        Key::new(raw)
    }

    /// Reads a public key (SPKI, RFC 8410) in PEM, or takes it from a private one (PKCS #8).
    ///
    /// # Errors
    /// It is neither. The message does not quote it.
    pub fn read(pem: &[u8]) -> Result<Key, &'static str> {
        const NONE: &str = "is not an Ed25519 key in PEM: neither a public one (`-----BEGIN PUBLIC KEY-----`) \
                            nor an unencrypted private one in PKCS#8 (`-----BEGIN PRIVATE KEY-----`)";
        let section = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).next().and_then(Result::ok);
        let Some((kind, der)) = section else { return Err(NONE) };
        let key = if kind == SectionKind::PublicKey {
            der.strip_prefix(SPKI).and_then(|raw| raw.try_into().ok()).map(Key::new)
        } else if kind == SectionKind::PrivateKey {
            Ed25519KeyPair::from_pkcs8(&der).ok().as_ref().map(Key::of_pair)
        } else {
            None
        };
        key.ok_or(NONE)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn raw(&self) -> &[u8; 32] {
        &self.raw
    }

    /// What checkpoints call it: base64url of the SHA-256 of its 32 bytes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this key made the signature.
    pub(in crate::state::audit) fn made(&self, signature: &[u8; 64], of: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.raw).verify(of, signature).is_ok()
    }
}

/// The public key of 32 bytes as SPKI in DER (RFC 8410 section 4).
#[must_use]
pub fn spki(raw: &[u8; 32]) -> Vec<u8> {
    [SPKI, raw].concat()
}

/// What comes before the 32 bytes.
const SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn a_key_is_the_same_from_either_half() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let raw: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let key = Key::new(raw);
        let read = |label, der: &[u8]| Key::read(pem(label, der).as_bytes()).map(|key| key.name().to_owned());
        assert_eq!(read("PUBLIC KEY", &spki(&raw)).unwrap(), key.name());
        assert_eq!(read("PRIVATE KEY", pair.to_pkcs8().unwrap().as_ref()).unwrap(), key.name());
        assert_eq!(read("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()).unwrap(), key.name());
        assert!(read("PUBLIC KEY", &raw).is_err() && read("CERTIFICATE", &spki(&raw)).is_err());
        assert!(Key::read(b"").is_err() && Key::read(b"secret").unwrap_err().len() > 20);
        let signature: [u8; 64] = pair.sign(b"text").as_ref().try_into().unwrap();
        assert!(key.made(&signature, b"text") && !key.made(&signature, b"test"));
    }
}
