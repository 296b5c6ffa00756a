//! The key of a proof: read from its header, or known from an earlier proof with the same token.
//!
//! All proofs that come with a token have the one key that it is bound to (RFC 9449 section 6). To read a key, to
//! name it and to make it ready for the cryptographic library costs as much as all other checks together, so a key
//! that has once signed a good proof is kept with its token. A later proof is compared with it character by character:
//! a valid key has one spelling. What is said in a proof is never believed for being known; its signature is checked.

use crate::pop::algorithm::Algorithm;
use crate::pop::jose::{Object, base64url, base64url_decode};
use crate::pop::jwk::{JwkFault, PublicJwk, Thumbprint, has_private_part};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};

/// A key that has signed a good proof, ready for the next one.
pub(in crate::pop) struct KnownKey {
    jwk: PublicJwk,
    thumbprint: Thumbprint,
    /// The members that every JWK of this key has.
    members: Vec<(&'static str, String)>,
    ready: ParsedPublicKey,
}

impl KnownKey {
    /// `None` for RSA keys: what the library makes ready is for one algorithm, and they fit several.
    pub(in crate::pop) fn of(jwk: PublicJwk, thumbprint: Thumbprint) -> Option<KnownKey> {
        let (library, key, [kty, crv]): (&'static dyn VerificationAlgorithm, &[u8], _) = match &jwk {
            PublicJwk::P256(point) => (&ECDSA_P256_SHA256_FIXED, point, ["EC", "P-256"]),
            PublicJwk::P384(point) => (&ECDSA_P384_SHA384_FIXED, point, ["EC", "P-384"]),
            PublicJwk::Ed25519(x) => (&ED25519, x, ["OKP", "Ed25519"]),
            PublicJwk::Rsa { .. } => return None,
        };
        let mut members = vec![("kty", kty.to_owned()), ("crv", crv.to_owned())];
        match key {
            [4, point @ ..] if kty == "EC" => {
                let (x, y) = point.split_at(point.len() / 2);
                members.extend([("x", base64url(x)), ("y", base64url(y))]);
            }
            x => members.push(("x", base64url(x))),
        }
        let ready = ParsedPublicKey::new(library, key).ok()?;
        Some(KnownKey { jwk, thumbprint, members, ready })
    }

    /// Whether this JWK is this key, without a private part.
    fn is(&self, jwk: &Object<'_>) -> bool {
        let has = |(name, text): &(&str, String)| jwk.get(name).and_then(|v| v.as_str()) == Some(text);
        self.members.iter().all(has) && !has_private_part(jwk)
    }

    /// Whether it made the signature (base64url) of the message.
    pub(in crate::pop) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        self.jwk.fits(algorithm)
            && signature.len() == self.jwk.signature_characters()
            && base64url_decode(signature).is_some_and(|bytes| self.ready.verify_sig(message, &bytes).is_ok())
    }
}

/// The key of the proof at hand.
pub(super) enum Key<'t> {
    /// It signed a good proof before.
    Known(&'t KnownKey),
    /// It is valid; that is all.
    Read(PublicJwk),
}

impl<'t> Key<'t> {
    /// From the header's `jwk`. `known`: the key of earlier proofs with the token.
    pub(super) fn read(jwk: &Object<'_>, known: Option<&'t KnownKey>) -> Result<Key<'t>, JwkFault> {
        match known.filter(|known| known.is(jwk)) {
            Some(known) => Ok(Key::Known(known)),
            None => PublicJwk::parse(jwk).map(Key::Read),
        }
    }

    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.jwk().fits(algorithm)
    }

    pub(super) fn thumbprint(&self) -> Thumbprint {
        match self {
            Key::Known(known) => known.thumbprint,
            Key::Read(jwk) => jwk.thumbprint(),
        }
    }

    /// Whether it made the signature (base64url) of the message.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        match self {
            Key::Known(known) => known.verifies(algorithm, message, signature),
            Key::Read(jwk) => jwk.verifies(algorithm, message, signature),
        }
    }

    /// To be kept, now that its signature was good; `None` if it is known already, or is not worth it.
    pub(super) fn into_known(self, thumbprint: Thumbprint) -> Option<KnownKey> {
        match self {
            Key::Known(_) => None,
            Key::Read(jwk) => KnownKey::of(jwk, thumbprint),
        }
    }

    fn jwk(&self) -> &PublicJwk {
        match self {
            Key::Known(known) => &known.jwk,
            Key::Read(jwk) => jwk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::jose::Json;
    use serde_json::{Value, json};

    fn object(jwk: &Value, test: impl FnOnce(&Object<'_>) -> bool) -> bool {
        test(&Json::parse_object(jwk.to_string().as_bytes()).unwrap())
    }

    fn known(jwk: &Value) -> KnownKey {
        let text = jwk.to_string();
        let key = PublicJwk::parse(&Json::parse_object(text.as_bytes()).unwrap()).unwrap();
        let thumbprint = key.thumbprint();
        KnownKey::of(key, thumbprint).unwrap()
    }

    /// DPOP-08, THUMB-05
    #[test]
    fn a_known_key_is_known_by_what_makes_it_a_key() {
        let p256 = crate::pop::forge::client().jwk();
        let ed25519 = json!({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        for jwk in [&p256, &ed25519] {
            let known = known(jwk);
            let with = |name: &str, value: &str| {
                let mut other = jwk.clone();
                other[name] = value.into();
                object(&other, |other| known.is(other))
            };
            assert!(object(jwk, |same| known.is(same)) && with("kid", "any"));
            for name in jwk.as_object().unwrap().keys() {
                let mut less = jwk.clone();
                less.as_object_mut().unwrap().remove(name);
                assert!(!with(name, "other") && !object(&less, |less| known.is(less)), "{name}");
            }
            assert!(!with("d", "private"));
        }
    }

    #[test]
    fn each_kind_of_curve_can_be_made_ready() {
        let p384 = json!({
            "kty": "EC", "crv": "P-384",
            "x": "lInTxl8fjLKp_UCrxI0WDklahi-7-_6JbtiHjiRvMvhedhKVdHBfi2HCY8t_QJyc",
            "y": "y6N1IC-2mXxHreETBW7K3mBcw0qGr3CWHCs-yl09yCQRLcyfGv7XhqAngHOu51Zv",
        });
        assert!(object(&p384, |same| known(&p384).is(same)));
    }
}
