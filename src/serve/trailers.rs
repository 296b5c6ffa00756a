//! Which trailer fields cross the proxy (RFC 9110 section 6.5; HTTP-13).
//!
//! Nothing verified them and nothing merges them into headers here; a service might. So they pass only where they can't be
//! taken for anything that a header decides: framing, routing, who is calling, how content is read (section 6.5.1), and no
//! name that is ours, in whatever spelling. HTTP/1.1 sends what `Trailer` announced; HTTP/2 needs no announcement.

use super::fields;
use crate::config::Identity;
use crate::pop::identity;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The trailers of requests: what passes depends on the operator's own identity headers.
#[derive(Debug)]
pub(super) struct RequestTrailers {
    own: Vec<(HeaderName, String)>,
}

impl RequestTrailers {
    pub(super) fn new(identity: &Identity) -> RequestTrailers {
        RequestTrailers { own: identity.headers.clone() }
    }

    /// Removes what the service might take for a header, or for our word (HTTP-13, SBCP-04).
    pub(super) fn clean(&self, trailers: &mut HeaderMap) {
        fields::clean_request(trailers, false);
        trailers.remove(header::CONNECTION);
        trailers.remove(header::TE);
        identity::strip(trailers, &self.own);
        remove_decisive(trailers);
    }

    /// What the service is told to expect: what the client announced and may pass. None where nothing is left.
    pub(super) fn announcement(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let announced = headers.get_all(header::TRAILER).iter();
        let names = announced.flat_map(|line| line.as_bytes().split(|b| *b == b','));
        let mut passing = HeaderMap::new();
        for name in names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()) {
            passing.insert(name, HeaderValue::from_static(""));
        }
        self.clean(&mut passing);
        let names: Vec<&str> = passing.keys().map(HeaderName::as_str).collect();
        HeaderValue::try_from(names.join(", ")).ok().filter(|_| !names.is_empty())
    }
}

/// Removes from the trailers of a response what only its header section may say, and what is not for clients.
pub(super) fn clean_response(trailers: &mut HeaderMap) {
    fields::clean_response(trailers);
    remove_decisive(trailers);
}

fn remove_decisive(trailers: &mut HeaderMap) {
    fields::remove_where(trailers, |name| {
        let mut buffer = [0; fields::LONGEST];
        DECISIVE.contains(&fields::fold(name.as_str(), &mut buffer))
    });
}

/// RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, how content is processed, and control data
/// of a response.
const DECISIVE: &[&[u8]] = &[
    b"content-length",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"trailer",
    b"host",
    b"via",
    b"max-forwards",
    b"range",
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
    b"if-range",
    b"origin",
    b"authorization",
    b"dpop",
    b"cookie",
    b"set-cookie",
    b"www-authenticate",
    b"proxy-authentication-info",
    b"cache-control",
    b"age",
    b"date",
    b"expires",
    b"location",
    b"retry-after",
    b"vary",
    b"warning",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn left(names: &[&str], clean: impl Fn(&mut HeaderMap)) -> Vec<String> {
        let mut trailers = HeaderMap::new();
        for name in names {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            trailers.insert(name, HeaderValue::from_static("x"));
        }
        clean(&mut trailers);
        trailers.keys().map(ToString::to_string).collect()
    }
    fn of_requests() -> RequestTrailers {
        let groups = (HeaderName::from_static("x-groups"), "groups".to_owned());
        RequestTrailers::new(&Identity { headers: vec![groups], ..Identity::default() })
    }

    const FORBIDDEN: [&str; 19] = [
        "Clinch-Subject",
        "clinch_key",
        "clinch.scope",
        "Connection",
        "TE",
        "Transfer-Encoding",
        "transfer_encoding",
        "Content-Length",
        "content_length",
        "Content-Encoding",
        "Content-Type",
        "Trailer",
        "Upgrade",
        "Keep-Alive",
        "Set-Cookie",
        "Cache-Control",
        "Client-Cert",
        "DPoP-Nonce",
        "Host",
    ];

    /// HTTP-13, SBCP-04
    #[test]
    fn what_a_header_decides_is_no_trailer() {
        let of_callers =
            ["Authorization", "DPoP", "Cookie", "Forwarded", "X_Forwarded_For", "X-Groups", "x.groups"];
        let both = |name| left(&[name, "x-checksum"], |t| of_requests().clean(t));
        for name in FORBIDDEN.into_iter().chain(of_callers) {
            assert_eq!(both(name), ["x-checksum"], "{name}");
        }
        for name in FORBIDDEN {
            assert_eq!(left(&[name, "grpc-status"], clean_response), ["grpc-status"], "{name}");
        }
    }

    #[test]
    fn what_belongs_at_the_end_passes() {
        let names = ["grpc-status", "grpc-message", "digest", "server-timing", "x-checksum"];
        assert_eq!(left(&names, |t| of_requests().clean(t)), names);
        assert_eq!(left(&names, clean_response), names);
    }

    /// HTTP-13
    #[test]
    fn only_what_passes_is_announced() {
        let announced = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append("trailer", HeaderValue::from_static(line));
            headers.append("trailer", HeaderValue::from_static("Host"));
            of_requests().announcement(&headers).map(|value| value.to_str().expect("ASCII").to_owned())
        };
        assert_eq!(
            announced("X-Checksum, Clinch-Subject,, X_Groups,Digest").as_deref(),
            Some("x-checksum, digest")
        );
        assert_eq!(announced("Clinch-Subject, no name"), None);
    }
}
