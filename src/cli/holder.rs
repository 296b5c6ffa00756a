//! A key holder: what a caller of a protected service has, and a thief has not.
//!
//! Makes a P-256 key or reads one, and signs with it: compact JWS (RFC 7515) and DPoP proofs (RFC 9449
//! section 4.2). It is the client's side and the demo's issuer; nothing on the request path uses it.

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use serde_json::{Map, Value, json};

use crate::pop::jose::{base64url, base64url_decode};
use crate::pop::{Timestamp, sha256};

/// A P-256 private key that signs. Its Debug shows the thumbprint only.
pub struct Holder {
    key: SigningKey,
}

/// What a proof is for.
#[derive(Clone, Copy, Debug)]
pub struct ProofFor<'a> {
    /// The request method, case-sensitive.
    pub method: &'a str,
    /// The request URL; query and fragment are left out of `htu`.
    pub url: &'a str,
    /// The access token that goes with it, for `ath`. A secret.
    pub token: Option<&'a str>,
    /// The nonce the server asked for.
    pub nonce: Option<&'a str>,
}

/// Why a key can't be read. Never quotes the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Neither a PEM file nor a JWK.
    Format,
    /// A PEM file, but not an unencrypted P-256 key in PKCS#8.
    Pem,
    /// A JWK that is not a P-256 key with its private part.
    Jwk,
    /// A JWK whose public and private parts do not belong together.
    JwkMismatch,
}

impl Holder {
    /// A new key from the system's random source.
    pub fn generate() -> Holder {
        Holder { key: SigningKey::generate() }
    }

    /// Reads a private key: PKCS#8 in PEM, or a JWK (RFC 7518 section 6.2).
    pub fn read(text: &str) -> Result<Holder, KeyFault> {
        match text.trim_start() {
            pem if pem.starts_with("-----BEGIN ") => {
                let key = SigningKey::from_pkcs8_pem(pem.trim_end()).map_err(|_| KeyFault::Pem)?;
                Ok(Holder { key })
            }
            jwk if jwk.starts_with('{') => Holder::from_jwk(jwk),
            _ => Err(KeyFault::Format),
        }
    }

    fn from_jwk(text: &str) -> Result<Holder, KeyFault> {
        let jwk: Value = serde_json::from_str(text).map_err(|_| KeyFault::Jwk)?;
        if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return Err(KeyFault::Jwk);
        }
        let d = jwk["d"].as_str().and_then(base64url_decode).ok_or(KeyFault::Jwk)?;
        let key = SigningKey::from_slice(&d).map_err(|_| KeyFault::Jwk)?;
        let holder = Holder { key };
        let public = holder.public_jwk();
        if jwk["x"] != public["x"] || jwk["y"] != public["y"] {
            return Err(KeyFault::JwkMismatch);
        }
        Ok(holder)
    }

    /// The private key as PKCS#8 in PEM. A secret.
    pub fn to_pem(&self) -> String {
        self.key.to_pkcs8_pem(LineEnding::LF).expect("a P-256 key always fits PKCS#8").to_string()
    }

    /// The public key as a JWK with exactly the members that its thumbprint covers.
    pub fn public_jwk(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        json!({"crv": "P-256", "kty": "EC", "x": base64url(x), "y": base64url(y)})
    }

    /// The SHA-256 thumbprint of the public key (RFC 7638), as `cnf.jkt` has it.
    pub fn thumbprint(&self) -> String {
        let jwk = self.public_jwk();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        base64_sha256(canonical.as_bytes())
    }

    /// A compact JWS (RFC 7515 section 7.1) with `alg` ES256 added to the header.
    pub fn sign(&self, mut header: Map<String, Value>, claims: &Value) -> String {
        header.insert("alg".into(), "ES256".into());
        let header = base64url(Value::Object(header).to_string());
        let claims = base64url(claims.to_string());
        let input = format!("{header}.{claims}");
        let signature: Signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", base64url(signature.to_bytes()))
    }

    /// A DPoP proof (RFC 9449 section 4.2), good for one request about now.
    pub fn prove(&self, what: ProofFor<'_>, now: Timestamp) -> String {
        let mut claims = json!({
            "jti": random_id(),
            "htm": what.method,
            "htu": without_query(what.url),
            "iat": now.as_secs(),
        });
        if let Some(token) = what.token {
            claims["ath"] = base64_sha256(token.as_bytes()).into();
        }
        if let Some(nonce) = what.nonce {
            claims["nonce"] = nonce.into();
        }
        let mut header = Map::new();
        header.insert("typ".into(), "dpop+jwt".into());
        header.insert("jwk".into(), self.public_jwk());
        self.sign(header, &claims)
    }
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").field("thumbprint", &self.thumbprint()).finish_non_exhaustive()
    }
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeyFault::Format => "is neither a PEM file nor a JWK",
            KeyFault::Pem => {
                "is not an unencrypted P-256 key in PKCS#8 (`-----BEGIN PRIVATE KEY-----`); \
                 `openssl pkcs8 -topk8 -nocrypt` converts other forms"
            }
            KeyFault::Jwk => "is not a private P-256 JWK (kty EC, crv P-256, d, x, y)",
            KeyFault::JwkMismatch => "is a JWK whose x and y do not belong to its d",
        })
    }
}

impl std::error::Error for KeyFault {}

/// base64url of the SHA-256, without padding: how `ath`, `jkt` and `x5t#S256` are written.
pub fn base64_sha256(data: &[u8]) -> String {
    base64url(sha256::of(data))
}

/// An identifier nobody can guess: 128 random bits.
pub fn random_id() -> String {
    let mut bits = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bits).expect("the system's random source never fails once it is seeded");
    base64url(bits)
}

/// The URL as `htu` has it: without query and fragment (RFC 9449 section 4.2).
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
mod tests;
