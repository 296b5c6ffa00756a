//! Where an issuer publishes its metadata, and what we take from it: `jwks_uri` and `introspection_endpoint`.
//!
//! Sources: RFC 8414 sections 2, 3.1 and 3.3; OpenID Connect Discovery 1.0 sections 4 and 4.3; OpenID Shared Signals
//! Framework 1.0 section 7.2 for those who sign security events.

use crate::pop::jose::Json;
use crate::state::audit::Signer;
use crate::state::https::{Fault, Https};
use http::Uri;

/// Whose metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state) enum Metadata {
    /// Of somebody who issues tokens.
    AuthorizationServer,
    /// Of somebody who signs security events.
    Transmitter,
}

impl Metadata {
    /// Who publishes it, for the audit log.
    pub(super) fn signer(self) -> Signer {
        match self {
            Metadata::AuthorizationServer => Signer::Issuer,
            Metadata::Transmitter => Signer::Transmitter,
        }
    }
}

/// An address that the metadata of an authorization server has.
pub(in crate::state) async fn discover(https: &Https, issuer: &str, member: &str) -> Result<Uri, Fault> {
    discover_in(https, Metadata::AuthorizationServer, issuer, member).await
}

/// An address that the issuer's metadata has. The first place that has the metadata wins; a place that has somebody
/// else's ends the search (DISC-01, DISC-02, SBCP-08, SSF-04).
pub(super) async fn discover_in(
    https: &Https,
    metadata: Metadata,
    issuer: &str,
    member: &str,
) -> Result<Uri, Fault> {
    let [first, second] = places(metadata, issuer)?;
    match discover_at(https, first, issuer, member).await {
        Err(Fault::Status(_) | Fault::Malformed) => discover_at(https, second, issuer, member).await,
        found => found,
    }
}

async fn discover_at(https: &Https, place: Uri, issuer: &str, member: &str) -> Result<Uri, Fault> {
    address(&https.get(place).await?, issuer, member)
}

/// The places to look, in order: RFC 8414 puts the well-known path before the issuer's, OpenID after it (DISC-01). SSF
/// does as RFC 8414; Keycloak, below a path of its own, has it behind the realm's only.
fn places(metadata: Metadata, issuer: &str) -> Result<[Uri; 2], Fault> {
    let [before, behind] = match metadata {
        Metadata::AuthorizationServer => ["oauth-authorization-server", "openid-configuration"],
        Metadata::Transmitter => ["ssf-configuration"; 2],
    };
    let uri: Uri = issuer.parse().map_err(|_| Fault::Address)?;
    let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Fault::Address);
    };
    let path = uri.path().trim_end_matches('/');
    let place = |path: String| {
        let built = Uri::builder().scheme("https").authority(authority.clone()).path_and_query(path).build();
        built.map_err(|_| Fault::Address)
    };
    Ok([place(format!("/.well-known/{before}{path}"))?, place(format!("{path}/.well-known/{behind}"))?])
}

/// An address in a metadata document that is this very issuer's (DISC-02), over TLS (JWKS-09).
fn address(document: &[u8], issuer: &str, name: &str) -> Result<Uri, Fault> {
    let document = Json::parse_object(document).ok_or(Fault::Malformed)?;
    let member = |name: &str| document.get(name).and_then(|value| value.as_str());
    if member("issuer").ok_or(Fault::Malformed)? != issuer {
        return Err(Fault::IssuerMismatch);
    }
    let uri: Uri = member(name).and_then(|uri| uri.parse().ok()).ok_or(Fault::Malformed)?;
    if uri.scheme_str() == Some("https") { Ok(uri) } else { Err(Fault::NotHttps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DISC-01
    #[test]
    fn the_well_known_path_goes_in_the_middle_or_at_the_end() {
        for (issuer, oauth, openid) in [
            (
                "https://as.example.com",
                "https://as.example.com/.well-known/oauth-authorization-server",
                "https://as.example.com/.well-known/openid-configuration",
            ),
            (
                "https://as.example.com:8443/tenant/one/",
                "https://as.example.com:8443/.well-known/oauth-authorization-server/tenant/one",
                "https://as.example.com:8443/tenant/one/.well-known/openid-configuration",
            ),
        ] {
            let found = places(Metadata::AuthorizationServer, issuer).unwrap();
            assert_eq!(found.map(|uri| uri.to_string()), [oauth, openid]);
        }
        assert_eq!(places(Metadata::AuthorizationServer, "urn:issuer"), Err(Fault::Address));
    }

    /// SSF-06
    #[test]
    fn a_transmitter_publishes_in_the_middle_and_keycloak_below_a_path_at_the_end() {
        let found = places(Metadata::Transmitter, "https://sso.example.com/auth/realms/one").unwrap();
        let expected = [
            "https://sso.example.com/.well-known/ssf-configuration/auth/realms/one",
            "https://sso.example.com/auth/realms/one/.well-known/ssf-configuration",
        ];
        assert_eq!(found.map(|uri| uri.to_string()), expected);
    }

    /// DISC-02, JWKS-09, JW-014
    #[test]
    fn only_this_issuers_document_counts() {
        let issuer = "https://as.example.com/a";
        let read = |text: &str| address(text.as_bytes(), issuer, "jwks_uri").map(|uri| uri.to_string());
        let good = r#"{"issuer":"https://as.example.com/a","jwks_uri":"https://keys.example.net/jwks?v=1"}"#;
        assert_eq!(read(good).as_deref(), Ok("https://keys.example.net/jwks?v=1"));
        for other in
            ["https://as.example.com/a/", "https://AS.example.com/a", "https://as.example.com/{tenant}"]
        {
            assert_eq!(read(&good.replace(issuer, other)), Err(Fault::IssuerMismatch), "{other}");
        }
        assert_eq!(read(&good.replace("https://keys", "http://keys")), Err(Fault::NotHttps));
        assert_eq!(read(&good.replace("https://keys.example.net", "")), Err(Fault::NotHttps));
        for bad in
            ["", "<html>", "[]", r#"{"jwks_uri":"https://x/"}"#, r#"{"issuer":"https://as.example.com/a"}"#]
        {
            assert_eq!(read(bad), Err(Fault::Malformed), "{bad}");
        }
        let twice = good.replacen('{', r#"{"issuer":"https://evil.example","#, 1);
        assert_eq!(read(&twice), Err(Fault::Malformed), "duplicate members");
    }
}
