use super::super::forged::{ISSUER, OTHER, SESSION_REVOKED, alice, effect, signed, transmitter, verified};
use super::*;
use crate::pop::forge::{self, NOW};
use serde_json::{Value, json};

fn caep(name: &str) -> String {
    format!("{CAEP}{name}")
}

/// How many selectors an event about alice comes to.
fn revoked(kind: &str, payload: Value) -> Result<usize, Refusal> {
    match effect(&transmitter(), kind, payload, alice())? {
        Message::Event(event) => Ok(event.revokes.len()),
        other @ (Message::Verification | Message::Stream(_)) => panic!("{other:?}"),
    }
}

/// CAEP-01, RISC-01, RV-016, RV-018
#[test]
fn each_type_of_event_ends_tokens_or_is_ignored() {
    for (name, payload, count) in [
        ("caep/event-type/session-revoked", json!({}), 1),
        ("caep/event-type/token-claims-change", json!({ "claims": { "role": "guest" } }), 1),
        ("caep/event-type/device-compliance-change", json!({ "current_status": "not-compliant" }), 0),
        ("caep/event-type/risk-level-change", json!({ "current_level": "HIGH" }), 0),
        ("caep/event-type/session-established", json!({}), 0),
        ("caep/event-type/session-presented", json!({}), 0),
        ("risc/event-type/account-disabled", json!({ "reason": "hijacking" }), 1),
        ("risc/event-type/account-purged", json!({}), 1),
        ("risc/event-type/credential-compromise", json!({ "credential_type": "password" }), 1),
        ("risc/event-type/sessions-revoked", json!({}), 1),
        ("risc/event-type/account-enabled", json!({}), 0),
        ("risc/event-type/account-credential-change-required", json!({}), 0),
        ("risc/event-type/identifier-changed", json!({ "new-value": "a@b" }), 0),
        ("risc/event-type/identifier-recycled", json!({}), 0),
        ("risc/event-type/opt-out-effective", json!({}), 0),
        ("oauth/event-type/token-revoked", json!({}), 0),
        ("ssf/event-type/new", json!({}), 0),
    ] {
        let kind = format!("https://schemas.openid.net/secevent/{name}");
        assert_eq!(revoked(&kind, payload), Ok(count), "{name}");
    }
    assert_eq!(revoked("urn:example:new", json!({ "event_timestamp": "never" })), Ok(0));
    let Ok(Message::Event(event)) = effect(&transmitter(), SESSION_REVOKED, json!({}), alice()) else {
        panic!("no event");
    };
    let expected = Selector { issuer: ISSUER.to_owned(), facts: vec![(Fact::Subject, "alice".to_owned())] };
    assert_eq!((event.id.as_str(), event.until, event.revokes), ("e1", None, vec![expected]));
}

/// RV-005, CAEP-02, CAEP-03
#[test]
fn the_event_tells_its_time_or_else_the_token_does() {
    let now = NOW.as_secs();
    let at = |stamp: Value, toe: Value| {
        let set = signed(|_, claims| {
            let payload = if stamp.is_null() { json!({}) } else { json!({ "event_timestamp": stamp }) };
            claims["events"] = json!({ SESSION_REVOKED: payload });
            if !toe.is_null() {
                claims["toe"] = toe;
            }
        });
        match read(&verified(&set)?, &transmitter(), None)? {
            Message::Event(event) => Ok(event.at.as_millis()),
            other @ (Message::Verification | Message::Stream(_)) => panic!("{other:?}"),
        }
    };
    assert_eq!(at(json!(now - 9), json!(now - 5)), Ok((now - 9) * 1000));
    assert_eq!(at(json!(null), json!(now - 5)), Ok((now - 5) * 1000));
    assert_eq!(at(json!(null), json!(null)), Ok(now * 1000));
    assert_eq!(at(json!(1_700_000_000.5), json!(null)), Ok(1_700_000_000_500));
    assert_eq!(at(json!(now + 60), json!(null)), Ok((now + 60) * 1000));
    for wrong in [json!(NOW.as_millis()), json!(now.to_string()), json!(-1), json!({}), json!(now + 61)] {
        assert_eq!(at(wrong.clone(), json!(null)), Err(Refusal::EventTime), "{wrong}");
    }
}

