//! A transmitter of security events: npm jose signs them (`tests/npm/transmitter.mjs`), an [`Issuer`] of the tests
//! publishes its keys.

use super::authorization_server::node;
use super::issuer::{Issuer, JWKS, Reply};
use super::pki::Pki;
use super::program::Program;
use super::proof::{now, unique};
use serde_json::{Value, json};

/// A running transmitter.
pub struct Transmitter {
    /// Its `iss`.
    pub name: String,
    signer: Program,
    /// Publishes its keys.
    pub keys: Issuer,
}

/// The `aud` of its events.
pub const AUDIENCE: &str = "https://api.example.com/events";
/// CAEP session-revoked.
pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

impl Transmitter {
    /// Starts one; its metadata is where the Shared Signals Framework puts it.
    pub async fn start(pki: &Pki) -> Transmitter {
        let mut signer = Program::start(&mut node("transmitter.mjs"));
        let told: Value = signer.hear("the keys", |line| serde_json::from_str(line).ok()).await;
        let keys = Issuer::start(pki).await;
        keys.answer(JWKS, Reply::json(&told["jwks"]));
        let metadata = json!({ "issuer": keys.name, "jwks_uri": keys.at(JWKS) });
        keys.answer("/.well-known/ssf-configuration", Reply::json(&metadata));
        Transmitter { name: keys.name.clone(), signer, keys }
    }

    /// Header and claims of a session-revoked event about this subject that is in order.
    pub fn event(&self, subject: Value, at: u64) -> (Value, Value) {
        let header = json!({ "typ": "secevent+jwt", "alg": "RS256", "kid": "t1" });
        let payload = json!({
            "event_timestamp": at, "initiating_entity": "admin", "reason_admin": { "en": "test" },
        });
        let claims = json!({
            "iss": self.name, "aud": AUDIENCE, "iat": now(), "jti": unique(), "txn": unique(),
            "sub_id": subject, "events": { SESSION_REVOKED: payload },
        });
        (header, claims)
    }

    /// Signs with one of its keys.
    pub async fn sign(&mut self, key: &str, (header, claims): (Value, Value)) -> String {
        let id = unique();
        let task = json!({ "id": id, "key": key, "header": header, "claims": claims });
        self.signer.tell(&task.to_string());
        let signed = |line: &str| {
            let told: Value = serde_json::from_str(line).ok()?;
            (told["id"] == json!(id)).then(|| told["set"].as_str().map(str::to_owned))?
        };
        self.signer.hear("the event to be signed", signed).await
    }
}
