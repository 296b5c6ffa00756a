//! The target URI of a request (RFC 9110 section 7.1) and what an `htu` is compared with.
//!
//! The scheme and the authority come from the configured public origins; a request only chooses
//! among them. Both sides of the comparison are normalised after RFC 3986 section 6.2.2 and 6.2.3.
//! A request path that could mean two things is refused before anything looks at it: the policy, the
//! proof and the service must all see one resource (the service gets the bytes as they came).

use super::{Denial, percent};
use http::request::Parts;
use http::{Version, header};
use std::fmt;

/// `https://host[:port]`, normalised: lower case, no default port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Origin, &'static str> {
        let rest = strip_https(text).ok_or("an origin begins with https://")?;
        if rest.contains(['/', '?', '#']) {
            return Err("an origin has no path, query or fragment");
        }
        let authority = normalise_authority(rest).ok_or("an origin is https://host or https://host:port")?;
        Ok(Origin(format!("{HTTPS}{authority}")))
    }

    /// `https://host[:port]`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `host[:port]`
    pub fn authority(&self) -> &str {
        &self.0[HTTPS.len()..]
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The target URI of a request without its query, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUri {
    text: String,
    path_at: usize,
}

impl TargetUri {
    /// Of a request. The authority is that of the request target, else of the one Host header
    /// (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
    pub fn of(parts: &Parts, origins: &[Origin]) -> Result<TargetUri, Denial> {
        let authority = authority_of(parts)?;
        let authority = normalise_authority(authority).ok_or(Denial::RequestMalformed)?;
        let origin = origins.iter().find(|o| o.authority() == authority).ok_or(Denial::HostUnknown)?;
        let mut text = String::with_capacity(origin.as_str().len() + parts.uri.path().len().max(1));
        text.push_str(origin.as_str());
        let path_at = text.len();
        push_request_path(parts.uri.path(), &mut text)?;
        Ok(TargetUri { text, path_at })
    }

    /// The normalised path: what routes are matched with.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// `host[:port]`, as configured.
    pub fn authority(&self) -> &str {
        &self.text[HTTPS.len()..self.path_at]
    }

    /// `https://host[:port]/path`
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an `htu` names this URI. Its query and fragment are ignored (RFC 9449 section 4.3,
    /// check 9); whatever is not an absolute https URI is another URI.
    pub fn is_named_by(&self, htu: &str) -> bool {
        htu == self.text || normalise_htu(htu).is_some_and(|normalised| normalised == self.text)
    }
}

fn authority_of(parts: &Parts) -> Result<&str, Denial> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| Denial::RequestMalformed)?),
    };
    if hosts.next().is_some() {
        return Err(Denial::RequestMalformed);
    }
    // The scheme is ours to say: a target that claims plain http came over TLS all the same.
    if parts.uri.scheme().is_some_and(|scheme| *scheme != http::uri::Scheme::HTTPS) {
        return Err(Denial::RequestMalformed);
    }
    match (parts.uri.authority(), host) {
        (Some(target), Some(host)) if parts.version == Version::HTTP_2 => {
            // Two names for one target are malformed (RFC 9113 section 8.3.1).
            let same = normalise_authority(target.as_str()) == normalise_authority(host);
            if same { Ok(target.as_str()) } else { Err(Denial::RequestMalformed) }
        }
        // In HTTP/1.1 the absolute form wins and Host is ignored (RFC 9112 section 3.2.2), but it must be there.
        (Some(target), _) if parts.version == Version::HTTP_2 || host.is_some() => Ok(target.as_str()),
        (None, Some(host)) => Ok(host),
        (_, None) | (Some(_), Some(_)) => Err(Denial::RequestMalformed),
    }
}

/// Lower case, no userinfo, no default port; `None` if it is no `host[:port]`.
fn normalise_authority(authority: &str) -> Option<String> {
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
/// slashes, backslashes and controls, and bytes that no URI has.
fn push_request_path(path: &str, text: &mut String) -> Result<(), Denial> {
    if path.is_empty() {
        text.push('/'); // RFC 9110 section 4.2.3
        return Ok(());
    }
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

/// An `htu` after RFC 3986 sections 6.2.2 and 6.2.3, without query and fragment.
fn normalise_htu(htu: &str) -> Option<String> {
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

fn strip_https(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(HTTPS.len())?;
    scheme.eq_ignore_ascii_case(HTTPS).then_some(rest)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte)
}

const HTTPS: &str = "https://";

#[cfg(test)]
mod tests;
