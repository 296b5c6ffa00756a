//! SHA-256, and the 43 characters of base64url that stand for one: thumbprints of keys (RFC 7638) and of
//! certificates (RFC 8705 section 3.1), and the hash of a token (RFC 9449 section 4.2).

use super::jose::base64url_decode;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// SHA-256.
pub fn of(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// A hash as text.
pub fn text(hash: &[u8; 32]) -> [u8; 43] {
    let mut text = [0; 43];
    let written = URL_SAFE_NO_PAD.encode_slice(hash, &mut text);
    debug_assert_eq!(written, Ok(43));
    text
}

/// The same characters as they came, if they are the one canonical spelling of 32 bytes.
pub(super) fn canonical(spelling: &str) -> Option<[u8; 43]> {
    let hash: [u8; 32] = base64url_decode(spelling)?.try_into().ok()?;
    Some(text(&hash))
}
