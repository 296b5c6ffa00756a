//! What a DPoP proof says, beside what would have passed (RFC 9449 section 4.3).

use super::{Pair, Scene, list, moment, present};
use crate::pop::jose::{Compact, Json, Object};
use crate::pop::jwk::PublicJwk;
use crate::pop::{DPOP, Request};

/// Header and claims of a proof, whoever signed it.
pub(super) struct Read {
    header: Object<'static>,
    claims: Object<'static>,
}

impl Read {
    pub(super) fn of(request: &Request<'_>) -> Option<Read> {
        let compact = Compact::split(request.headers.get(DPOP)?.to_str().ok()?)?;
        let object = |text: Vec<u8>| Json::parse_object(&text).map(Object::into_owned);
        Some(Read { header: object(compact.header()?)?, claims: object(compact.payload()?)? })
    }

    /// Of the key that it names, which may be anybody's.
    pub(super) fn thumbprint(&self) -> Option<String> {
        let key = PublicJwk::parse(self.header.get("jwk")?.as_object()?).ok()?;
        Some(key.thumbprint().as_str().to_owned())
    }

    fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }
}

pub(super) fn count(scene: &Scene<'_>) -> Option<Pair> {
    let count = scene.request?.headers.get_all(DPOP).iter().count();
    Some((Some("one DPoP header".to_owned()), Some(count.to_string())))
}

pub(super) fn claims(_: &Scene<'_>, read: &Read) -> Option<Pair> {
    Some((Some(REQUIRED.join(", ")), Some(present(&read.claims, &REQUIRED))))
}

pub(super) fn typ(_: &Scene<'_>, read: &Read) -> Option<Pair> {
    Some((Some("dpop+jwt".to_owned()), read.header.get("typ").map(ToString::to_string)))
}

pub(super) fn algorithm(scene: &Scene<'_>, read: &Read) -> Option<Pair> {
    let accepted = list(scene.dpop.algorithms.iter().map(|one| one.name()));
    Some((Some(accepted), read.header.get("alg").map(ToString::to_string)))
}

pub(super) fn key(_: &Scene<'_>, read: &Read) -> Option<Pair> {
    let jwk = read.header.get("jwk").and_then(|jwk| jwk.as_object());
    let told = |name: &str| jwk.and_then(|jwk| jwk.get(name)).map_or("none".to_owned(), ToString::to_string);
    let expected = format!("a public key for {}", read.header.get("alg")?.as_str()?);
    Some((Some(expected), Some(format!("kty {}, crv {}", told("kty"), told("crv")))))
}

pub(super) fn method(scene: &Scene<'_>, read: &Read) -> Option<Pair> {
    Some((Some(scene.request?.method.to_string()), read.claim("htm").map(str::to_owned)))
}

/// Without what may stand behind the path, which is nobody's business.
pub(super) fn target(scene: &Scene<'_>, read: &Read) -> Option<Pair> {
    let htu = read.claim("htu")?.split(['?', '#']).next().unwrap_or_default();
    Some((Some(scene.request?.target.as_str().to_owned()), Some(htu.to_owned())))
}

pub(super) fn time(scene: &Scene<'_>, read: &Read) -> Option<Pair> {
    let (from, to) = (scene.now.minus(scene.dpop.max_age), scene.now.plus(scene.dpop.max_future));
    let said = |name: &'static str| {
        let time = read.claims.get(name).and_then(Json::as_numeric_date)?;
        Some(format!("{name} {}", moment(time)))
    };
    let found: Vec<String> = ["iat", "nbf", "exp"].into_iter().filter_map(said).collect();
    Some((Some(format!("iat from {} to {}", moment(from), moment(to))), Some(found.join(", "))))
}

pub(super) fn replay(_: &Scene<'_>, read: &Read) -> Option<Pair> {
    Some((Some("a jti that is new".to_owned()), Some(format!("jti {}", read.claim("jti")?))))
}

/// Section 4.2.
const REQUIRED: [&str; 5] = ["jti", "htm", "htu", "iat", "ath"];
