//! The keys an issuer publishes (RFC 7517 section 5), and which of them may have signed a token.
//!
//! A key that can't serve for signatures is left out, never a reason to fail the set: unknown types,
//! missing members, `use: enc`, symmetric keys, and keys published with their private part.

use super::algorithm::Algorithm;
use super::jose::{Json, Object};
use super::jwk::PublicJwk;

/// One key of an issuer with the header parameters that select it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct IssuerKey {
    kid: Option<String>,
    /// The only algorithm it may be used with, where the issuer says so (RFC 8725 section 3.1).
    algorithm: Option<Algorithm>,
    key: PublicJwk,
}

/// A key that may have made a signature.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The key.
    pub key: &'a PublicJwk,
    kid: Option<&'a str>,
}

impl Candidate<'_> {
    /// What the issuer calls it: its `kid`, or its thumbprint where it has none (RFC 7638).
    pub fn name(&self) -> String {
        name(self.kid, self.key)
    }
}

impl IssuerKey {
    fn name(&self) -> String {
        name(self.kid.as_deref(), &self.key)
    }
}

fn name(kid: Option<&str>, key: &PublicJwk) -> String {
    kid.map_or_else(|| key.thumbprint().as_str().to_owned(), str::to_owned)
}

/// The usable keys of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<IssuerKey>,
}

impl KeySet {
    /// Reads a JWK Set document; `None` if it is not one.
    pub fn parse(document: &Json<'_>) -> Option<KeySet> {
        let keys = document.as_object()?.get("keys")?.as_array()?;
        Some(KeySet { keys: keys.iter().filter_map(|key| issuer_key(key.as_object()?)).collect() })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The names of the keys that came and of those that went since `before`: by `kid`, or by thumbprint (RFC 7638).
    /// One that stays by name and is another key, or is for another algorithm, has gone and come.
    #[must_use]
    pub fn changed_since(&self, before: &KeySet) -> (Vec<String>, Vec<String>) {
        let missing = |from: &KeySet, of: &KeySet| {
            of.keys.iter().filter(|key| !from.keys.contains(key)).map(IssuerKey::name).collect()
        };
        (missing(before, self), missing(self, before))
    }

    /// The keys that may have made a signature, at most four: those of the token's
    /// `kid`, compared exactly (JWKS-02), and where either side names none, those that fit the algorithm (FAPI 2.0
    /// section 5.4.3; JWKS-03). Any key that the issuer publishes may have signed (AT-10), and no key in the
    /// token's header (BCP-10, JWKS-09).
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = Candidate<'_>> {
        let named = move |key: &&IssuerKey| match (kid, &key.kid) {
            (Some(wanted), Some(has)) => wanted == has,
            (None, _) | (_, None) => true,
        };
        let fits = move |key: &&IssuerKey| {
            key.algorithm.is_none_or(|only| only == algorithm) && key.key.fits(algorithm)
        };
        self.keys
            .iter()
            .filter(named)
            .filter(fits)
            .take(MAX_CANDIDATES)
            .map(|one| Candidate { key: &one.key, kid: one.kid.as_deref() })
    }
}

/// `None` where `use`, `key_ops` or `alg` say that it is for something else, or it can't be read (JWKS-01, JWKS-04,
/// BCP-02).
fn issuer_key(jwk: &Object<'_>) -> Option<IssuerKey> {
    let for_signatures = match jwk.get("use") {
        None => true,
        Some(purpose) => purpose.as_str() == Some("sig"),
    };
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(operations) => operations.as_array()?.iter().any(|op| op.as_str() == Some("verify")),
    };
    if !for_signatures || !may_verify {
        return None;
    }
    let algorithm = match jwk.get("alg") {
        None => None,
        Some(name) => Some(Algorithm::from_name(name.as_str()?)?),
    };
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    Some(IssuerKey { kid, algorithm, key: PublicJwk::parse(jwk).ok()? })
}

/// Signatures that are tried for one token at the most.
const MAX_CANDIDATES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = r#""x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs""#;
    const Y: &str = r#""y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA""#;

    fn set(keys: &[&str]) -> KeySet {
        let keys: Vec<String> =
            keys.iter().map(|more| format!(r#"{{"kty":"EC","crv":"P-256",{X},{Y}{more}}}"#)).collect();
        KeySet::parse(&Json::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap())
            .unwrap()
    }

    /// JWKS-01, JWKS-04, JW-010
    #[test]
    fn keys_that_cannot_serve_are_left_out() {
        let unusable = [
            r#","use":"enc""#,
            r#","key_ops":["sign"]"#,
            r#","alg":"HS256""#,
            r#","alg":7"#,
            r#","kid":7"#,
            r#","d":"AA""#,
        ];
        assert!(set(&unusable).is_empty());
        assert_eq!(set(&["", r#","use":"sig","key_ops":["verify"],"alg":"ES256","kid":"1""#]).len(), 2);
        for not_a_set in [r#"{"keys":{}}"#, "[]", "{}"] {
            assert!(KeySet::parse(&Json::parse(not_a_set.as_bytes()).unwrap()).is_none());
        }
    }

    #[test]
    fn what_came_and_what_went_is_told_by_name() {
        let before = set(&[r#","kid":"1""#, r#","kid":"2""#, ""]);
        let after = set(&[r#","kid":"2","alg":"ES256""#, r#","kid":"3""#, ""]);
        let (added, removed) = after.changed_since(&before);
        assert_eq!(
            (added, removed),
            (vec!["2".to_owned(), "3".to_owned()], vec!["1".to_owned(), "2".to_owned()])
        );
        let (added, removed) = set(&[""]).changed_since(&KeySet::default());
        assert!(added.len() == 1 && added[0].len() == 43 && removed.is_empty(), "by thumbprint");
        assert_eq!(before.changed_since(&before), (Vec::new(), Vec::new()));
    }

    /// JWKS-02, JWKS-03, AT-10, BCP-02, JW-008, JW-009
    #[test]
    fn a_kid_selects_and_its_absence_leaves_those_that_fit() {
        let keys = set(&[r#","kid":"1""#, r#","kid":"2","alg":"ES256""#, ""]);
        let found = |kid, algorithm| keys.candidates(kid, algorithm).count();
        assert_eq!(found(Some("1"), Algorithm::Es256), 2);
        assert_eq!(found(Some("3"), Algorithm::Es256), 1);
        assert_eq!(found(None, Algorithm::Es256), 3);
        assert_eq!(found(None, Algorithm::Ps256), 0);
        assert_eq!(set(&[r#","kid":"1""#]).candidates(Some("3"), Algorithm::Es256).count(), 0);
        assert_eq!(set(&[""; 9]).candidates(None, Algorithm::Es256).count(), MAX_CANDIDATES);
    }
}
