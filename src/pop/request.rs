//! The neutral request: what every shell hands to the gate.

use super::Denial;
use super::mtls::ClientCertificate;
use super::target_uri::{Origin, TargetUri};
use http::request::Parts;
use http::{HeaderMap, Method, header};
use std::sync::Arc;

/// A request without its transport. It exists only when its target is beyond doubt.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method, case-sensitive (RFC 9110 section 9.1).
    pub method: &'a Method,
    /// The target URI, normalised.
    pub target: TargetUri,
    /// The path as it came: nothing but characters of a URI.
    pub path: &'a str,
    /// The query as it came, without the question mark.
    pub query: Option<&'a str>,
    /// The header fields as they came.
    pub headers: &'a HeaderMap,
    /// The client certificate of the TLS connection.
    pub certificate: Option<&'a Arc<ClientCertificate>>,
    /// Whether it asks for a WebSocket by extended CONNECT (RFC 8441 section 5).
    pub websocket: bool,
    /// Whether content comes along, as far as the fields tell; a transport may know better (RFC 9113 section 8.1).
    pub has_content: bool,
}

impl<'a> Request<'a> {
    /// Judges method, authority and path. CONNECT would make a tunnel and TRACE an echo of
    /// credentials: neither is served (HTTP-03, HTTP-32).
    pub fn of(
        parts: &'a Parts,
        certificate: Option<&'a Arc<ClientCertificate>>,
        origins: &[Origin],
    ) -> Result<Self, Denial> {
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Denial::MethodRefused);
        }
        Request::judged(parts, certificate, origins)
    }

    /// The same for an extended CONNECT whose `:protocol` is `websocket` (RFC 8441 section 5): the one CONNECT that has
    /// a target like any other request. Its version is 13, for there is no answer that would name a better one.
    pub fn of_websocket(
        parts: &'a Parts,
        certificate: Option<&'a Arc<ClientCertificate>>,
        origins: &[Origin],
    ) -> Result<Self, Denial> {
        let mut versions = parts.headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
        let is_known = versions.next().is_some_and(|version| version == "13") && versions.next().is_none();
        if parts.method != Method::CONNECT || !is_known {
            return Err(Denial::RequestMalformed);
        }
        Ok(Request { websocket: true, ..Request::judged(parts, certificate, origins)? })
    }

    /// The method that the service gets, and that routes are matched with. A proof is for the one that was sent.
    pub fn method_for_service(&self) -> &Method {
        if self.websocket { &GET } else { self.method }
    }

    fn judged(
        parts: &'a Parts,
        certificate: Option<&'a Arc<ClientCertificate>>,
        origins: &[Origin],
    ) -> Result<Self, Denial> {
        let target = TargetUri::of(parts, origins)?;
        Ok(Request {
            method: &parts.method,
            target,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            certificate,
            websocket: false,
            has_content: parts.headers.contains_key(header::TRANSFER_ENCODING)
                || parts.headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0"),
        })
    }
}

static GET: Method = Method::GET;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, versions: &[&str]) -> Parts {
        let request = http::Request::builder().method(method).uri("https://api.example.com/socket");
        let request = request.version(http::Version::HTTP_2);
        let request = versions.iter().fold(request, |r, v| r.header(header::SEC_WEBSOCKET_VERSION, *v));
        request.body(()).unwrap().into_parts().0
    }

    fn origins() -> [Origin; 1] {
        [Origin::parse("https://api.example.com").unwrap()]
    }

    #[test]
    fn a_websocket_over_http_2_is_sent_as_connect_and_served_as_get() {
        let parts = parts("CONNECT", &["13"]);
        let request = Request::of_websocket(&parts, None, &origins()).unwrap();
        assert_eq!((request.method, request.method_for_service()), (&Method::CONNECT, &Method::GET));
        assert_eq!(request.target.as_str(), "https://api.example.com/socket");
        assert_eq!(Request::of(&parts, None, &origins()).unwrap_err(), Denial::MethodRefused);
    }

    #[test]
    fn a_websocket_of_no_known_version_is_malformed() {
        for versions in [&[][..], &["8"], &["13", "13"], &["13, 8"]] {
            let refused = Request::of_websocket(&parts("CONNECT", versions), None, &origins()).unwrap_err();
            assert_eq!(refused, Denial::RequestMalformed, "{versions:?}");
        }
        assert!(Request::of_websocket(&parts("GET", &["13"]), None, &origins()).is_err());
    }

    #[test]
    fn any_other_request_is_served_as_it_was_sent() {
        let parts = parts("DELETE", &[]);
        let request = Request::of(&parts, None, &origins()).unwrap();
        assert_eq!(request.method_for_service(), &Method::DELETE);
    }
}
