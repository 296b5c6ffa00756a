//! The identity assertion, `clinch-identity`: what the identity headers say, as a JWT (RFC 7519) that the service can
//! check, so that it can tell a request that came through clinch from one that did not.
//!
//! Decides what it says and which keys may sign it. Does not sign, which takes randomness, nor keep what was signed:
//! that is [`state::assertions`](crate::state::assertions). It says who calls, not what is asked for: whoever gets hold
//! of one can show it to the service until it expires, so it lives for a minute and never leaves the machine.

use super::identity::key_of;
use super::jose::{Json, base64url};
use super::jwk::{PublicJwk, Thumbprint};
use super::policy::ProofKind;
use super::{Timestamp, Verified};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::Duration;

/// The keys of the operator's file: the first signs, all are published.
pub struct Keys(Vec<Key>);

struct Key {
    pair: EcdsaKeyPair,
    public: [u8; 65],
    kid: Thumbprint,
}

/// What every assertion says, and for how long.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `iss`: the first public origin.
    pub issuer: String,
    /// `aud`: the service.
    pub audience: String,
    /// `exp` - `iat`, at most.
    pub lifetime: Duration,
    /// The operator's own identity headers, and the claims they carry.
    pub headers: Vec<(HeaderName, String)>,
}

impl Keys {
    /// Reads one to four P-256 keys in PEM, PKCS #8 or SEC 1, the one in use first.
    ///
    /// # Errors
    /// What is wrong with the file, in words that show nothing of it.
    pub fn read(pem: &[u8]) -> Result<Keys, &'static str> {
        let read: Result<Vec<_>, _> = PrivateKeyDer::pem_slice_iter(pem).collect();
        let ders = read.map_err(|_| "this file is damaged")?;
        if ders.is_empty() {
            return Err("there is no private key in this file");
        }
        if ders.len() > MAX_KEYS {
            return Err("there are more than four keys in this file");
        }
        let mut keys: Vec<Key> = Vec::with_capacity(ders.len());
        for der in &ders {
            let key = Key::read(der).ok_or("a key in this file is not for ES256")?;
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err("a key is in this file twice");
            }
            keys.push(key);
        }
        Ok(Keys(keys))
    }

    /// The JWK set (RFC 7517 section 5) by which the service checks assertions.
    pub fn document(&self) -> String {
        let keys: Vec<_> = self.0.iter().map(Key::published).collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// The key that signs, and what it is called. There is one: [`Keys::read`] takes no empty file.
    pub(crate) fn signer(&self) -> Option<(&EcdsaKeyPair, &str)> {
        self.0.first().map(|key| (&key.pair, key.kid.as_str()))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| key.kid.as_str())).finish()
    }
}

impl Key {
    fn read(der: &PrivateKeyDer<'_>) -> Option<Key> {
        let pair =
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der()).ok()?;
        let public: [u8; 65] = pair.public_key().as_ref().try_into().ok()?;
        Some(Key { pair, public, kid: PublicJwk::P256(public).thumbprint() })
    }

    fn published(&self) -> serde_json::Value {
        let (x, y) = (base64url(&self.public[1..33]), base64url(&self.public[33..]));
        serde_json::json!({
            "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid.as_str(), "use": "sig", "alg": "ES256",
        })
    }
}

/// What is signed (RFC 7515 section 5.1). The type keeps it apart from every other JWT (RFC 8725 section 3.11; BCP-11),
/// and the audience is one service's.
pub(crate) fn signing_input(
    verified: &Verified,
    standing: Option<&str>,
    rules: &Rules,
    kid: &str,
    now: Timestamp,
) -> String {
    let header = format!(r#"{{"typ":"{TYPE}","alg":"ES256","kid":{}}}"#, text(kid));
    format!("{}.{}", base64url(header), base64url(claims(verified, standing, rules, now)))
}

/// The claims. It never outlives the token (AT-05).
fn claims(verified: &Verified, standing: Option<&str>, rules: &Rules, now: Timestamp) -> String {
    let token = &verified.token;
    let expires_at = now.plus(rules.lifetime).min(token.expires_at());
    let mut claims = format!(
        r#"{{"iss":{},"aud":{},"iat":{},"exp":{},"sub":{},"client_id":{},"token_iss":{},"token_jti":{},"scope":{},"proof":{}"#,
        text(&rules.issuer),
        text(&rules.audience),
        now.as_secs(),
        expires_at.as_secs(),
        text(token.subject()),
        text(token.client()),
        text(token.issuer()),
        text(token.token_id()),
        text(token.scope()),
        text(verified.kind.as_str()),
    );
    if let Some(key) = key_of(verified) {
        let method = if verified.kind == ProofKind::Mtls { "x5t#S256" } else { "jkt" };
        let _ = write!(claims, r#","cnf":{{"{method}":{}}}"#, text(key));
    }
    if let Some(certificate) = verified.certificate.as_ref().filter(|c| !c.subject.is_empty()) {
        let _ = write!(claims, r#","certificate_subject":{}"#, text(&certificate.subject));
    }
    if let Some(standing) = standing {
        let _ = write!(claims, r#","revocation":{}"#, text(standing));
    }
    let told = rules.headers.iter().filter_map(|(name, claim)| Some((name, token.claims().get(claim)?)));
    let told: Vec<String> = told
        .filter(|(_, value)| !matches!(value, Json::Null))
        .map(|(name, value)| format!("{}:{value}", text(name.as_str())))
        .collect();
    if !told.is_empty() {
        let _ = write!(claims, r#","headers":{{{}}}"#, told.join(","));
    }
    claims.push('}');
    claims
}

/// Writes it. Only a `Grant` calls this.
pub(crate) fn write(assertion: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(IDENTITY, assertion.clone());
}

fn text(value: &str) -> Json<'_> {
    Json::String(Cow::Borrowed(value))
}

/// `typ`
const TYPE: &str = "clinch-identity+jwt";
const IDENTITY: HeaderName = HeaderName::from_static("clinch-identity");
const MAX_KEYS: usize = 4;

#[cfg(test)]
mod tests;
