//! The identity headers that the service receives.
//!
//! Names that are ours never come from outside, in whatever spelling; values are percent-encoded
//! after the manner of RFC 8187, so that no claim can end a header, split a list or lose its edges.

use super::Verified;
use super::access_token::Said;
use super::jose::Json;
use super::policy::ProofKind;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write;

/// Removes every field whose name is ours once all but letters and digits is read as `-` (some servers fold them),
/// and those in `extra`, the operator's own identity headers (SBCP-04).
pub fn strip(headers: &mut HeaderMap, extra: &[(HeaderName, String)]) {
    let ours = |name: &HeaderName| {
        let told = name.as_str();
        // grpc-gateway takes this prefix away on the way to its service.
        let told = told.get(GATEWAY.len()..).filter(|_| folded_starts_with(told, GATEWAY)).unwrap_or(told);
        folded_starts_with(told, PREFIX)
            || extra.iter().any(|(e, _)| folded_eq(told, e.as_str()))
            || extra.iter().any(|(e, _)| folded_eq(name.as_str(), e.as_str()))
    };
    if headers.keys().any(ours) {
        let names: Vec<HeaderName> = headers.keys().filter(|name| ours(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Writes the identity of a verified request. Only a `Grant` calls this. Subject, client and issuer each have a
/// header: what is true of one is not true of the other (AT-11, BCP-08).
pub(crate) fn write(verified: &Verified, extra: &[(HeaderName, String)], headers: &mut HeaderMap) {
    let token = verified.token.headers();
    for (name, value) in [
        (SUBJECT, &token.subject),
        (CLIENT, &token.client),
        (ISSUER, &token.issuer),
        (SCOPE, &token.scope),
        (TOKEN_ID, &token.token_id),
    ] {
        headers.insert(name, value.clone());
    }
    headers.insert(PROOF, HeaderValue::from_static(verified.kind.as_str()));
    if let Some(key) = key_header_of(verified) {
        headers.insert(KEY, key.clone());
    }
    if let Some(subject) = verified.certificate.as_ref().and_then(|shown| shown.subject_header.as_ref()) {
        headers.insert(CERTIFICATE_SUBJECT, subject.clone());
    }
    if let Some(id) = verified.certificate.as_ref().and_then(|c| c.spiffe_id.as_ref()) {
        headers.insert(CERTIFICATE_SPIFFE_ID, header_value(id.as_str()));
    }
    for (name, claim) in extra {
        if let Some(value) = verified.token.claims().get(claim).and_then(claim_value) {
            headers.insert(name, value);
        }
    }
}

/// The thumbprint the token is bound to: of the DPoP key, else of the certificate.
pub(super) fn key_of(verified: &Verified) -> Option<&str> {
    let confirmation = verified.token.confirmation();
    match verified.kind {
        ProofKind::Dpop | ProofKind::DpopAndMtls => confirmation.jkt.as_ref().map(|jkt| jkt.as_str()),
        ProofKind::Mtls => confirmation.x5t.as_ref().map(|x5t| x5t.as_str()),
        ProofKind::Bearer => None,
    }
}

/// The same as it is told, written once per token.
fn key_header_of(verified: &Verified) -> Option<&HeaderValue> {
    let token = verified.token.headers();
    match verified.kind {
        ProofKind::Dpop | ProofKind::DpopAndMtls => token.key.as_ref(),
        ProofKind::Mtls => token.certificate.as_ref(),
        ProofKind::Bearer => None,
    }
}

/// A certificate's subject as it is told; none where it has none, or nobody vouches for it.
pub(super) fn certificate_subject(subject: &str) -> Option<HeaderValue> {
    (!subject.is_empty()).then(|| encoded_value(subject))
}

/// The values that depend on the token alone, encoded once per token.
#[derive(Debug)]
pub(super) struct TokenHeaders {
    subject: HeaderValue,
    client: HeaderValue,
    issuer: HeaderValue,
    scope: HeaderValue,
    token_id: HeaderValue,
    key: Option<HeaderValue>,
    certificate: Option<HeaderValue>,
}

impl TokenHeaders {
    pub(super) fn of(issuer: &str, said: &Said<'_>) -> Self {
        let scopes: Vec<String> = said.scope.split(' ').filter(|s| !s.is_empty()).map(encoded).collect();
        TokenHeaders {
            subject: encoded_value(said.subject),
            client: encoded_value(said.client),
            issuer: encoded_value(issuer),
            scope: header_value(&scopes.join(" ")),
            token_id: encoded_value(said.token_id),
            key: said.confirmation.jkt.as_ref().map(|jkt| header_value(jkt.as_str())),
            certificate: said.confirmation.x5t.as_ref().map(|x5t| header_value(x5t.as_str())),
        }
    }
}

/// A claim as a header: strings, numbers and booleans as they are, the items of an array between
/// commas, anything deeper as JSON; `null` is no header. All encoded.
fn claim_value(claim: &Json<'_>) -> Option<HeaderValue> {
    let item = |value: &Json<'_>| match value {
        Json::String(text) => encoded(text),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            encoded(&value.to_string())
        }
    };
    match claim {
        Json::Null => None,
        Json::Array(items) => Some(header_value(&items.iter().map(item).collect::<Vec<_>>().join(","))),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            Some(header_value(&item(claim)))
        }
    }
}

/// Percent-encodes what is not plain: space, controls, non-ASCII, and `%` `"` `,` `;` `\`.
fn encoded(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"%\",;\\".contains(&byte) {
            value.push(char::from(byte));
        } else {
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

fn encoded_value(text: &str) -> HeaderValue {
    header_value(&encoded(text))
}

/// Of encoded text, which is printable ASCII.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// As the loosest of servers reads a name: those that make variables of names (CGI) know letters and digits alone.
pub(crate) fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn folded_starts_with(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len() && folded_eq(&name[..prefix.len()], prefix)
}

fn folded_eq(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().map(fold).eq(b.bytes().map(fold))
}

const PREFIX: &str = "clinch-";
const GATEWAY: &str = "grpc-metadata-";
const SUBJECT: HeaderName = HeaderName::from_static("clinch-subject");
const CLIENT: HeaderName = HeaderName::from_static("clinch-client");
const ISSUER: HeaderName = HeaderName::from_static("clinch-issuer");
const SCOPE: HeaderName = HeaderName::from_static("clinch-scope");
const PROOF: HeaderName = HeaderName::from_static("clinch-proof");
const KEY: HeaderName = HeaderName::from_static("clinch-key");
const TOKEN_ID: HeaderName = HeaderName::from_static("clinch-token-id");
const CERTIFICATE_SUBJECT: HeaderName = HeaderName::from_static("clinch-certificate-subject");
const CERTIFICATE_SPIFFE_ID: HeaderName = HeaderName::from_static("clinch-certificate-spiffe-id");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::Timestamp;
    use crate::pop::confirmation::Confirmation;

    /// SBCP-04, HD-001, HD-003, HD-006
    #[test]
    fn our_names_never_come_from_outside() {
        let mut headers = HeaderMap::new();
        for name in [
            "clinch-subject",
            "Clinch_Subject",
            "clinch.key",
            "clinch-anything",
            "grpc-metadata-clinch-subject",
            "Grpc_Metadata-X-Team",
            "X_Team",
            "x-teams",
            "clinch",
        ] {
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("admin"));
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("again"));
        }
        strip(&mut headers, &[(HeaderName::from_static("x-team"), "team".to_owned())]);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["clinch", "x-teams"]);
    }

    /// SBCP-04, HD-046, HD-047, TK-035
    #[test]
    fn no_claim_breaks_a_header() {
        assert_eq!(encoded("auth0|5f@a.example/x=1"), "auth0|5f@a.example/x=1");
        assert_eq!(encoded(" admin\r\nx: y\0"), "%20admin%0D%0Ax:%20y%00");
        assert_eq!(encoded("a,b;c\"d\\e%20é"), "a%2Cb%3Bc%22d%5Ce%2520%C3%A9");
        assert_eq!(encoded(""), "");
    }

    /// HD-047, HD-048, HD-050
    #[test]
    fn claims_of_every_kind_have_one_form() {
        let value = |json: &str| {
            let json = Json::parse(json.as_bytes()).unwrap();
            claim_value(&json).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(value("null"), None);
        assert_eq!(value("\"\"").as_deref(), Some(""));
        assert_eq!(value("9007199254740993").as_deref(), Some("9007199254740993"));
        assert_eq!(value("7.181530479326916e+112").as_deref(), Some("7.181530479326916e+112"));
        assert_eq!(value("true").as_deref(), Some("true"));
        assert_eq!(value(r#"["a,admin","b"]"#).as_deref(), Some("a%2Cadmin,b"));
        assert_eq!(value(r#"[]"#).as_deref(), Some(""));
        assert_eq!(value(r#"{"a":[1]}"#).as_deref(), Some("{%22a%22:[1]}"));
    }

    #[test]
    fn scopes_stay_a_list() {
        let said = Said {
            subject: "s",
            client: "c",
            token_id: "1",
            signing_key: None,
            scope: "a.read  b\tc",
            issued_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(0),
            confirmation: Confirmation::default(),
        };
        assert_eq!(TokenHeaders::of("https://as", &said).scope, "a.read b%09c");
    }
}
