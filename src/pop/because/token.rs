//! What an access token says, beside what would have passed (RFC 9068 sections 2 and 4).

use super::{Expected, Pair, Scene, list, moment, present};
use crate::pop::credentials::Credentials;
use crate::pop::jose::{Compact, Json, Object};
use std::sync::Arc;

/// Header and claims of a token, whoever signed it. What is not a JWT was introspected: its claims are the issuer's
/// answer.
pub(super) struct Read {
    header: Object<'static>,
    claims: Object<'static>,
    expected: Option<Arc<Expected>>,
}

impl Read {
    pub(super) fn of(scene: &Scene<'_>) -> Option<Read> {
        let credentials = Credentials::of(scene.request?).ok()?;
        let compact = Compact::split(credentials.token());
        let object = |text: Option<Vec<u8>>| Json::parse_object(&text?).map(Object::into_owned);
        let header = object(compact.and_then(|compact| compact.header())).unwrap_or_default();
        let answered = || scene.token.map(|token| token.claims().clone());
        let claims = object(compact.and_then(|compact| compact.payload())).or_else(answered)?;
        let named = claims.get("iss").and_then(|iss| iss.as_str());
        let expected = named.or(scene.token.map(|token| token.issuer())).and_then(scene.expected);
        Some(Read { header, claims, expected })
    }

    /// What the issuer that it names is expected to write.
    fn demanded(&self, of: impl Fn(&Expected) -> String) -> Option<String> {
        self.expected.as_deref().map(of)
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

pub(super) fn typ(_: &Scene<'_>, read: &Read) -> Pair {
    let types = |one: &Expected| list(one.token_types.iter().map(String::as_str));
    (read.demanded(types), read.header.get("typ").map(ToString::to_string))
}

pub(super) fn algorithm(_: &Scene<'_>, read: &Read) -> Pair {
    let names = |one: &Expected| list(one.algorithms.iter().map(|one| one.name()));
    (read.demanded(names), read.header.get("alg").map(ToString::to_string))
}

pub(super) fn issuer(scene: &Scene<'_>, read: &Read) -> Pair {
    (Some((scene.issuers)().join(" or ")), read.claims.get("iss").map(ToString::to_string))
}

pub(super) fn key(_: &Scene<'_>, read: &Read) -> Pair {
    let told = |name: &str| read.header.get(name).map_or("none".to_owned(), ToString::to_string);
    let of = read.demanded(|one| format!("a key of {}", one.issuer));
    (of, Some(format!("kid {}, alg {}", told("kid"), told("alg"))))
}

pub(super) fn claims(_: &Scene<'_>, read: &Read) -> Pair {
    (Some(REQUIRED.join(", ")), Some(present(&read.claims, &REQUIRED)))
}

pub(super) fn audience(_: &Scene<'_>, read: &Read) -> Pair {
    let audiences = |one: &Expected| list(one.audiences.iter().map(String::as_str));
    (read.demanded(audiences), read.claims.get("aud").map(ToString::to_string))
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

pub(super) fn lifetime(_: &Scene<'_>, read: &Read) -> Pair {
    let most = read.demanded(|one| format!("at most {} s", one.max_lifetime.as_secs()));
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
