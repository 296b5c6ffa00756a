//! Token introspection (RFC 7662): what the issuer says of a token, read into an [`AccessToken`].
//!
//! An answer comes as JSON ([`plain`]) or signed (RFC 9701, [`signed`]), and means one of two things: not active,
//! or active with what the token says. Active is not enough: audience, issuer, times, scope and binding are
//! judged here as strictly as a JWT's (INTR-03, DPOP-20). The server sees no proof; possession is proved to
//! us alone, by whatever `cnf` asks for (RFC 9449 section 6.2, RFC 8705 section 3.2). An answer that is no
//! answer is the server's failure and never a refusal (INTR-06).
//!
//! Any member may be missing and unknown ones are ignored (INTR-09), but what is missing is no permission: `exp`,
//! `iat` or `nbf`, and `client_id` must be said, for without them nobody could tell how long the token lives or revoke
//! it. `sub` is the client's where it is missing (RFC 9068 section 2.2: client credentials), `jti` the hash of the
//! token, `iss` the issuer that was asked. Not decided here: who is asked, when, and for how long an answer serves.

mod signed;

pub use signed::{SIGNED_TYPE, Unbelievable, signed};

use super::access_token::{AccessToken, Expected, Said, TokenHash, claims};
use super::confirmation::Confirmation;
use super::jose::{Json, Object};
use super::{Denial, Timestamp};
use std::fmt;
use std::sync::Arc;

/// What one issuer's answers must satisfy.
#[derive(Clone, Debug)]
pub struct Terms {
    /// As of its other tokens.
    pub expected: Arc<Expected>,
    /// What an answer without an audience means.
    pub missing_audience: MissingAudience,
}

/// What an answer without `aud` means, or with an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingAudience {
    /// Nobody knows that the token is for us, so it is not (RFC 9700 section 2.3).
    Refuse,
    /// The server says active of nothing that is not for the client who asks (RFC 7662 section 4), and is believed.
    Accept,
}

/// What the server says of a token.
pub enum Answer {
    /// It is active, and says this.
    Active(Object<'static>),
    /// It is not, for whatever reason.
    Inactive,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Answer::Active(_) => "Active(…)",
            Answer::Inactive => "Inactive",
        })
    }
}

/// Reads an answer in JSON; `None` if it is none. (TK-033)
pub fn plain(body: &[u8]) -> Option<Answer> {
    Some(Answer::of(Json::parse_object(body)?))
}

impl Answer {
    /// Whatever is not the boolean `true` is not active. (INTR-02)
    fn of(answer: Object<'_>) -> Answer {
        let active = matches!(answer.get("active"), Some(Json::Bool(true)));
        if active { Answer::Active(answer.into_owned()) } else { Answer::Inactive }
    }

