//! JWTs with every liberty, DPoP proofs before all: any header, any claim, any key, anything missing, twice or raw.

pub use super::keys::ProofKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A JWT before it is signed.
#[derive(Clone)]
pub struct Jwt {
    header: Part,
    claims: Part,
}

/// A DPoP proof before it is signed.
pub type Proof = Jwt;

/// A JSON object, and members that are written into its text as they are.
#[derive(Clone)]
struct Part {
    members: Map<String, Value>,
    raw: Vec<String>,
}

impl Jwt {
    /// A good proof for a request with `token`, by `key`, issued now.
    pub fn new(key: &ProofKey, method: &str, url: &str, token: &str) -> Proof {
        let header = json!({ "typ": "dpop+jwt", "alg": key.alg(), "jwk": key.jwk() });
        let claims = json!({
            "jti": unique(), "htm": method, "htu": url, "iat": now(), "ath": sha256(token),
        });
        Jwt::of(header, claims)
    }

    /// Any JWT.
    pub fn of(header: Value, claims: Value) -> Jwt {
        Jwt { header: Part::of(&header), claims: Part::of(&claims) }
    }

    /// With this header member; `null` removes it.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Jwt {
        set(&mut self.header.members, name, value.into());
        self
    }

    /// With this claim; `null` removes it.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Jwt {
        set(&mut self.claims.members, name, value.into());
        self
    }

    /// With more text at the end of the header, such as `"alg":"none"`: a second `alg`, then.
    pub fn raw_header(mut self, text: &str) -> Jwt {
        self.header.raw.push(text.to_owned());
        self
    }

    /// With more text at the end of the claims, such as `"exp":null`.
    pub fn raw_claim(mut self, text: &str) -> Jwt {
        self.claims.raw.push(text.to_owned());
        self
    }

    /// The two parts that are signed, with the dot between them.
    pub fn signing_input(&self) -> String {
        format!("{}.{}", BASE64.encode(self.header.text()), BASE64.encode(self.claims.text()))
    }

    /// Signed with a key, which need not be the one in its header; whatever `alg` says, by the key's own.
    pub fn sign(&self, key: &ProofKey) -> String {
        sign_text(&self.signing_input(), key)
    }

    /// With these bytes for a signature.
    pub fn with_signature(&self, signature: impl AsRef<[u8]>) -> String {
        format!("{}.{}", self.signing_input(), BASE64.encode(signature))
    }
}

impl Part {
    fn of(value: &Value) -> Part {
        Part { members: value.as_object().expect("an object").clone(), raw: Vec::new() }
    }

    fn text(&self) -> String {
        let member = |(name, value): (&String, &Value)| format!("{}:{value}", json!(name));
        let members: Vec<String> = self.members.iter().map(member).chain(self.raw.iter().cloned()).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// Any JWT at all, signed whatever its header says.
pub fn jwt(header: &Value, claims: &Value, key: &ProofKey) -> String {
    jws(header.to_string(), claims.to_string(), key)
}

/// Any text at all as header and payload, signed.
pub fn jws(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, key: &ProofKey) -> String {
    sign_text(&format!("{}.{}", BASE64.encode(header), BASE64.encode(payload)), key)
}

/// Any text at all with its signature behind it.
pub fn sign_text(message: &str, key: &ProofKey) -> String {
    format!("{message}.{}", BASE64.encode(key.sign(message.as_bytes())))
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

/// A name that nothing else in this run has.
pub fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
}
