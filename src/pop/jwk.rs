//! Public keys: which are valid, what they are called, and whether they signed something.
//!
//! A [`PublicJwk`] exists only when it is valid (RFC 7517, RFC 7518 section 6, RFC 8037): right
//! members, canonical encoding, a point on the curve, an RSA modulus of sane size, no private part.
//! Its thumbprint (RFC 7638) is made from the canonical bytes, so one key has one name. The keys that
//! an issuer publishes are in [`key_set`](super::key_set).

use super::algorithm::Algorithm;
use super::jose::{Object, base64url_decode};
use super::sha256;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use std::fmt;

/// A valid public key.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicJwk {
    /// A point on P-256, uncompressed: `04 ‖ x ‖ y`.
    P256([u8; 65]),
    /// A point on P-384, in the same form.
    P384([u8; 97]),
    /// An Ed25519 key that is not of small order.
    Ed25519([u8; 32]),
    /// An RSA key of 2048 to 4096 bits, big-endian without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
}

/// Why a JWK is not a [`PublicJwk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwkFault {
    /// It has private members, so it may be known to anyone (RFC 9449 section 4.3, check 7).
    Private,
    /// It is malformed, of an unknown kind, or too weak.
    Invalid,
}

impl PublicJwk {
    /// Reads a JWK. Members that do not belong to the key (`kid`, `use`, …) are the caller's matter. A private part
    /// is an answer in itself (DPOP-08); points and lengths are checked before anything is computed with them
    /// (BCP-05).
    pub fn parse(jwk: &Object<'_>) -> Result<PublicJwk, JwkFault> {
        if has_private_part(jwk) {
            return Err(JwkFault::Private);
        }
        let member = |name: &str| jwk.get(name).and_then(|value| value.as_str()).ok_or(JwkFault::Invalid);
        let key = match (member("kty")?, jwk.get("crv").and_then(|crv| crv.as_str())) {
            ("EC", Some("P-256")) => p256_point(member("x")?, member("y")?),
            ("EC", Some("P-384")) => p384_point(member("x")?, member("y")?),
            ("OKP", Some("Ed25519")) => ed25519_point(member("x")?),
            ("RSA", None) if !jwk.has("crv") => rsa_key(member("n")?, member("e")?),
            _ => None,
        };
        key.ok_or(JwkFault::Invalid)
    }

