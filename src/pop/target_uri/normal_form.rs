//! Normal forms after RFC 3986 sections 6.2.2 and 6.2.3: of an authority, of a path, of an `htu`.
//!
//! What they are compared with is decided in [`target_uri`](super).

use super::super::{Denial, percent};

/// Lower case, no userinfo, no default port; `None` if it is no `host[:port]` (HTTP-31, H2-03).
pub(super) fn normalise_authority(authority: &str) -> Option<String> {
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    };
    let host_is_valid = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|ip| {
            !ip.is_empty() && ip.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b))
        }),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
    };
    if !host_is_valid {
        return None;
    }
    let mut text = host.to_ascii_lowercase();
    match port {
        None | Some("") => {} // an empty port is the default port (RFC 3986 section 6.2.3)
        Some(port) => {
            let digits = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
            let number = port.parse::<u16>().ok().filter(|_| digits)?;
            if number != 443 {
                text.push(':');
                text.push_str(port);
            }
        }
    }
    Some(text)
}

/// Appends the normalised path of a request, or refuses it: dot segments, empty segments, encoded
/// slashes, backslashes and controls, and bytes that no URI has (HTTP-03, HTTP-04).
pub(super) fn push_request_path(path: &str, text: &mut String) -> Result<(), Denial> {
    if path.is_empty() {
        text.push('/'); // RFC 9110 section 4.2.3
        return Ok(());
    }
    if is_plain(path) {
        text.push_str(path);
        return Ok(());
    }
    push_doubtful_path(path, text)
}

/// Whether a path is its own normal form and means one thing, to be told at a glance: most do.
fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    let is_plain = |byte| {
        let begins_doubtfully = after_slash && (byte == b'/' || byte == b'.');
        after_slash = byte == b'/';
        is_path_character(byte) && !begins_doubtfully
    };
    path.starts_with('/') && path.bytes().all(is_plain)
}

fn push_doubtful_path(path: &str, text: &mut String) -> Result<(), Denial> {
    let start = text.len();
    if path.starts_with('/') { push_normalised(path, text) } else { None }.ok_or(Denial::RequestMalformed)?;
    let normalised = &text[start..];
    let encoded = |wanted: fn(u8) -> bool| {
        normalised
            .match_indices('%')
            .any(|(at, _)| percent::octet(&normalised.as_bytes()[at..]).is_some_and(wanted))
    };
    let hidden = encoded(|byte| byte == b'/' || byte == b'\\' || byte.is_ascii_control());
    let dots = normalised.split('/').any(|segment| {
        // `..;x` is `..` to some servers, however the semicolon is written.
        let name = segment.split("%3B").next().unwrap_or_default().split(';').next().unwrap_or_default();
        name == "." || name == ".."
    });
    if hidden || dots || normalised.contains("//") { Err(Denial::PathAmbiguous) } else { Ok(()) }
}

/// An `htu` after RFC 3986 sections 6.2.2 and 6.2.3, without query and fragment (DPOP-11, DPOP-12).
pub(super) fn normalise_htu(htu: &str) -> Option<String> {
    let htu = &htu[..htu.find(['?', '#']).unwrap_or(htu.len())];
    let rest = strip_https(htu)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut text = format!("{HTTPS}{}", normalise_authority(authority)?);
    let mut encoded_path = String::with_capacity(path.len());
    push_normalised(if path.is_empty() { "/" } else { path }, &mut encoded_path)?;
    push_without_dot_segments(&encoded_path, &mut text);
    Some(text)
}

/// Appends the path with hex digits in upper case and unreserved characters decoded (RFC 3986
/// section 6.2.2); `None` if it has a byte that is no path character (section 3.3).
fn push_normalised(path: &str, text: &mut String) -> Option<()> {
    let mut rest = path.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte != b'%' {
            if !is_path_character(*byte) {
                return None;
            }
            text.push(char::from(*byte));
            rest = tail;
            continue;
        }
        let decoded = percent::octet(rest)?;
        if is_unreserved(decoded) {
            text.push(char::from(decoded));
        } else {
            text.push('%');
            text.extend(rest[1..3].iter().map(|digit| char::from(digit.to_ascii_uppercase())));
        }
        rest = &rest[3..];
    }
    Some(())
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn push_without_dot_segments(path: &str, text: &mut String) {
    let start = text.len();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    text.truncate(text[start..].rfind('/').map_or(start, |at| start + at));
                }
                if last {
                    text.push('/');
                }
            }
            name => {
                text.push('/');
                text.push_str(name);
            }
        }
    }
}

pub(super) fn strip_https(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(HTTPS.len())?;
    scheme.eq_ignore_ascii_case(HTTPS).then_some(rest)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'/' | b':' | b'@') || is_sub_delimiter(byte)
}

/// RFC 3986 section 2.2.
fn is_sub_delimiter(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

pub(super) const HTTPS: &str = "https://";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// HTTP-03, HTTP-04
        #[test]
        fn a_plain_path_is_what_the_long_way_makes_of_it(path in "/([a.;%/2eE_~@\\x01 ]|%2e|%2F){0,6}") {
            let mut text = String::new();
            let accepted = push_doubtful_path(&path, &mut text).is_ok();
            prop_assert!(!is_plain(&path) || accepted && text == path);
        }
    }

    #[test]
    fn ordinary_paths_are_plain() {
        assert!(["/", "/a", "/a.b/c-d_~/e;x=1@,!$&'()*+:", "/a/"].into_iter().all(is_plain));
        assert!(
            !["", "a", "//", "/a//b", "/.", "/../a", "/a/.b", "/%61", "/a b", "/\u{e9}"]
                .into_iter()
                .any(is_plain)
        );
    }
}
