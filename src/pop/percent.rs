//! Percent-encoding (RFC 3986 section 2.1), read in one place: what a path, an `htu` and a query name mean must
//! never differ by who decodes it. What is done with the octet is the callers' matter.

/// The octet that `%XX` at the head of `bytes` stands for; `None` if there is no such thing.
pub(super) fn octet(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [b'%', high, low, ..] = bytes else { return None };
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// The octets that a text stands for; what is not well encoded stands for itself.
pub(crate) fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (byte, used) = match octet(rest) {
            Some(byte) => (byte, 3),
            None => (*rest.first()?, 1),
        };
        rest = &rest[used..];
        Some(byte)
    })
}