    /// Whether the key is made for this algorithm (RFC 7518 section 3.1): the curve too (JWS-07).
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Es256 => matches!(self, PublicJwk::P256(_)),
            Algorithm::Es384 => matches!(self, PublicJwk::P384(_)),
            Algorithm::EdDsa => matches!(self, PublicJwk::Ed25519(_)),
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::Rs256 => {
                matches!(self, PublicJwk::Rsa { .. })
            }
        }
    }

    /// The SHA-256 thumbprint (RFC 7638 section 3, RFC 8037 section 2): of the required members alone, in the
    /// order of their names, without whitespace (THUMB-01, THUMB-02, THUMB-03, THUMB-04).
    pub fn thumbprint(&self) -> Thumbprint {
        let mut canonical = String::with_capacity(128);
        let mut member = |before: &str, value: &[u8]| {
            canonical.push_str(before);
            URL_SAFE_NO_PAD.encode_string(value, &mut canonical);
        };
        match self {
            PublicJwk::P256(point) => {
                member(r#"{"crv":"P-256","kty":"EC","x":""#, &point[1..33]);
                member(r#"","y":""#, &point[33..]);
            }
            PublicJwk::P384(point) => {
                member(r#"{"crv":"P-384","kty":"EC","x":""#, &point[1..49]);
                member(r#"","y":""#, &point[49..]);
            }
            PublicJwk::Ed25519(x) => member(r#"{"crv":"Ed25519","kty":"OKP","x":""#, x),
            PublicJwk::Rsa { n, e } => {
                member(r#"{"e":""#, e);
                member(r#"","kty":"RSA","n":""#, n);
            }
        }
        canonical.push_str(r#""}"#);
        Thumbprint(sha256::text(&sha256::of(canonical.as_bytes())))
    }

    /// Whether this key made the signature (base64url) of the message. False if it can't have, for
    /// want of fit or length; nothing is tried then. A high S is as good as a low one (JWS-10).
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        if !self.fits(algorithm) || signature.len() != self.signature_characters() {
            return false;
        }
        let key = match self {
            PublicJwk::P256(point) => DecodingKey::from_ec_der(point),
            PublicJwk::P384(point) => DecodingKey::from_ec_der(point),
            PublicJwk::Ed25519(x) => DecodingKey::from_ed_der(x),
            PublicJwk::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
        };
        jsonwebtoken::crypto::verify(signature, message, &key, algorithm.in_library()).unwrap_or(false)
    }

    /// The one length a signature of this key has (RFC 7518 sections 3.3 and 3.4), in base64url: R and S, never
    /// DER (JWS-06).
    pub(super) fn signature_characters(&self) -> usize {
        let bytes = match self {
            PublicJwk::P256(_) | PublicJwk::Ed25519(_) => 64,
            PublicJwk::P384(_) => 96,
            PublicJwk::Rsa { n, .. } => n.len(),
        };
        (bytes * 4).div_ceil(3)
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicJwk({})", self.thumbprint().as_str())
    }
}

/// A JWK thumbprint (RFC 7638) with SHA-256: 43 characters of base64url, compared as they are (THUMB-06).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 43]);

impl Thumbprint {
    /// Reads the canonical base64url text of 32 bytes; anything else is no thumbprint (DPOP-21).
    pub fn parse(text: &str) -> Option<Thumbprint> {
        sha256::canonical(text).map(Thumbprint)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// JWS-09
fn p256_point(x: &str, y: &str) -> Option<PublicJwk> {
    let point = uncompressed::<32, 65>(x, y)?;
    p256::PublicKey::from_sec1_bytes(&point).ok()?; // on the curve (RFC 8725 section 3.4)
    Some(PublicJwk::P256(point))
}

/// JWS-09
fn p384_point(x: &str, y: &str) -> Option<PublicJwk> {
    let point = uncompressed::<48, 97>(x, y)?;
    ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok()?; // on the curve, as above
    Some(PublicJwk::P384(point))
}

/// `04 ‖ x ‖ y`. Coordinates have a fixed length, leading zeros kept (RFC 7518 section 6.2.1.2): other
/// spellings would be other names for the same key (THUMB-05).
fn uncompressed<const HALF: usize, const WHOLE: usize>(x: &str, y: &str) -> Option<[u8; WHOLE]> {
    let (x, y) = (exactly::<HALF>(x)?, exactly::<HALF>(y)?);
    let mut point = [4; WHOLE];
    point[1..=HALF].copy_from_slice(&x);
    point[HALF + 1..].copy_from_slice(&y);
    Some(point)
}

fn ed25519_point(x: &str) -> Option<PublicJwk> {
    let bytes = exactly::<32>(x)?;
    let mut y = bytes;
    y[31] &= 0x7f; // the sign of x says nothing about the order
    // The identity and its like verify any message; y at or above p has a second spelling.
    let canonical = y.iter().rev().cmp(ED25519_P.iter().rev()).is_lt();
    (canonical && !ED25519_SMALL_ORDER.contains(&y)).then_some(PublicJwk::Ed25519(bytes))
}

/// Not too small (JWS-08, FAPI-07), nor too large, and minimal in length (THUMB-05).
fn rsa_key(n: &str, e: &str) -> Option<PublicJwk> {
    if n.len() > MAX_RSA_BYTES * 4 / 3 + 1 || e.len() > 4 {
        return None; // before decoding: a huge modulus is a cheap attack on an expensive check
    }
    let (n, e) = (base64url_decode(n)?, base64url_decode(e)?);
    let exponent = e.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    let minimal = n.first() != Some(&0) && e.first() != Some(&0);
    let odd = n.last()? & 1 == 1 && exponent & 1 == 1;
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    let sane = (2048..=MAX_RSA_BYTES * 8).contains(&bits) && (3..=65537).contains(&exponent);
    (minimal && odd && sane).then_some(PublicJwk::Rsa { n, e })
}

fn exactly<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != (BYTES * 4).div_ceil(3) {
        return None; // before decoding: nobody has to read a megabyte for it
    }
    base64url_decode(text)?.try_into().ok()
}

/// Whether there is a private part. By presence, not by value: `"d": null` was a private key in somebody's hands.
pub(super) fn has_private_part(jwk: &Object<'_>) -> bool {
    jwk.iter().any(|(name, _)| PRIVATE_MEMBERS.contains(&name))
}

/// Private or symmetric members of any key type (RFC 7518 section 6, RFC 8037 section 2, and AKP).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// 4096 bits. Above, a verification costs more than a caller should be able to buy.
const MAX_RSA_BYTES: usize = 512;
/// 2^255 - 19, little-endian.
const ED25519_P: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};
/// The y coordinates of the points of order 1, 2, 4 and 8, little-endian, sign bit cleared.
const ED25519_SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = ED25519_P;
        minus_one[0] = 0xec;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests;