/// CAEP-02
#[test]
fn the_common_members_are_of_their_types() {
    for (payload, sound) in [
        (json!({ "initiating_entity": "admin" }), true),
        (json!({ "initiating_entity": "nobody" }), false),
        (json!({ "initiating_entity": 7 }), false),
        (json!({ "reason_admin": { "en": "left" }, "reason_user": { "de": "weg", "en": "gone" } }), true),
        (json!({ "reason_admin": "left" }), false),
        (json!({ "reason_user": { "en": 7 } }), false),
    ] {
        let expected = if sound { Ok(1) } else { Err(Refusal::Payload) };
        assert_eq!(revoked(SESSION_REVOKED, payload.clone()), expected, "{payload}");
    }
}

/// CAEP-06
#[test]
fn every_change_of_every_credential_is_understood() {
    let change = |change: &str, credential: &str| {
        let payload = json!({ "change_type": change, "credential_type": credential });
        revoked(&caep("credential-change"), payload)
    };
    for credential in CREDENTIALS {
        assert_eq!(change("create", credential), Ok(0), "{credential}");
        for ended in ["revoke", "update", "delete"] {
            assert_eq!(change(ended, credential), Ok(1), "{ended} {credential}");
        }
    }
    assert_eq!(change("rotate", "password"), Err(Refusal::ChangeType));
    assert_eq!(change("revoke", "palm"), Err(Refusal::CredentialType));
    let agreed = Transmitter { credential_types: vec!["palm".to_owned()], ..transmitter() };
    let payload = json!({ "change_type": "revoke", "credential_type": "palm" });
    assert!(effect(&agreed, &caep("credential-change"), payload, alice()).is_ok());
    for missing in [json!({ "change_type": "revoke" }), json!({ "credential_type": "pin" }), json!({})] {
        assert_eq!(revoked(&caep("credential-change"), missing), Err(Refusal::Payload));
    }
}

/// RV-041
#[test]
fn a_credential_with_a_thumbprint_is_a_key_and_without_one_a_subjects() {
    let jkt = forge::client().jkt();
    let facts = |more: Value| {
        let mut payload = json!({ "change_type": "revoke", "credential_type": "x509" });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match effect(&transmitter(), &caep("credential-change"), payload, alice())? {
            Message::Event(event) => Ok(event.revokes),
            other @ (Message::Verification | Message::Stream(_)) => panic!("{other:?}"),
        }
    };
    let of = |issuer: &str, fact, value: &str| Selector {
        issuer: issuer.to_owned(),
        facts: vec![(fact, value.to_owned())],
    };
    let keys = [of(ISSUER, Fact::Key, &jkt), of(OTHER, Fact::Key, &jkt)];
    assert_eq!(facts(json!({ "jkt": jkt })), Ok(keys.to_vec()));
    let both = facts(json!({ "jkt": jkt, "x5t#S256": jkt })).unwrap();
    assert_eq!(both.len(), 4);
    assert!(both.contains(&of(OTHER, Fact::Certificate, &jkt)));
    let serial = facts(json!({ "x509_issuer": "CN=ca", "x509_serial": "07" }));
    assert_eq!(serial, Ok(vec![of(ISSUER, Fact::Subject, "alice")]));
    for wrong in [json!({ "jkt": "abc" }), json!({ "jkt": 7 }), json!({ "x5t#S256": format!("{jkt}=") })] {
        assert_eq!(facts(wrong), Err(Refusal::Payload));
    }
    let payload = json!({ "change_type": "revoke", "credential_type": "x509", "jkt": jkt });
    let kind = caep("credential-change");
    let did = json!({ "format": "did", "url": "did:example:1" });
    assert!(effect(&transmitter(), &kind, payload.clone(), did).is_ok(), "the key says enough");
    let foreign = json!({ "format": "iss_sub", "iss": "https://evil.example", "sub": "a" });
    assert_eq!(effect(&transmitter(), &kind, payload, foreign), Err(Refusal::SubjectForeign));
}

