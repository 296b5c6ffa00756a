//! The neutral request: what every shell (proxy, later ext_authz and others) hands to the gate.
use super::Denial;
use super::mtls::ClientCertificate;
use super::target_uri::{Origin, TargetUri};
use http::{HeaderMap, Method, Uri};

/// A request, stripped of transport. Exists only when its target is beyond doubt.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, case-sensitive.
    pub method: &'a Method,
    /// The target URI, normalised.
    pub target: TargetUri,
    /// The raw query, if any.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The client certificate of the TLS connection, never of a header.
    pub certificate: Option<&'a ClientCertificate>,
}
impl<'a> Request<'a> {
    /// Judges method, authority and path (RFC 9110 section 7, RFC 9112 section 3.2, RFC 9113 section 8.3.1).
    pub fn new(
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        certificate: Option<&'a ClientCertificate>,
        origins: &[Origin],
    ) -> Result<Self, Denial> {
        let _ = (method, uri, headers, certificate, origins);
        todo!()
    }
}
