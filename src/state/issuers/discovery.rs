//! Where an issuer publishes its metadata, and what we take from it: `jwks_uri`, nothing else.
//!
//! Sources: RFC 8414 sections 3.1 and 3.3; OpenID Connect Discovery 1.0 sections 4 and 4.3. Pure.

use super::fetch::Fault;
use crate::pop::jose::Json;
use http::Uri;

/// The places to look, in order: RFC 8414 puts the well-known path before the issuer's, OpenID after it (DISC-01).
pub(super) fn places(issuer: &str) -> Result<[Uri; 2], Fault> {
    let uri: Uri = issuer.parse().map_err(|_| Fault::Address)?;
    let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Fault::Address);
    };
    let path = uri.path().trim_end_matches('/');
    let place = |path: String| {
        let built = Uri::builder().scheme("https").authority(authority.clone()).path_and_query(path).build();
        built.map_err(|_| Fault::Address)
    };
    Ok([
        place(format!("/.well-known/oauth-authorization-server{path}"))?,
        place(format!("{path}/.well-known/openid-configuration"))?,
    ])
}

/// The `jwks_uri` of a metadata document that is this very issuer's (DISC-02), over TLS (JWKS-09).
pub(super) fn jwks_uri(document: &[u8], issuer: &str) -> Result<Uri, Fault> {
    let document = Json::parse_object(document).ok_or(Fault::Malformed)?;
    let member = |name: &str| document.get(name).and_then(|value| value.as_str());
    if member("issuer").ok_or(Fault::Malformed)? != issuer {
        return Err(Fault::IssuerMismatch);
    }
    let uri: Uri = member("jwks_uri").and_then(|uri| uri.parse().ok()).ok_or(Fault::Malformed)?;
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
            let found = places(issuer).unwrap();
            assert_eq!(found.map(|uri| uri.to_string()), [oauth, openid]);
        }
        assert_eq!(places("urn:issuer"), Err(Fault::Address));
    }

    /// DISC-02, JWKS-09, JW-014
    #[test]
    fn only_this_issuers_document_counts() {
        let issuer = "https://as.example.com/a";
        let read = |text: &str| jwks_uri(text.as_bytes(), issuer).map(|uri| uri.to_string());
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
