//! What the scripts of the operator's own web applications may read (Fetch standard, section 3.3).
//!
//! The service's answers say for themselves who may read them. Ours can't: a refusal never reaches the
//! service. So for the origins that the operator lists, and compared as they are written, our answers are
//! readable, with the fields that a client needs to go on (DPOP-29, RFC 9449 section 8).

use super::body::ResponseBody;
use crate::pop::DPOP_NONCE;
use http::Response;
use http::header::{self, HeaderMap, HeaderValue};

/// `listen.browser_origins` (SBCP-09)
#[derive(Debug)]
pub(super) struct BrowserOrigins(Vec<HeaderValue>);

impl BrowserOrigins {
    /// From texts that were checked: each the serialisation of an origin.
    pub(super) fn new(origins: &[String]) -> anyhow::Result<BrowserOrigins> {
        Ok(BrowserOrigins(origins.iter().map(|text| HeaderValue::from_str(text)).collect::<Result<_, _>>()?))
    }

    /// The origin of a request's script, if it is one of these.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let mut named = headers.get_all(header::ORIGIN).iter();
        let origin = named.next().filter(|_| named.next().is_none())?;
        self.0.iter().find(|listed| *listed == origin).cloned()
    }
}

/// Lets the script read an answer: one of ours whole; of the service's only what we added to it.
pub(super) fn let_read(origin: HeaderValue, response: &mut Response<ResponseBody>) {
    let ours = response.body().is_ours();
    add_fields(origin, ours, response.headers_mut());
}

fn add_fields(origin: HeaderValue, ours: bool, headers: &mut HeaderMap) {
    if ours {
        if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        expose(headers, EXPOSED);
    } else if headers.contains_key(DPOP_NONCE) {
        // The service's own was removed on the way: this one is ours.
        expose(headers, HeaderValue::from_static("DPoP-Nonce"));
    }
}

/// Adds to the fields that a script may read, and says that the answer depends on who asks.
fn expose(headers: &mut HeaderMap, names: HeaderValue) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
}

const EXPOSED: HeaderValue = HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce, Clinch-Request-Id");

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn listed() -> BrowserOrigins {
        BrowserOrigins::new(&["https://app.example.com".to_owned(), "http://localhost:3000".to_owned()])
            .unwrap()
    }

    fn of(origins: &[&'static str]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append("origin", HeaderValue::from_static(origin));
        }
        listed().of(&headers)
    }

    #[test]
    fn origins_are_compared_as_they_are_written() {
        for good in ["https://app.example.com", "http://localhost:3000"] {
            assert_eq!(of(&[good]).unwrap(), good);
        }
        for other in [
            "https://app.example.com:443",
            "https://APP.example.com",
            "https://app.example.com/",
            "https://app.example.com.evil.example",
            "https://evil.example/https://app.example.com",
            "http://app.example.com",
            "null",
            "*",
            "",
        ] {
            assert_eq!(of(&[other]), None, "{other}");
        }
        assert_eq!(of(&["https://app.example.com", "https://app.example.com"]), None);
        assert_eq!(of(&[]), None);
    }

    /// DPOP-29
    #[test]
    fn our_answers_are_readable_with_what_a_client_needs() {
        let mut response = Response::new(ResponseBody::own(Bytes::new()));
        let_read(HeaderValue::from_static("https://app.example.com"), &mut response);
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(headers["vary"], "Origin");
        assert_eq!(
            headers["access-control-expose-headers"],
            "WWW-Authenticate, DPoP-Nonce, Clinch-Request-Id"
        );
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }

    /// DPOP-29
    #[test]
    fn of_the_services_answers_only_our_nonce_is_exposed() {
        let app = || HeaderValue::from_static("https://app.example.com");
        let mut headers = HeaderMap::new();
        headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
        headers.insert("access-control-expose-headers", HeaderValue::from_static("X-Total"));
        let before = headers.clone();
        add_fields(app(), false, &mut headers);
        assert_eq!(headers, before);
        headers.insert("dpop-nonce", HeaderValue::from_static("n"));
        add_fields(app(), false, &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "*");
        let exposed: Vec<_> = headers.get_all("access-control-expose-headers").iter().collect();
        assert_eq!(exposed, ["X-Total", "DPoP-Nonce"]);
        assert_eq!(headers["vary"], "Origin");
    }
}
