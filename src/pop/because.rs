//! Why a request was refused, in more words than the caller gets: the rule, what was expected, what was found.
//!
//! For whoever runs clinch: it goes to the log, the trace and the audit log, and never to the caller, who might learn by
//! it what to forge next. It is put together again from the request once that is refused, so that nothing of it
//! costs a request that passes. Values are safe: no token, no signature, no nonce, and never more than a line; what was
//! found in a token or a proof is what its text says, whether anybody signed it or not.

mod proof;
mod token;

use super::access_token::{AccessToken, Expected};
use super::jose::Object;
use super::policy::{Access, DpopPolicy, ProofKind, ProofRule, Requirements, Route};
use super::{Denial, Request, Timestamp};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The reason of one refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The rule, and where it is written.
    pub rule: &'static str,
    /// What would have passed, where that can be told.
    pub expected: Option<String>,
    /// What came instead.
    pub found: Option<String>,
}

/// What a refusal is explained by.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The request, where it got so far that there was one.
    pub request: Option<&'a Request<'a>>,
    /// Its route, where it has one.
    pub route: Option<&'a Route>,
    /// Its token, where that is genuine.
    pub token: Option<&'a AccessToken>,
    /// What is expected of an issuer's tokens; `None` if it is not listed.
    pub expected: &'a dyn Fn(&str) -> Option<Arc<Expected>>,
    /// The issuers whose tokens are accepted.
    pub issuers: &'a dyn Fn() -> Vec<String>,
    /// The rules for proofs.
    pub dpop: &'a DpopPolicy,
    /// The time that the request was judged by.
    pub now: Timestamp,
}

/// What was expected, and what was found.
type Pair = (Option<String>, Option<String>);

impl Because {
    /// Of a refusal.
    #[must_use]
    pub fn of(denial: Denial, scene: &Scene<'_>) -> Because {
        let (expected, found) = pair(denial, scene);
        Because { rule: denial.rule(), expected: expected.map(line), found: found.map(line) }
    }
}

