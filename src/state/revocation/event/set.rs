//! A Security Event Token (RFC 8417): a compact JWS that says who tells what of whom.
//!
//! Decides whether bytes are an event that a transmitter signed for us, in the profile of the Shared Signals Framework
//! (section 4). Everything but the signature is looked at first, so that what could never be believed asks for no
//! keys. What the event means is decided in [`effects`](super::effects).

use super::{MAX_BYTES, Refusal, effects};
use crate::pop::access_token::{Expected, check_signature};
use crate::pop::algorithm::Algorithm;
use crate::pop::jose::{Compact, Json, Object};
use crate::pop::key_set::KeySet;
use crate::pop::{Denial, Timestamp};
use std::time::Duration;

/// A SET that was read, and not yet to be believed.
#[derive(Debug)]
pub(in crate::state::revocation) struct Unverified<'a> {
    compact: Compact<'a>,
    header: Object<'static>,
    claims: Object<'static>,
}

/// All that a SET says, and the signature still to be checked.
#[derive(Debug)]
pub(in crate::state::revocation) struct Unsigned<'a> {
    compact: Compact<'a>,
    header: Object<'static>,
    algorithm: Algorithm,
    set: Set,
}

/// What a transmitter said.
#[derive(Debug, PartialEq)]
pub(in crate::state::revocation) struct Set {
    /// `jti`
    pub(in crate::state::revocation) id: String,
    /// `iss`
    pub(in crate::state::revocation) issuer: String,
    /// `iat`
    pub(super) issued_at: Timestamp,
    /// `toe`
    pub(super) happened: Option<Timestamp>,
    /// The event's type, a URI.
    pub(super) kind: String,
    /// What it says.
    pub(super) payload: Object<'static>,
    /// `sub_id`
    pub(super) subject: Object<'static>,
}

/// Why a signature is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::revocation) enum Doubt {
    /// The key is not known. Fresher keys may help.
    KeyUnknown,
    /// It is no signature by any key of the transmitter's.
    Wrong,
}

impl<'a> Unverified<'a> {
    /// Splits a SET and reads header and claims; the type is a security event's, so that no other kind of token passes
    /// for one (SET-02, SET-03, SSF-03; RV-009).
    pub(in crate::state::revocation) fn parse(bytes: &'a [u8]) -> Result<Unverified<'a>, Refusal> {
        if bytes.len() > MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        let read = |part: Option<Vec<u8>>| Json::parse_object(&part?).map(Object::into_owned);
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::NotAnObject)?;
        let compact = Compact::split(text.trim_ascii()).ok_or(Refusal::NotAnObject)?;
        let header = read(compact.header()).ok_or(Refusal::NotAnObject)?;
        let claims = read(compact.payload()).ok_or(Refusal::NotAnObject)?;
        let typ = header.get("typ").and_then(Json::as_str).ok_or(Refusal::SetType)?.to_ascii_lowercase();
        if typ.strip_prefix("application/").unwrap_or(&typ) != TYPE {
            return Err(Refusal::SetType);
        }
        if header.has("crit") || header.has("b64") {
            return Err(Refusal::SetCritical);
        }
        Ok(Unverified { compact, header, claims })
    }

    /// The `iss` claim, not yet to be believed.
    pub(in crate::state::revocation) fn issuer(&self) -> Result<&str, Refusal> {
        text(&self.claims, "iss").ok_or(Refusal::Issuer)
    }

    /// When it was issued, if what it tells passes: tokens expire, the state of a stream stays.
    pub(in crate::state::revocation) fn passing_since(&self) -> Option<Timestamp> {
        only_event(&self.claims).filter(|(kind, _)| !effects::is_lasting(kind))?;
        self.claims.get("iat").and_then(Json::as_numeric_date)
    }

    /// Checks all but the signature (SET-01, SET-04, SET-06, SSF-01, SSF-02, SSF-05, SSF-07; CAEP-04 is the list of
    /// algorithms; RV-009, RV-011, RV-017).
    pub(in crate::state::revocation) fn check(
        self,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Unsigned<'a>, Refusal> {
        let claims = &self.claims;
        let issuer = self.issuer()?.to_owned();
        if issuer != *expected.issuer {
            return Err(Refusal::Transmitter);
        }
        let algorithm = text(&self.header, "alg")
            .and_then(Algorithm::from_name)
            .filter(|algorithm| expected.algorithms.contains(algorithm))
            .ok_or(Refusal::Algorithm)?;
        if !claims.get("aud").is_some_and(|aud| is_for_us(aud, expected)) {
            return Err(Refusal::Audience);
        }
        if claims.has("sub") {
            return Err(Refusal::SubPresent);
        }
        if claims.has("exp") {
            return Err(Refusal::ExpPresent);
        }
        let issued_at = claims.get("iat").and_then(Json::as_numeric_date).ok_or(Refusal::IssuedAt)?;
        if issued_at > now.plus(SKEW) {
            return Err(Refusal::Future);
        }
        let id = text(claims, "jti").ok_or(Refusal::TokenId)?.to_owned();
        let (kind, payload) = only_event(claims).ok_or(Refusal::Events)?;
        let happened = match claims.get("toe") {
            Some(toe) => Some(toe.as_numeric_date().ok_or(Refusal::EventTime)?),
            None => None,
        };
        let subject = claims.get("sub_id").and_then(Json::as_object).ok_or(Refusal::SubjectMissing)?;
        let subject = subject.clone();
        let set = Set { id, issuer, issued_at, happened, kind, payload, subject };
        Ok(Unsigned { compact: self.compact, header: self.header, algorithm, set })
    }
}

impl Unsigned<'_> {
    /// What was said, if one of these keys signed it (SET-06).
    pub(in crate::state::revocation) fn verify(self, keys: &KeySet) -> Result<Set, Doubt> {
        match check_signature(&self.compact, &self.header, self.algorithm, keys) {
            Ok(_) => Ok(self.set),
            Err(Denial::TokenKeyUnknown) => Err(Doubt::KeyUnknown),
            // Without a name it may be of a key that is newer than these.
            Err(_) if !self.header.has("kid") => Err(Doubt::KeyUnknown),
            Err(_) => Err(Doubt::Wrong),
        }
    }
}

/// `aud`, a text or a list of texts, has one of ours.
fn is_for_us(aud: &Json<'_>, expected: &Expected) -> bool {
    let ours = |aud: &Json<'_>| aud.as_str().is_some_and(|aud| expected.audiences.iter().any(|a| a == aud));
    match aud.as_array() {
        Some(list) => list.iter().all(|aud| aud.as_str().is_some()) && list.iter().any(ours),
        None => ours(aud),
    }
}

/// The one event: several would be aspects of one and need to be understood together.
fn only_event(claims: &Object<'static>) -> Option<(String, Object<'static>)> {
    let mut events = claims.get("events")?.as_object()?.iter();
    let (kind, payload) = events.next()?;
    let alone = events.next().is_none() && !kind.is_empty();
    alone.then(|| Some((kind.to_owned(), payload.as_object()?.clone())))?
}

fn text<'o>(object: &'o Object<'_>, name: &str) -> Option<&'o str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The media type of a SET (RFC 8417 section 7.2), without `application/`.
const TYPE: &str = "secevent+jwt";
/// How far a transmitter's clock may be ahead of ours: to refuse an event is to let a token live.
pub(super) const SKEW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
