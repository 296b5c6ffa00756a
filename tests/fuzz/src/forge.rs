//! An issuer, two clients and a thief, with fixed keys; and the one door to clinch's verdict.

use crate::naive::{encode, sha256_text};
use clinch::pop::access_token::{AccessToken, Expected, TokenHash, Unverified};
use clinch::pop::algorithm::Algorithm;
use clinch::pop::credentials::Credentials;
use clinch::pop::jose::Json;
use clinch::pop::key_set::KeySet;
use clinch::pop::nonce::{Keys, Nonces};
use clinch::pop::policy::{DpopPolicy, ProofRule, Requirements};
use clinch::pop::target_uri::Origin;
use clinch::pop::{self, Denial, Request, Timestamp, Verified};
use ed25519_dalek::Signer as _;
use http::request::Parts;
use p256::ecdsa::signature::Signer as _;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The instant of every verdict, in seconds.
pub const NOW: i64 = 1_700_000_000;
/// What clients call.
pub const ORIGIN: &str = "https://api.example.com";
/// The one issuer.
pub const ISSUER: &str = "https://as.example.com";

/// A signing key.
pub enum Key {
    /// For ES256.
    P256(p256::ecdsa::SigningKey),
    /// For EdDSA.
    Ed25519(ed25519_dalek::SigningKey),
}

impl Key {
    /// The same P-256 key for the same seed.
    pub fn p256(seed: u8) -> Key {
        Key::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap())
    }
    /// The same Ed25519 key for the same seed.
    pub fn ed25519(seed: u8) -> Key {
        Key::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }
    /// The name of its algorithm.
    pub fn alg(&self) -> &'static str {
        match self {
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }
    /// The public JWK.
    pub fn jwk(&self) -> Value {
        match self {
            Key::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                let (x, y) = point.as_bytes()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Key::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.verifying_key().as_bytes()) })
            }
        }
    }
    /// Its thumbprint, put together by hand.
    pub fn jkt(&self) -> String {
        crate::naive::thumbprint(&self.jwk()).unwrap()
    }
    /// A JWS over these two texts, whatever they say.
    pub fn jws(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let signature = match self {
            Key::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(input.as_bytes());
                encode(&signature.to_bytes())
            }
            Key::Ed25519(key) => encode(&key.sign(input.as_bytes()).to_bytes()),
        };
        format!("{input}.{signature}")
    }
}

/// Who may sign. Seeds are arbitrary, fixed, and public.
pub struct Cast {
    /// The issuer's keys `k1` and `k2`.
    pub issuer: [Key; 2],
    /// Two clients.
    pub clients: [Key; 2],
    /// Somebody else.
    pub thief: Key,
}

/// The cast of every story.
pub static CAST: LazyLock<Cast> = LazyLock::new(|| Cast {
    issuer: [Key::p256(1), Key::ed25519(4)],
    clients: [Key::p256(2), Key::ed25519(5)],
    thief: Key::p256(3),
});

/// What is expected of the issuer's tokens.
pub static EXPECTED: LazyLock<Arc<Expected>> = LazyLock::new(|| {
    Arc::new(Expected {
        issuer: ISSUER.into(),
        audiences: vec![ORIGIN.to_owned(), "second".to_owned()],
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        token_types: vec!["at+jwt".to_owned(), "jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
    })
});

/// The keys that the issuer publishes; the third is the thief's, and not for signatures.
pub static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let with = |key: &Key, name: &str, value: &str| {
        let mut jwk = key.jwk();
        jwk[name] = json!(value);
        jwk
    };
    let [k1, k2] = &CAST.issuer;
    let text =
        json!({ "keys": [with(k1, "kid", "k1"), with(k2, "kid", "k2"), with(&CAST.thief, "use", "enc")] });
    KeySet::parse(&Json::parse(text.to_string().as_bytes()).unwrap()).unwrap()
});

/// Header and claims of a token that is in order; unbound if there is no thumbprint.
pub fn token_parts(jkt: Option<&str>) -> (Value, Value) {
    let mut claims = json!({
        "iss": ISSUER, "aud": ORIGIN, "sub": "alice", "client_id": "app", "jti": "t1",
        "iat": NOW - 10, "exp": NOW + 300, "scope": "a b",
    });
    if let Some(jkt) = jkt {
        claims["cnf"] = json!({ "jkt": jkt });
    }
    (json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1" }), claims)
}

/// clinch's verdict on a token.
pub fn establish(jwt: &str) -> Result<AccessToken, Denial> {
    Unverified::parse(jwt)?.verify(TokenHash::of(jwt), &EXPECTED, &KEYS, Timestamp::from_secs(NOW))
}

/// A genuine token bound to the key of a client, and what clinch made of it.
pub static TOKENS: LazyLock<[(String, Arc<AccessToken>); 2]> = LazyLock::new(|| {
    [0, 1].map(|client| {
        let (header, claims) = token_parts(Some(&CAST.clients[client].jkt()));
        let jwt = CAST.issuer[0].jws(&header.to_string(), &claims.to_string());
        let token = establish(&jwt).unwrap();
        (jwt, Arc::new(token))
    })
});

/// Header and claims of a proof that is in order.
pub fn proof_parts(client: &Key, jwt: &str, method: &str, url: &str) -> (Value, Value) {
    (
        json!({ "alg": client.alg(), "typ": "dpop+jwt", "jwk": client.jwk() }),
        json!({ "jti": "p1", "htm": method, "htu": url, "iat": NOW, "ath": sha256_text(jwt.as_bytes()) }),
    )
}

/// A request as a shell hands it over; none if `http` itself will not have it.
pub fn parts(method: &str, target: &str, fields: &[(&str, &[u8])]) -> Option<Parts> {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// The origins of every story; before two of them a load balancer takes a prefix away.
pub static ORIGINS: LazyLock<[Origin; 4]> = LazyLock::new(|| {
    [ORIGIN, "https://[2001:db8::1]:8443", "https://gw.example.com/a", "https://gw.example.com/public/a"]
        .map(|text| Origin::parse(text).unwrap())
});

/// How long a nonce is accepted, in seconds.
pub const NONCE_LIFETIME: u64 = 300;

/// Nonces that every proof must carry.
pub static NONCES: LazyLock<Nonces> = LazyLock::new(|| Nonces {
    required: true,
    lifetime: Duration::from_secs(NONCE_LIFETIME),
    life: [7; 8],
    keys: Keys::of_this_process(&[7; 32]).unwrap(),
});

/// clinch's verdict on a request that came with this token, where a route admits any kind of proof, or none.
pub fn verdict(parts: &Parts, token: &Arc<AccessToken>, nonces: &Nonces) -> Result<Verified, Denial> {
    let request = Request::of(parts, None, &*ORIGINS)?;
    let credentials = Credentials::of(&request)?;
    let proof = ProofRule { dpop: true, mtls: true, all: false, bearer: true };
    let demands = Requirements { proof, ..Requirements::default() };
    let dpop = DpopPolicy {
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        max_age: Duration::from_secs(60),
        max_future: Duration::from_secs(5),
    };
    pop::verify(&request, &credentials, Arc::clone(token), &demands, &dpop, nonces, Timestamp::from_secs(NOW))
}
