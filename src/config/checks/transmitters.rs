//! `revocation.transmitters`: who may sign security events, and for whose tokens it speaks (SSF section 7).

use super::issuers::{identifier, non_empty, source_of_keys};
use super::{Checks, algorithms, delivery};
use crate::config::file::{Audience, Transmitter as Written, Wildcard};
use crate::config::tree::{item, member};
use crate::config::words::quoted;
use crate::config::{Issuer, SubjectClaims, Transmitter};
use crate::pop::access_token::Expected;
use std::sync::Arc;
use std::time::Duration;

/// Every transmitter; `None` if one of them is at fault. `issuers` are the names of those whose tokens are accepted.
pub(super) fn check(c: &mut Checks<'_>, written: &[Written], issuers: &[&str]) -> Option<Vec<Transmitter>> {
    let mut checked: Vec<Option<Transmitter>> = Vec::new();
    for (at, one) in written.iter().enumerate() {
        let path = item(TRANSMITTERS, at);
        let before = written.get(..at).unwrap_or_default();
        if let Some(name) = one.issuer.as_deref()
            && before.iter().any(|other| other.issuer.as_deref() == Some(name))
        {
            c.fault(&member(&path, "issuer"), "this transmitter is in the list twice")
                .found(quoted(name))
                .expected("each transmitter once, with all its audiences");
        }
        let transmitter = transmitter(c, &path, one, issuers);
        if let Some(transmitter) = &transmitter {
            agree(c, &path, transmitter, checked.iter().flatten());
        }
        checked.push(transmitter);
    }
    checked.into_iter().collect()
}

fn transmitter(c: &mut Checks<'_>, path: &str, written: &Written, issuers: &[&str]) -> Option<Transmitter> {
    let at = |key| member(path, key);
    let name = written.issuer.as_deref().and_then(|name| identifier(c, &at("issuer"), name));
    let algorithms = algorithms::check(c, &at("algorithms"), &written.algorithms);
    let audiences = written.audience.as_ref().and_then(|one| audiences(c, &at("audience"), one));
    let (jwks_uri, ca) = source_of_keys(c, path, written.jwks_uri.as_deref(), written.ca.as_deref());
    let speaks_for = speaks_for(c, path, written, issuers);
    named(c, &at("critical_subject_members"), &written.critical_subject_members);
    named(c, &at("credential_types"), &written.credential_types);
    let claims =
        SubjectClaims { tenant: written.claims.tenant.clone(), device: written.claims.device.clone() };
    for (key, claim) in [("tenant", &claims.tenant), ("device", &claims.device)] {
        if claim.as_deref().is_some_and(|claim| claim.trim().is_empty()) {
            c.fault(&member(&at("claims"), key), "this is empty").expected("the name of a claim");
        }
    }
    let poll = match &written.poll {
        Some(poll) => delivery::poll(c, &at("poll"), poll).map(Some),
        None => Some(None),
    };
    let expected = Expected {
        issuer: name?,
        audiences: audiences?,
        algorithms: algorithms?,
        token_types: vec!["secevent+jwt".to_owned()],
        max_lifetime: Duration::ZERO,
    };
    Some(Transmitter {
        signer: Issuer {
            expected: Arc::new(expected),
            jwks_uri: jwks_uri?,
            ca: ca?,
            jwks_refresh: JWKS_REFRESH,
            jwks_cooldown: JWKS_COOLDOWN,
            jwks_max_stale: JWKS_MAX_STALE,
            introspection: None,
        },
        speaks_for: speaks_for?,
        claims,
        wildcard: written.wildcard == Wildcard::Allow,
        critical_subject_members: written.critical_subject_members.clone(),
        credential_types: written.credential_types.clone(),
        poll: poll?,
    })
}

fn audiences(c: &mut Checks<'_>, path: &str, written: &Audience) -> Option<Vec<String>> {
    match written {
        Audience::One(one) if one.trim().is_empty() => {
            c.fault(path, "this is empty").found(quoted(one)).expected("the value of `aud`");
            None
        }
        Audience::One(one) => Some(vec![one.clone()]),
        Audience::Any(list) => {
            non_empty(c, path, list);
            Some(list.clone())
        }
    }
}

/// The issuers it speaks for are configured ones; itself, if nothing is said (RV-010).
fn speaks_for(c: &mut Checks<'_>, path: &str, written: &Written, issuers: &[&str]) -> Option<Vec<String>> {
    let path = member(path, "speaks_for");
    let known = |name: &str| issuers.contains(&name);
    // Where an issuer is at fault there is no telling which ones there are.
    if c.is_unsound("issuers") || c.is_unsound(&path) {
        return None;
    }
    let Some(list) = &written.speaks_for else {
        let name = written.issuer.as_deref()?;
        if known(name) {
            return Some(vec![name.to_owned()]);
        }
        c.fault(&path, "whose tokens may this transmitter revoke? It is not itself one of `issuers`")
            .found("no `speaks_for`")
            .expected("`speaks_for:` with some of `issuers`");
        return None;
    };
    for (at, name) in list.iter().enumerate() {
        if !known(name) {
            c.fault(&item(&path, at), "there is no such issuer")
                .found(quoted(name))
                .expected("one of `issuers`");
        } else if list.iter().take(at).any(|before| before == name) {
            c.fault(&item(&path, at), "this issuer is in the list twice")
                .found(quoted(name))
                .expected("each issuer once");
        }
    }
    Some(list.clone())
}

/// A token has one tenant and one device, whoever speaks of them.
fn agree<'t>(
    c: &mut Checks<'_>,
    path: &str,
    one: &Transmitter,
    mut others: impl Iterator<Item = &'t Transmitter>,
) {
    let shares = |other: &Transmitter| other.speaks_for.iter().any(|issuer| one.speaks_for.contains(issuer));
    if others.any(|other| shares(other) && other.claims != one.claims) {
        c.fault(&member(path, "claims"), "another transmitter for the same issuer names other claims")
            .expected("the same `claims` for all that speak for one issuer");
    }
}

fn named(c: &mut Checks<'_>, path: &str, written: &[String]) {
    for (at, text) in written.iter().enumerate().filter(|(_, text)| text.trim().is_empty()) {
        c.fault(&item(path, at), "this is empty").found(quoted(text)).expected("a name");
    }
}

const TRANSMITTERS: &str = "revocation.transmitters";
/// How often the keys are fetched.
const JWKS_REFRESH: Duration = Duration::from_secs(300);
/// The least time between two fetches that unknown keys caused.
const JWKS_COOLDOWN: Duration = Duration::from_secs(10);
/// How long the last good keys serve when fetches fail.
const JWKS_MAX_STALE: Duration = Duration::from_secs(86_400);
