//! The arithmetic of forgers: other spellings of the same bytes, other signatures of the same key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

/// base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

/// The bytes of base64url.
pub fn unb64(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap()
}

/// A member of a JWK, decoded.
pub fn bytes_of(jwk: &Value, member: &str) -> Vec<u8> {
    unb64(jwk[member].as_str().unwrap())
}

/// A JWK with one member changed.
pub fn with_member(mut jwk: Value, member: &str, value: impl Into<Value>) -> Value {
    jwk[member] = value.into();
    jwk
}

/// The same base64url text with its last character advanced: where bits are left over, the same bytes.
pub fn respelled(text: &str, by: usize) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let at = ALPHABET.find(last).unwrap() + by;
    format!("{rest}{}", &ALPHABET[at..=at])
}

/// `modulus - number`, big-endian.
pub fn negated(modulus: &[u8], number: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let digits = modulus.iter().zip(number).rev().map(|(m, n)| {
        let digit = i16::from(*m) - i16::from(*n) - borrow;
        borrow = i16::from(digit < 0);
        digit.rem_euclid(256).to_le_bytes()[0]
    });
    let mut difference: Vec<u8> = digits.collect();
    difference.reverse();
    difference
}

/// An ES256 proof's twin: the same message with s replaced by n - s.
pub fn malleated(jws: &str) -> String {
    let (message, signature) = jws.rsplit_once('.').unwrap();
    let mut signature = unb64(signature);
    let twin = negated(&P256_N, &signature[32..]);
    signature[32..].copy_from_slice(&twin);
    format!("{message}.{}", b64(signature))
}

/// R and S as the SEQUENCE of RFC 3279 that JOSE does not use.
pub fn der(signature: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let zeros = half.iter().take_while(|byte| **byte == 0).count();
        let mut number = half[zeros..].to_vec();
        if number[0] & 0x80 != 0 {
            number.insert(0, 0);
        }
        [vec![2, number.len() as u8], number].concat()
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [vec![0x30, body.len() as u8], body].concat()
}

/// An Ed25519 signature with L added to S: the same equation, another text.
pub fn s_beyond_l(signature: &[u8]) -> Vec<u8> {
    let mut sum = signature.to_vec();
    let mut carry = 0;
    for (digit, l) in sum[32..].iter_mut().zip(ED25519_L) {
        let total = u16::from(*digit) + u16::from(l) + carry;
        [*digit, _] = total.to_le_bytes();
        carry = total >> 8;
    }
    sum
}

/// HMAC-SHA-256 over a message.
pub fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

/// SubjectPublicKeyInfo of a P-256 key (RFC 5480).
pub fn spki(jwk: &Value) -> Vec<u8> {
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    [head.to_vec(), bytes_of(jwk, "x"), bytes_of(jwk, "y")].concat()
}

/// The same in PEM (RFC 7468).
pub fn pem(jwk: &Value) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(spki(jwk));
    format!("-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n", &text[..64], &text[64..])
}

/// The order of P-256 (FIPS 186-5), big-endian.
pub const P256_N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// Its field, big-endian.
pub const P256_P: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];
/// The order of the base point of Ed25519 (RFC 8032), little-endian.
const ED25519_L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
