//! Percent-encoding (RFC 3986 section 2.1), read in one place: what a path, an `htu` and a query name mean must
//! never differ by who decodes it. What is done with the octet is the callers' matter.

/// The octet that `%XX` at the head of `bytes` stands for; `None` if there is no such thing.
pub(super) fn octet(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [b'%', high, low, ..] = bytes else { return None };
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}
