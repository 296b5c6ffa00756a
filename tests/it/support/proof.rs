//! DPoP proofs with every liberty: any header, any claim, any key, anything missing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A P-256 key that proofs are signed with.
#[derive(Clone)]
pub struct ProofKey(SigningKey);

impl ProofKey {
    /// A new one.
    pub fn new() -> ProofKey {
        ProofKey(SigningKey::generate())
    }

    /// From a private JWK.
    pub fn from_jwk(jwk: &Value) -> ProofKey {
        let secret = BASE64.decode(jwk["d"].as_str().unwrap()).unwrap();
        ProofKey(SigningKey::from_slice(&secret).unwrap())
    }

    /// The public JWK.
    pub fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_sec1_point(false);
        let coordinate = |at: usize| BASE64.encode(&point.as_bytes()[at..at + 32]);
        json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33) })
    }

    /// Its RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        sha256(&text)
    }
}

/// A proof before it is signed.
#[derive(Clone)]
pub struct Proof {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Proof {
    /// A good one for a request with `token`, by `key`, issued now.
    pub fn new(key: &ProofKey, method: &str, url: &str, token: &str) -> Proof {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk() });
        let claims = json!({
            "jti": unique(), "htm": method, "htu": url, "iat": now(), "ath": sha256(token),
        });
        Proof { header: members(header), claims: members(claims) }
    }

    /// With this header member; `null` removes it.
    pub fn header(mut self, name: &str, value: Value) -> Proof {
        set(&mut self.header, name, value);
        self
    }

    /// With this claim; `null` removes it.
    pub fn claim(mut self, name: &str, value: Value) -> Proof {
        set(&mut self.claims, name, value);
        self
    }

    /// Signed with a key, which need not be the one in its header.
    pub fn sign(&self, key: &ProofKey) -> String {
        jwt(&Value::Object(self.header.clone()), &Value::Object(self.claims.clone()), key)
    }
}

/// Any JWT at all, signed with ES256 whatever its header says.
pub fn jwt(header: &Value, claims: &Value, key: &ProofKey) -> String {
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature: Signature = key.0.sign(message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature.to_bytes()))
}

/// base64url of the SHA-256.
pub fn sha256(bytes: &(impl AsRef<[u8]> + ?Sized)) -> String {
    BASE64.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes.as_ref()))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of a JWT, unverified.
pub fn claims(jwt: &str) -> Value {
    let part = jwt.split('.').nth(1).expect("a JWT has three parts");
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn members(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
}
