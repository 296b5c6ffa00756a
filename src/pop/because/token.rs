//! What an access token says, beside what would have passed (RFC 9068 sections 2 and 4).

use super::{Expected, Pair, Scene, list, moment, present};
use crate::pop::credentials::Credentials;
use crate::pop::jose::{Compact, Json, Object};

/// Header and claims of a token, whoever signed it. What is not a JWT was introspected: its claims are the issuer's
/// answer.
pub(super) struct Read {
    header: Object<'static>,
    claims: Object<'static>,
}

impl Read {
    pub(super) fn of(scene: &Scene<'_>) -> Option<Read> {
        let credentials = Credentials::of(scene.request?).ok()?;
        let compact = Compact::split(credentials.token());
        let object = |text: Option<Vec<u8>>| Json::parse_object(&text?).map(Object::into_owned);
        let header = object(compact.and_then(|compact| compact.header())).unwrap_or_default();
        let answered = || scene.token.map(|token| token.claims().clone());
        let claims = object(compact.and_then(|compact| compact.payload())).or_else(answered)?;
        Some(Read { header, claims })
    }

    fn dates(&self, names: &[&str]) -> String {
        let said = |name: &&str| {
            let time = self.claims.get(name).and_then(Json::as_numeric_date)?;
            Some(format!("{name} {}", moment(time)))
        };
        let said: Vec<String> = names.iter().filter_map(said).collect();
        said.join(", ")
    }
}

pub(super) fn typ(scene: &Scene<'_>, read: &Read) -> Pair {
    let types = |one: &Expected| list(one.token_types.iter().map(String::as_str));
    (scene.expected.map(types), read.header.get("typ").map(ToString::to_string))
}

pub(super) fn algorithm(scene: &Scene<'_>, read: &Read) -> Pair {
    let names = |one: &Expected| list(one.algorithms.iter().map(|one| one.name()));
    (scene.expected.map(names), read.header.get("alg").map(ToString::to_string))
}

pub(super) fn issuer(scene: &Scene<'_>, read: &Read) -> Pair {
    (Some(list(scene.issuers.iter().copied())), read.claims.get("iss").map(ToString::to_string))
}

pub(super) fn key(scene: &Scene<'_>, read: &Read) -> Pair {
    let told = |name: &str| read.header.get(name).map_or("none".to_owned(), ToString::to_string);
    let of = scene.expected.map(|one| format!("a key of {}", one.issuer));
    (of, Some(format!("kid {}, alg {}", told("kid"), told("alg"))))
}

pub(super) fn claims(_: &Scene<'_>, read: &Read) -> Pair {
    (Some(REQUIRED.join(", ")), Some(present(&read.claims, &REQUIRED)))
}

pub(super) fn audience(scene: &Scene<'_>, read: &Read) -> Pair {
    let audiences = |one: &Expected| list(one.audiences.iter().map(String::as_str));
    (scene.expected.map(audiences), read.claims.get("aud").map(ToString::to_string))
}

/// Introspection may have made it shorter than it says.
pub(super) fn expiry(scene: &Scene<'_>, read: &Read) -> Pair {
    let found = match scene.token {
        Some(token) => format!("exp {}", moment(token.expires_at())),
        None => read.dates(&["exp"]),
    };
    (Some(format!("exp after {}", moment(scene.now))), Some(found))
}

pub(super) fn beginning(scene: &Scene<'_>, read: &Read) -> Pair {
    (Some(format!("iat and nbf up to {}", moment(scene.now))), Some(read.dates(&["iat", "nbf"])))
}

pub(super) fn lifetime(scene: &Scene<'_>, read: &Read) -> Pair {
    let most = scene.expected.map(|one| format!("at most {} s", one.max_lifetime.as_secs()));
    (most, Some(read.dates(&["iat", "exp"])))
}

/// The names of the members: what they say is for the caller and its issuer.
pub(super) fn confirmation(_: &Scene<'_>, read: &Read) -> Pair {
    let members =
        |cnf: &Object<'_>| cnf.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(", ");
    let cnf = read.claims.get("cnf").and_then(|cnf| cnf.as_object());
    (Some("jkt or x5t#S256, well-formed".to_owned()), cnf.map(members))
}

/// RFC 9068 section 2.2.
const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
