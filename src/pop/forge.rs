//! For tests: an issuer, a client and every liberty a forger would take.

use super::access_token::{AccessToken, Expected, TokenHash, Unverified};
use super::algorithm::Algorithm;
use super::credentials::Credentials;
use super::dpop::key::KnownKey;
use super::jose::{Json, base64url};
use super::jwk::PublicJwk;
use super::key_set::KeySet;
use super::mtls::ClientCertificate;
use super::policy::{DpopPolicy, ProofRule, Requirements};
use super::target_uri::Origin;
use super::{Denial, Request, Timestamp, Verified};
use http::request::Parts;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The instant of every test.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
/// The request of every test, unless it says otherwise.
pub(crate) const URL: &str = "https://api.example.com/orders/7";

/// A P-256 key.
pub(crate) struct Key(SigningKey);

impl Key {
    /// The same key for the same seed.
    pub(crate) fn seeded(seed: u8) -> Key {
        Key(SigningKey::from_slice(&[seed; 32]).unwrap())
    }
    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_sec1_point(false);
        json!({ "kty": "EC", "crv": "P-256", "x": base64url(point.x().unwrap()), "y": base64url(point.y().unwrap()) })
    }
    pub(crate) fn public(&self) -> PublicJwk {
        PublicJwk::parse(&Json::parse_object(self.jwk().to_string().as_bytes()).unwrap()).unwrap()
    }
    pub(crate) fn jkt(&self) -> String {
        self.public().thumbprint().as_str().to_owned()
    }
    pub(crate) fn jws(&self, header: &Value, claims: &Value) -> String {
        self.jws_of_text(&header.to_string(), &claims.to_string())
    }
    pub(crate) fn jws_of_text(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", base64url(header), base64url(claims));
        let signature: Signature = self.0.sign(input.as_bytes());
        format!("{input}.{}", base64url(signature.to_bytes()))
    }
}

pub(crate) fn issuer() -> Key {
    Key::seeded(1)
}
pub(crate) fn client() -> Key {
    Key::seeded(2)
}
pub(crate) fn thief() -> Key {
    Key::seeded(3)
}

pub(crate) fn expected() -> Arc<Expected> {
    Arc::new(Expected {
        issuer: "https://as.example.com".into(),
        audiences: vec!["https://api.example.com".to_owned()],
        algorithms: vec![Algorithm::Es256],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
    })
}

pub(crate) fn keys() -> KeySet {
    let mut jwk = issuer().jwk();
    jwk["kid"] = json!("k1");
    let text = json!({ "keys": [jwk] }).to_string();
    KeySet::parse(&Json::parse(text.as_bytes()).unwrap()).unwrap()
}

/// Header and claims of a token that is in order.
pub(crate) fn token_parts() -> (Value, Value) {
    let now = NOW.as_secs();
    (
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1" }),
        json!({
            "iss": "https://as.example.com", "aud": "https://api.example.com", "sub": "alice", "client_id": "app",
            "jti": "t1", "iat": now - 10, "exp": now + 300, "scope": "orders.read", "cnf": { "jkt": client().jkt() },
        }),
    )
}

pub(crate) fn token(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (mut header, mut claims) = token_parts();
    change(&mut header, &mut claims);
    issuer().jws(&header, &claims)
}

pub(crate) fn establish(jwt: &str) -> Result<AccessToken, Denial> {
    Unverified::parse(jwt)?.verify(TokenHash::of(jwt), &expected(), &keys(), NOW)
}

/// Header and claims of a proof for this token that is in order.
pub(crate) fn proof_parts(jwt: &str) -> (Value, Value) {
    let ath = base64url(super::sha256::of(jwt.as_bytes()));
    (
        json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": client().jwk() }),
        json!({ "jti": "p1", "htm": "GET", "htu": URL, "iat": NOW.as_secs(), "ath": ath }),
    )
}

pub(crate) fn proof(jwt: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (mut header, mut claims) = proof_parts(jwt);
    change(&mut header, &mut claims);
    client().jws(&header, &claims)
}

/// A request with these header fields.
pub(crate) fn parts(method: &str, url: &str, fields: &[(&str, &str)]) -> Parts {
    let uri: http::Uri = url.parse().unwrap();
    let mut request =
        http::Request::builder().method(method).header("host", uri.authority().unwrap().as_str());
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.uri(uri.path_and_query().unwrap().as_str()).body(()).unwrap().into_parts().0
}

/// What a route that admits these kinds of proof says to a request: the same whether the token's key is known from
/// an earlier proof or not.
pub(crate) fn verdict(
    rule: ProofRule,
    parts: &Parts,
    certificate: Option<&Arc<ClientCertificate>>,
) -> Result<Verified, Denial> {
    let origins = [Origin::parse("https://api.example.com").unwrap()];
    let request = Request::of(parts, certificate, &origins)?;
    let credentials = Credentials::of(&request)?;
    let (new, used) = (establish(credentials.token())?, establish(credentials.token())?);
    let (key, thumbprint) = (client().public(), client().public().thumbprint());
    if used.confirmation().jkt == Some(thumbprint) {
        used.keep_proof_key(KnownKey::of(key, thumbprint).unwrap());
    }
    let demands =
        Requirements { proof: rule, scopes: vec!["orders.read".to_owned()], ..Requirements::default() };
    let dpop = DpopPolicy {
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        max_age: Duration::from_secs(60),
        max_future: Duration::from_secs(5),
    };
    let [new, used] = [new, used].map(|token| {
        let nonces = super::nonce::Nonces::off();
        super::verify(&request, &credentials, Arc::new(token), &demands, &dpop, &nonces, NOW)
    });
    let outcome = |verdict: &Result<Verified, Denial>| verdict.as_ref().map(Verified::kind).map_err(|d| *d);
    assert_eq!(outcome(&new), outcome(&used), "a known key changed the verdict");
    new
}

pub(crate) const DPOP_ONLY: ProofRule = ProofRule { dpop: true, mtls: false, all: false, bearer: false };
pub(crate) const EITHER: ProofRule = ProofRule { dpop: true, mtls: true, all: false, bearer: false };
pub(crate) const BOTH: ProofRule = ProofRule { dpop: true, mtls: true, all: true, bearer: false };
pub(crate) const BEARER_TOO: ProofRule = ProofRule { dpop: true, mtls: true, all: false, bearer: true };