#[test]
fn only_more_assurance_leaves_tokens_alone() {
    let change = |more: Value| {
        let mut payload = json!({ "namespace": "NIST-AAL", "current_level": "nist-aal1" });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        revoked(&caep("assurance-level-change"), payload)
    };
    assert_eq!(change(json!({ "change_direction": "increase" })), Ok(0));
    assert_eq!(change(json!({ "change_direction": "decrease" })), Ok(1));
    assert_eq!(change(json!({ "change_direction": "sideways" })), Ok(1));
    assert_eq!(change(json!({})), Ok(1));
    for wrong in [json!({ "change_direction": 7 }), json!({ "namespace": 7 }), json!({ "current_level": "" })]
    {
        assert_eq!(change(wrong), Err(Refusal::Payload));
    }
    assert_eq!(revoked(&caep("assurance-level-change"), json!({})), Err(Refusal::Payload));
    assert_eq!(revoked(&caep("token-claims-change"), json!({ "claims": {} })), Err(Refusal::Payload));
}

/// RV-033, SSF-01
#[test]
fn two_subjects_in_one_event_must_be_the_same() {
    let with = |subject: Value| revoked(SESSION_REVOKED, json!({ "subject": subject }));
    assert_eq!(with(alice()), Ok(1));
    let turned: Value =
        serde_json::from_str(&format!(r#"{{"sub":"alice","iss":"{ISSUER}","format":"iss_sub"}}"#)).unwrap();
    assert_eq!(with(turned), Ok(1));
    let bob = json!({ "format": "iss_sub", "iss": ISSUER, "sub": "bob" });
    assert_eq!(with(bob), Err(Refusal::SubjectContradicted));
    assert_eq!(with(json!("alice")), Err(Refusal::Subject));
    let old = json!({ "subject_type": "iss-sub", "iss": ISSUER, "sub": "alice" });
    assert_eq!(with(old), Err(Refusal::SubjectObsolete));
}

/// RV-035, SSF-12, SSF-13
#[test]
fn a_verification_is_compared_with_the_one_that_was_asked_for() {
    let stream = json!({ "format": "opaque", "id": "stream-1" });
    let set = |payload: Value| {
        verified(&signed(|_, claims| {
            claims["events"] = json!({ format!("{SSF}verification"): payload });
            claims["sub_id"] = stream.clone();
        }))
        .unwrap()
    };
    let read = |payload: Value, asked| read(&set(payload), &transmitter(), asked);
    assert_eq!(read(json!({}), None), Ok(Message::Verification));
    assert_eq!(read(json!({ "state": "s" }), None), Ok(Message::Verification));
    assert_eq!(read(json!({ "state": "s" }), Some("s")), Ok(Message::Verification));
    assert_eq!(read(json!({ "state": "t" }), Some("s")), Err(Refusal::State));
    assert_eq!(read(json!({}), Some("s")), Ok(Message::Verification), "of its own accord");
    assert_eq!(read(json!({ "state": 7 }), None), Err(Refusal::Payload));
    let of_alice = effect(&transmitter(), &format!("{SSF}verification"), json!({}), alice());
    assert_eq!(of_alice, Err(Refusal::Subject));
}

/// RV-024, SSF-14
#[test]
fn a_stream_says_whether_it_is_silent() {
    let updated = |payload: Value| {
        let stream = json!({ "format": "opaque", "id": "stream-1" });
        effect(&transmitter(), &format!("{SSF}stream-updated"), payload, stream)
    };
    for (status, is_silent) in [("enabled", false), ("paused", true), ("disabled", true)] {
        let stream = Stream { transmitter: ISSUER.to_owned(), id: "stream-1".to_owned(), at: NOW, is_silent };
        assert_eq!(updated(json!({ "status": status, "reason": "r" })), Ok(Message::Stream(stream)));
    }
    assert_eq!(updated(json!({ "status": "asleep" })), Err(Refusal::Payload));
    assert_eq!(updated(json!({})), Err(Refusal::Payload));
}
