//! For tests: a transmitter, and security events of every kind.

use super::Refusal;
use super::effects::{self, Message};
use super::set::{Set, Unverified};
use crate::config::{Issuer, SubjectClaims, Transmitter};
use crate::pop::access_token::Expected;
use crate::pop::algorithm::Algorithm;
use crate::pop::forge::{self, NOW};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(in crate::state::revocation) const ISSUER: &str = "https://as.example.com";
pub(in crate::state::revocation) const OTHER: &str = "https://other.example.com";
pub(in crate::state::revocation) const US: &str = "https://api.example.com/events";
pub(in crate::state::revocation) const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// A transmitter that is an issuer too, and speaks for another.
pub(in crate::state::revocation) fn transmitter() -> Transmitter {
    Transmitter {
        signer: Issuer {
            expected: Arc::new(Expected {
                issuer: ISSUER.into(),
                audiences: vec![US.to_owned()],
                algorithms: vec![Algorithm::Es256],
                token_types: Vec::new(),
                max_lifetime: Duration::ZERO,
            }),
            jwks_uri: None,
            ca: Vec::new(),
            jwks_refresh: Duration::from_secs(300),
            jwks_cooldown: Duration::from_secs(10),
            jwks_max_stale: Duration::from_secs(3600),
            introspection: None,
        },
        speaks_for: vec![ISSUER.to_owned(), OTHER.to_owned()],
        claims: SubjectClaims::default(),
        wildcard: false,
        critical_subject_members: Vec::new(),
        credential_types: Vec::new(),
        poll: None,
    }
}

pub(in crate::state::revocation) fn alice() -> Value {
    json!({ "format": "iss_sub", "iss": ISSUER, "sub": "alice" })
}

/// Header and claims of a SET that is in order.
pub(in crate::state::revocation) fn parts() -> (Value, Value) {
    let now = NOW.as_secs();
    (
        json!({ "alg": "ES256", "typ": "secevent+jwt", "kid": "k1" }),
        json!({
            "iss": ISSUER, "aud": US, "iat": now, "jti": "e1", "sub_id": alice(),
            "events": { SESSION_REVOKED: { "event_timestamp": now - 5 } },
        }),
    )
}

pub(in crate::state::revocation) fn signed(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (mut header, mut claims) = parts();
    change(&mut header, &mut claims);
    forge::issuer().jws(&header, &claims)
}

/// What comes of a SET's text.
pub(in crate::state::revocation) fn verified(set: &str) -> Result<Set, Refusal> {
    let unsigned = Unverified::parse(set.as_bytes())?.check(&transmitter().signer.expected, NOW)?;
    unsigned.verify(&forge::keys()).map_err(|_| Refusal::Signature)
}

/// What comes of one event.
pub(in crate::state::revocation) fn effect(
    transmitter: &Transmitter,
    kind: &str,
    payload: Value,
    subject: Value,
) -> Result<Message, Refusal> {
    let set = signed(|_, claims| {
        claims["events"] = json!({ kind: payload });
        claims["sub_id"] = subject;
    });
    effects::read(&verified(&set)?, transmitter, None)
}
