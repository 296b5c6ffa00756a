//! `issuers`: whose tokens are believed, and what is expected of them (RFC 8414, RFC 9068).

use super::{Checks, algorithms, introspection, pem};
use crate::config::Issuer;
use crate::config::file::Issuer as Written;
use crate::config::tree::{item, member};
use crate::config::words::quoted;
use crate::pop::access_token::Expected;
use http::Uri;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;

/// Every issuer; `None` if one of them is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &[Written]) -> Option<Vec<Issuer>> {
    let mut seen: Vec<&str> = Vec::new();
    let mut issuers = Vec::new();
    for (at, one) in written.iter().enumerate() {
        let path = item("issuers", at);
        if let Some(name) = one.issuer.as_deref() {
            if seen.contains(&name) {
                c.fault(&member(&path, "issuer"), "this issuer is in the list twice")
                    .found(quoted(name))
                    .expected("each issuer once, with all its audiences");
            }
            seen.push(name);
        }
        issuers.push(issuer(c, &path, one));
    }
    issuers.into_iter().collect()
}

fn issuer(c: &mut Checks<'_>, path: &str, written: &Written) -> Option<Issuer> {
    let at = |key| member(path, key);
    let name = written.issuer.as_deref().and_then(|name| identifier(c, &at("issuer"), name));
    let algorithms = algorithms::check(c, &at("algorithms"), &written.algorithms);
    let token_types = token_types(c, &at("token_types"), &written.token_types);
    non_empty(c, &at("audiences"), written.audiences.as_deref().unwrap_or_default());
    let (jwks_uri, ca) = source_of_keys(c, path, written.jwks_uri.as_deref(), written.ca.as_deref());
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let refresh = c.within(&at("jwks.refresh"), written.jwks.refresh, 10 * second, day);
    let cooldown = c.within(&at("jwks.cooldown"), written.jwks.cooldown, second, 3600 * second);
    let max_stale = c.within(&at("jwks.max_stale"), written.jwks.max_stale, 10 * second, 30 * day);
    let max_lifetime = c.within(&at("max_token_lifetime"), written.max_token_lifetime, second, 30 * day);
    let introspection = match &written.introspection {
        Some(one) => introspection::check(c, &at("introspection"), one).map(Some),
        None => Some(None),
    };
    if written.jwks.max_stale.0 < written.jwks.refresh.0 && !c.is_unsound(&at("jwks")) {
        c.fault(&at("jwks.max_stale"), "keys would go stale before they are fetched again")
            .found(quoted(&written.jwks.max_stale.to_string()))
            .expected(format!("at least `refresh`, {}", written.jwks.refresh));
    }
    Some(Issuer {
        expected: Arc::new(Expected {
            issuer: name?,
            audiences: written.audiences.clone()?,
            algorithms: algorithms?,
            token_types: token_types?,
            max_lifetime: max_lifetime?,
        }),
        jwks_uri: jwks_uri?,
        ca: ca?,
        jwks_refresh: refresh?,
        jwks_cooldown: cooldown?,
        jwks_max_stale: max_stale?,
        introspection: introspection?,
    })
}

/// Where a signer's keys are, `None` for where they are discovered, and the extra trust anchors of its TLS.
pub(super) fn source_of_keys(
    c: &mut Checks<'_>,
    path: &str,
    jwks_uri: Option<&str>,
    ca: Option<&str>,
) -> (Option<Option<Uri>>, Option<Vec<CertificateDer<'static>>>) {
    let jwks_uri = match jwks_uri {
        Some(uri) => https(c, &member(path, "jwks_uri"), uri).map(Some),
        None => Some(None),
    };
    let ca = match ca {
        Some(file) => pem::certificates(c, &member(path, "ca"), file),
        None => Some(Vec::new()),
    };
    (jwks_uri, ca)
}

/// RFC 8414 section 2: https, no query, no fragment (DISC-03).
pub(super) fn identifier(c: &mut Checks<'_>, path: &str, name: &str) -> Option<Arc<str>> {
    https(c, path, name)?;
    if name.contains('?') {
        c.fault(path, "an issuer has no query").found(quoted(name)).expected("https://HOST/PATH");
        return None;
    }
    Some(Arc::from(name))
}

/// An absolute https URL without userinfo and fragment.
pub(super) fn https(c: &mut Checks<'_>, path: &str, written: &str) -> Option<Uri> {
    let uri = written.parse::<Uri>().ok().filter(|uri| {
        let authority = uri.authority().map_or("", |a| a.as_str());
        let host = uri.host().is_some_and(|h| !h.is_empty());
        uri.scheme_str() == Some("https") && host && !authority.contains('@')
    });
    let message = match &uri {
        Some(_) if written.contains('#') => "this URL must not have a fragment",
        Some(_) => return uri,
        None => "this is not an https URL",
    };
    c.fault(path, message).found(quoted(written)).expected("https://HOST/PATH");
    None
}

/// What `typ` may be: of access tokens, never of another kind of JWT (BCP-11, JINT-04).
fn token_types(c: &mut Checks<'_>, path: &str, written: &[String]) -> Option<Vec<String>> {
    let mut types = Vec::new();
    for (at, name) in written.iter().enumerate() {
        let path = item(path, at);
        let lower = name.to_ascii_lowercase();
        let short = lower.strip_prefix("application/").unwrap_or(&lower).to_owned();
        if short.is_empty() || short.contains(|c: char| !c.is_ascii_graphic()) {
            c.fault(&path, "this is not a token type")
                .found(quoted(name))
                .expected("at+jwt, perhaps also JWT");
        } else if OTHER_KINDS.contains(&short.as_str()) {
            c.fault(&path, "tokens of this type are not access tokens (RFC 8725 section 3.11)")
                .found(quoted(name))
                .expected("at+jwt, perhaps also JWT");
        } else {
            types.push(short);
        }
    }
    (types.len() == written.len()).then_some(types)
}

/// No `aud` is empty.
pub(super) fn non_empty(c: &mut Checks<'_>, path: &str, written: &[String]) {
    for (at, text) in written.iter().enumerate().filter(|(_, text)| text.trim().is_empty()) {
        c.fault(&item(path, at), "this is empty").found(quoted(text)).expected("the value of `aud`");
    }
}

/// Explicit types of other JWTs: proofs, security events, logout tokens, introspection answers.
const OTHER_KINDS: &[&str] =
    &["dpop+jwt", "secevent+jwt", "logout+jwt", "token-introspection+jwt", "oauth-authz-req+jwt"];