fn pair(denial: Denial, scene: &Scene<'_>) -> Pair {
    let token =
        |told: fn(&Scene<'_>, &token::Read) -> Pair| token::Read::of(scene).map(|read| told(scene, &read));
    let proof = |told: fn(&Scene<'_>, &proof::Read) -> Option<Pair>| {
        proof::Read::of(scene.request?).and_then(|read| told(scene, &read))
    };
    let pair = match denial {
        Denial::MethodNotAllowed => scene.request.map(|request| (None, Some(request.method.to_string()))),
        Denial::KeyMismatch => key(scene),
        Denial::CertificateMissing | Denial::CertificateMismatch => certificate(scene),
        Denial::BearerWithProof
        | Denial::TokenUnbound
        | Denial::TokenBoundAsBearer
        | Denial::TokenNotDpopBound
        | Denial::ProofKindRefused => kind(scene),
        Denial::IssuerRefused => {
            told(scene, |demands, token| (demands.issuers.join(", "), token.issuer().to_owned()))
        }
        Denial::ClientRefused => {
            told(scene, |demands, token| (demands.clients.join(", "), token.client().to_owned()))
        }
        Denial::WorkloadRefused => workload(scene),
        Denial::ScopeInsufficient => told(scene, scope),
        Denial::AuthenticationInsufficient => told(scene, authentication),
        Denial::AuthenticationAndScopeInsufficient => told(scene, |demands, token| {
            let ((one, other), (scopes, scope)) = (authentication(demands, token), scope(demands, token));
            (format!("{one}, scope {scopes}"), format!("{other}, scope {scope}"))
        }),
        Denial::TokenType => token(token::typ),
        Denial::TokenAlgorithm => token(token::algorithm),
        Denial::TokenIssuer => token(token::issuer),
        Denial::TokenKeyUnknown | Denial::TokenSignature | Denial::KeysUnavailable => token(token::key),
        Denial::TokenClaims => token(token::claims),
        Denial::TokenAudience => token(token::audience),
        Denial::TokenExpired => token(token::expiry),
        Denial::TokenNotYetValid => token(token::beginning),
        Denial::TokenLifetime => token(token::lifetime),
        Denial::ConfirmationUnknown => token(token::confirmation),
        Denial::ProofDuplicate => proof::count(scene),
        Denial::ProofClaims => proof(proof::claims),
        Denial::ProofType => proof(proof::typ),
        Denial::ProofAlgorithm => proof(proof::algorithm),
        Denial::ProofKey => proof(proof::key),
        Denial::ProofMethod => proof(proof::method),
        Denial::ProofTarget => proof(proof::target),
        Denial::ProofBeforeStart | Denial::ProofExpired | Denial::ProofNotYetValid => proof(proof::time),
        Denial::ProofReplayed => proof(proof::replay),
        Denial::RequestMalformed
        | Denial::PathAmbiguous
        | Denial::HostUnknown
        | Denial::CertificateUnwelcome
        | Denial::MethodRefused
        | Denial::RouteUnknown
        | Denial::MetadataUnknown
        | Denial::CredentialsMissing
        | Denial::CredentialsMalformed
        | Denial::CredentialsAmbiguous
        | Denial::CredentialsInQuery
        | Denial::TokenMalformed
        | Denial::TokenCritical
        | Denial::TokenInactive
        | Denial::ProofMissing
        | Denial::ProofMalformed
        | Denial::ProofCritical
        | Denial::ProofSignature
        | Denial::ProofKeyPrivate
        | Denial::ProofTokenHash
        | Denial::NonceMissing
        | Denial::NonceUnknown
        | Denial::NonceExpired
        | Denial::TokenRevoked
        | Denial::IntrospectionUnavailable
        | Denial::RevocationsStale
        | Denial::ReplayFull
        | Denial::ReplayUnavailable
        | Denial::AuditUnavailable
        | Denial::Overloaded
        | Denial::TooManyInFlight
        | Denial::RateLimited
        | Denial::TooManyFailures
        | Denial::Cancelled
        | Denial::Internal => None,
    };
    pair.unwrap_or((None, None))
}

/// The key that the token is bound to, and that of the proof.
fn key(scene: &Scene<'_>) -> Option<Pair> {
    let bound_to = scene.token?.confirmation().jkt.map(|jkt| jkt.as_str().to_owned());
    Some((bound_to, proof::Read::of(scene.request?)?.thumbprint()))
}

/// The certificate that the token is bound to, and the caller's.
fn certificate(scene: &Scene<'_>) -> Option<Pair> {
    let bound_to = scene.token?.confirmation().x5t.map(|x5t| x5t.as_str().to_owned());
    let shown = scene.request?.certificate.map(|shown| shown.thumbprint.as_str().to_owned());
    Some((bound_to, shown.or(Some("no certificate".to_owned()))))
}

/// The kinds of proof that the route admits, and what the token asks for.
fn kind(scene: &Scene<'_>) -> Option<Pair> {
    let confirmation = scene.token?.confirmation();
    let bound = match (confirmation.jkt.is_some(), confirmation.x5t.is_some()) {
        (true, true) => "a token bound to a DPoP key and a certificate",
        (true, false) => "a token bound to a DPoP key",
        (false, true) => "a token bound to a certificate",
        (false, false) => "a token bound to nothing",
    };
    Some((demands(scene).map(|demands| admitted(demands.proof)), Some(bound.to_owned())))
}

fn workload(scene: &Scene<'_>) -> Option<Pair> {
    let id = scene.request?.certificate.and_then(|shown| shown.spiffe_id.as_ref());
    let patterns: Vec<String> = demands(scene)?.spiffe_ids.iter().map(ToString::to_string).collect();
    Some((Some(patterns.join(", ")), Some(id.map_or("no SPIFFE ID", |id| id.as_str()).to_owned())))
}

/// What the route demands of a token, and what the token has.
fn told(scene: &Scene<'_>, both: fn(&Requirements, &AccessToken) -> (String, String)) -> Option<Pair> {
    let (expected, found) = both(demands(scene)?, scene.token?);
    Some((Some(expected), Some(found)))
}

fn scope(demands: &Requirements, token: &AccessToken) -> (String, String) {
    (demands.scopes.join(" "), token.scope().to_owned())
}

fn authentication(demands: &Requirements, token: &AccessToken) -> (String, String) {
    let age = demands.max_auth_age.map(|age| format!("auth_time at most {} s ago", age.as_secs()));
    let acr = (!demands.acr.is_empty()).then(|| format!("acr {}", demands.acr.join(" or ")));
    let expected: Vec<String> = acr.into_iter().chain(age).collect();
    let claim = |name: &str| token.claims().get(name).map_or("none".to_owned(), ToString::to_string);
    (expected.join(", "), format!("acr {}, auth_time {}", claim("acr"), claim("auth_time")))
}

fn demands<'a>(scene: &Scene<'a>) -> Option<&'a Requirements> {
    match &scene.route?.access {
        Access::Protected(demands) => Some(demands),
        Access::Unprotected => None,
    }
}

fn admitted(rule: ProofRule) -> String {
    if rule.all {
        return ProofKind::DpopAndMtls.as_str().to_owned();
    }
    let kinds = [ProofKind::Dpop, ProofKind::Mtls, ProofKind::Bearer];
    list(kinds.into_iter().filter(|kind| rule.admits(*kind)).map(ProofKind::as_str))
}

/// The names of what is there of what must be, with a word on those whose type is wrong.
fn present(claims: &Object<'_>, required: &[&str]) -> String {
    let names = required.iter().filter_map(|name| {
        let value = claims.get(name)?;
        let good = match *name {
            "iat" | "exp" => value.as_numeric_date().is_some(),
            "aud" => true,
            _ => value.as_str().is_some_and(|text| !text.is_empty()),
        };
        Some(if good { (*name).to_owned() } else { format!("{name} malformed") })
    });
    names.collect::<Vec<_>>().join(", ")
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" or ")
}

/// A moment as people and machines read it.
fn moment(time: Timestamp) -> String {
    let seconds = u64::try_from(time.as_secs()).unwrap_or_default();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// No more than a line's worth. What looks like a JWT may be one that somebody put in the wrong place.
fn line(text: String) -> String {
    if text.contains("eyJ") {
        return "(withheld: it may be a token)".to_owned();
    }
    let text = without_userinfo(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// URLs may have passwords in them (RFC 3986 section 3.2.1): what stands before the `@` of an authority goes.
fn without_userinfo(text: String) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("//") {
        let (before, after) = rest.split_at(at + 2);
        let end = after.find(['/', '?', '#', '"', ' ', ',']).unwrap_or(after.len());
        clean.push_str(before);
        rest = match after[..end].rfind('@') {
            Some(userinfo) => &after[userinfo + 1..],
            None => after,
        };
    }
    clean.push_str(rest);
    clean
}

/// Characters of a value.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests;
