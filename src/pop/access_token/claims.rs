//! What a token says of itself, read alike from both its forms: the claims of a JWT (RFC 9068 section 2.2) and
//! the members of an introspection answer (RFC 7662 section 2.2). Which of them must be there, each form decides.

use super::{CLOCK_SKEW, Expected};
use crate::pop::jose::{Json, Object};
use crate::pop::{Denial, Timestamp};

/// A text that says something; `None` if it is not there.
pub(in crate::pop) fn text<'o>(claims: &'o Object<'_>, name: &str) -> Result<Option<&'o str>, Denial> {
    let said = |claim: &'o Json<'_>| claim.as_str().filter(|t| !t.is_empty()).ok_or(Denial::TokenClaims);
    claims.get(name).map(said).transpose()
}

/// The client: servers that do not follow RFC 9068 name it in `azp`.
pub(in crate::pop) fn client<'o>(claims: &'o Object<'_>) -> Result<Option<&'o str>, Denial> {
    if claims.has("client_id") { text(claims, "client_id") } else { text(claims, "azp") }
}

/// `scope`, empty where there is none.
pub(in crate::pop) fn scope<'o>(claims: &'o Object<'_>) -> Result<&'o str, Denial> {
    claims.get("scope").map_or(Ok(""), |scope| scope.as_str().ok_or(Denial::TokenClaims))
}

/// A point in time (AT-12); `None` if it is not there.
pub(in crate::pop) fn date(claims: &Object<'_>, name: &str) -> Result<Option<Timestamp>, Denial> {
    claims.get(name).map(|claim| claim.as_numeric_date().ok_or(Denial::TokenClaims)).transpose()
}

/// Whether `aud`, a text or a list of texts, names one of our audiences (AT-04, BCP-09, SBCP-02).
pub(in crate::pop) fn check_audience(aud: &Json<'_>, expected: &Expected) -> Result<(), Denial> {
    let ours =
        |value: &Json<'_>| value.as_str().is_some_and(|aud| expected.audiences.iter().any(|a| a == aud));
    let accepted = match aud {
        value @ Json::String(_) => ours(value),
        Json::Array(values) => values.iter().all(|v| v.as_str().is_some()) && values.iter().any(ours),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => false,
    };
    if accepted { Ok(()) } else { Err(Denial::TokenAudience) }
}

/// Whether the token is valid now (AT-06), and not for longer than its issuer's tokens may be (DPOP-45).
pub(in crate::pop) fn check_times(
    issued_at: Timestamp,
    not_before: Option<Timestamp>,
    expires_at: Timestamp,
    expected: &Expected,
    now: Timestamp,
) -> Result<(), Denial> {
    if now >= expires_at {
        return Err(Denial::TokenExpired);
    }
    check_begun(Some(issued_at), not_before, now)?;
    if issued_at >= expires_at || expires_at.since(issued_at) > expected.max_lifetime {
        return Err(Denial::TokenLifetime);
    }
    Ok(())
}

/// Whether neither `iat` nor `nbf` lies in the future, by more than clocks may differ (AT-13, FAPI-08).
pub(in crate::pop) fn check_begun(
    issued_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Denial> {
    let begun = issued_at.max(not_before).is_none_or(|begin| begin <= now.plus(CLOCK_SKEW));
    if begun { Ok(()) } else { Err(Denial::TokenNotYetValid) }
}
