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
        let target = TargetUri::of(parts, origins)?;
        Ok(Request {
            method: &parts.method,
            target,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            certificate,
            has_content: parts.headers.contains_key(header::TRANSFER_ENCODING)
                || parts.headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0"),
        })
    }
}