    /// The token that the answer is all we know of.
    pub fn establish(
        self,
        token: &str,
        hash: TokenHash,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<AccessToken, Denial> {
        let told = self.active()?;
        let confirmation = check_common(&told, terms, Confirmation::default())?;
        let not_before = claims::date(&told, "nbf")?;
        let issued_at = claims::date(&told, "iat")?.or(not_before).ok_or(Denial::TokenClaims)?;
        let expires_at = claims::date(&told, "exp")?.ok_or(Denial::TokenClaims)?;
        claims::check_times(issued_at, not_before, expires_at, &terms.expected, now)?;
        let client = claims::client(&told)?.ok_or(Denial::TokenClaims)?;
        // Some servers have the token for its own `jti`: that is never to be seen in a log or a header.
        let named = claims::text(&told, "jti")?.filter(|jti| *jti != token).map(str::to_owned);
        let said = Said {
            subject: claims::text(&told, "sub")?.unwrap_or(client),
            client,
            token_id: &named.unwrap_or_else(|| hash.to_text()),
            signing_key: None,
            scope: claims::scope(&told)?,
            issued_at,
            expires_at,
            confirmation,
        };
        Ok(AccessToken::of(hash, &terms.expected, said, told.clone()))
    }

    /// A token that we verified ourselves, if the issuer still says the same of it. Of scope and time, what both
    /// grant; a server may show each client a part of the scope only (RFC 7662 section 2.2).
    pub fn confirm(
        self,
        token: &Arc<AccessToken>,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Arc<AccessToken>, Denial> {
        let told = self.active()?;
        let known = *token.confirmation();
        if check_common(&told, terms, known)? != known {
            return Err(Denial::ConfirmationUnknown);
        }
        let contradicts = |said: Option<&str>, ours: &str| said.is_some_and(|said| said != ours);
        if contradicts(claims::text(&told, "sub")?, token.subject())
            || contradicts(claims::client(&told)?, token.client())
            || contradicts(claims::text(&told, "jti")?, token.token_id())
        {
            return Err(Denial::TokenClaims);
        }
        claims::check_begun(claims::date(&told, "iat")?, claims::date(&told, "nbf")?, now)?;
        let until = claims::date(&told, "exp")?.unwrap_or(token.expires_at()).min(token.expires_at());
        if now >= until {
            return Err(Denial::TokenExpired);
        }
        let scope = if told.has("scope") { common(token.scope(), claims::scope(&told)?) } else { None };
        if scope.is_none() && until == token.expires_at() {
            return Ok(Arc::clone(token));
        }
        Ok(Arc::new(token.restricted(scope.as_deref().unwrap_or(token.scope()), until)))
    }

    fn active(self) -> Result<Object<'static>, Denial> {
        match self {
            Answer::Active(told) => Ok(told),
            Answer::Inactive => Err(Denial::TokenInactive),
        }
    }
}

/// What every active answer must satisfy: it is about an access token, of this issuer, for us, bound to what it
/// says. (INTR-03, INTR-09)
///
/// `known` is the binding if the answer says nothing of one.
fn check_common(told: &Object<'_>, terms: &Terms, known: Confirmation) -> Result<Confirmation, Denial> {
    // A refresh token is active too, but nobody's access token. The names are Hydra's and Keycloak's.
    let other = |name: &str| told.get(name).and_then(|value| value.as_str()).is_some_and(is_other_kind);
    if other("token_use") || other("typ") {
        return Err(Denial::TokenType);
    }
    if told.get("iss").is_some_and(|iss| iss.as_str() != Some(&*terms.expected.issuer)) {
        return Err(Denial::TokenIssuer);
    }
    let nobodys = |aud: &Json<'_>| *aud == Json::Null || aud.as_array().is_some_and(<[_]>::is_empty);
    match (told.get("aud").filter(|aud| !nobodys(aud)), terms.missing_audience) {
        (Some(aud), _) => claims::check_audience(aud, &terms.expected)?,
        (None, MissingAudience::Accept) => {}
        (None, MissingAudience::Refuse) => return Err(Denial::TokenAudience),
    }
    let confirmation = if told.has("cnf") { Confirmation::of(told)? } else { known };
    check_token_type(told, &confirmation)?;
    Ok(confirmation)
}

/// `token_type` and the binding must not contradict each other (RFC 9449 section 6.2), in whatever case it is written
/// (RFC 6749 section 5.1). (DPOP-22, DG-022, MTLS-05)
fn check_token_type(told: &Object<'_>, confirmation: &Confirmation) -> Result<(), Denial> {
    let Some(token_type) = claims::text(told, "token_type")? else { return Ok(()) };
    let is = |name: &str| token_type.eq_ignore_ascii_case(name);
    if !is("DPoP") && !is("Bearer") {
        return Err(Denial::TokenType);
    }
    if is("DPoP") == confirmation.jkt.is_some() { Ok(()) } else { Err(Denial::ConfirmationUnknown) }
}

fn is_other_kind(name: &str) -> bool {
    OTHER_KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(name))
}

/// The scopes that are in both; `None` if those are all of ours.
fn common(ours: &str, told: &str) -> Option<String> {
    let has = |scope: &&str| told.split(' ').any(|other| other == *scope);
    let all = ours.split(' ').filter(|scope| !scope.is_empty());
    (!all.clone().all(|scope| has(&scope))).then(|| all.filter(has).collect::<Vec<_>>().join(" "))
}

const OTHER_KINDS: &[&str] = &["refresh_token", "refresh", "offline", "id_token", "id"];
#[cfg(test)]
mod tests;
