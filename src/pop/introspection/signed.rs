//! The signed answer (RFC 9701): a JWT by the issuer, for the client who asked, made now.

use super::Answer;
use crate::pop::Denial;
use crate::pop::Timestamp;
use crate::pop::access_token::{Expected, check_signature};
use crate::pop::algorithm::Algorithm;
use crate::pop::jose::{Compact, Json, Object};
use crate::pop::key_set::KeySet;
use std::time::Duration;

/// Why a signed answer is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbelievable {
    /// It is signed with a key that is not known. Fresher keys may help.
    KeyUnknown,
    /// It is not signed as RFC 9701 has it, by this issuer, for us, now.
    Unverified,
}

/// Reads a signed answer: of the right type, by this issuer, for this client, made now (RFC 9701 section 5).
/// What it says is in `token_introspection` and nowhere else. (JINT-02, JINT-03)
pub fn signed(
    body: &[u8],
    expected: &Expected,
    client_id: &str,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Answer, Unbelievable> {
    let read = || {
        let compact = Compact::split(std::str::from_utf8(body).ok()?.trim_ascii())?;
        let header = Json::parse_object(&compact.header()?)?.into_owned();
        let algorithm = check_header(&header, expected)?;
        let claims = Json::parse_object(&compact.payload()?)?.into_owned();
        Some((compact, header, algorithm, claims))
    };
    let (compact, header, algorithm, claims) = read().ok_or(Unbelievable::Unverified)?;
    let answer = check_claims(&claims, expected, client_id, now).ok_or(Unbelievable::Unverified)?;
    check_signature(&compact, &header, algorithm, keys).map_err(|denial| {
        let unknown = denial == Denial::TokenKeyUnknown;
        if unknown { Unbelievable::KeyUnknown } else { Unbelievable::Unverified }
    })?;
    Ok(Answer::of(answer.clone()))
}

fn check_header(header: &Object<'_>, expected: &Expected) -> Option<Algorithm> {
    let typ = header.get("typ")?.as_str()?.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    if typ != SIGNED_TYPE || header.has("crit") || header.has("b64") {
        return None;
    }
    Algorithm::from_name(header.get("alg")?.as_str()?).filter(|alg| expected.algorithms.contains(alg))
}

fn check_claims<'o>(
    claims: &'o Object<'static>,
    expected: &Expected,
    client_id: &str,
    now: Timestamp,
) -> Option<&'o Object<'static>> {
    let by_issuer = claims.get("iss")?.as_str()? == &*expected.issuer;
    let aud = claims.get("aud")?;
    let us = |value: &Json<'_>| value.as_str() == Some(client_id);
    let for_us = us(aud) || aud.as_array().is_some_and(|values| values.iter().any(us));
    let made = claims.get("iat")?.as_numeric_date()?;
    let made_now = made <= now.plus(TOLERANCE) && now.since(made) <= OLDEST;
    (by_issuer && for_us && made_now).then(|| claims.get("token_introspection")?.as_object())?
}

/// The media type of a signed answer (RFC 9701 section 8.1), without `application/`.
pub const SIGNED_TYPE: &str = "token-introspection+jwt";
/// How far the server's clock may be ahead of ours.
const TOLERANCE: Duration = Duration::from_secs(5);
/// How long ago a signed answer may have been made: it answers the question just asked.
const OLDEST: Duration = Duration::from_secs(60);
