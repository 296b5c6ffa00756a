use super::super::forged::{ISSUER, SESSION_REVOKED, US, parts, signed, transmitter, verified};
use super::*;
use crate::pop::forge::{self, NOW};
use serde_json::{Value, json};

fn with(change: impl FnOnce(&mut Value, &mut Value)) -> Result<Set, Refusal> {
    verified(&signed(change))
}

fn with_claim(name: &str, value: Value) -> Result<Set, Refusal> {
    with(|_, claims| claims[name] = value)
}

fn without(name: &str) -> Result<Set, Refusal> {
    with(|_, claims| {
        claims.as_object_mut().unwrap().remove(name).unwrap();
    })
}

/// SET-01, SSF-05
#[test]
fn what_is_in_order_is_read() {
    let set = with(|_, _| ()).unwrap();
    assert_eq!((set.id.as_str(), set.issuer.as_str(), set.kind.as_str()), ("e1", ISSUER, SESSION_REVOKED));
    assert_eq!((set.issued_at, set.happened), (NOW, None));
    assert!(with_claim("aud", json!(["https://elsewhere", US])).is_ok());
    assert!(with_claim("txn", json!("t")).is_ok());
    assert_eq!(with_claim("toe", json!(7)).unwrap().happened, Some(Timestamp::from_secs(7)));
    let spaced = format!(" {}\n", signed(|_, _| ()));
    assert!(verified(&spaced).is_ok(), "as a line of a file may be");
}

/// SET-02, SSF-03, SET-03, RV-009
#[test]
fn only_a_security_event_is_one() {
    for typ in ["secevent+jwt", "SECEVENT+JWT", "application/secevent+jwt", "Application/SecEvent+JWT"] {
        assert!(with(|header, _| header["typ"] = json!(typ)).is_ok(), "{typ}");
    }
    for typ in [json!("JWT"), json!("at+jwt"), json!("logout+jwt"), json!("dpop+jwt"), json!(""), json!(7)] {
        assert_eq!(with(|header, _| header["typ"] = typ), Err(Refusal::SetType));
    }
    let untyped = with(|header, _| *header = json!({ "alg": "ES256", "kid": "k1" }));
    assert_eq!(untyped, Err(Refusal::SetType));
    assert_eq!(verified(&forge::token(|_, _| ())), Err(Refusal::SetType), "an access token");
    assert_eq!(with(|header, _| header["crit"] = json!(["x"])), Err(Refusal::SetCritical));
    assert_eq!(with(|header, _| header["b64"] = json!(false)), Err(Refusal::SetCritical));
}

/// SSF-02, SSF-05, SSF-07, SET-01, SET-04, RV-009, RV-011, RV-017
#[test]
fn each_fault_of_the_claims_has_its_reason() {
    let future = NOW.as_secs() + 61;
    for (name, value, refusal) in [
        ("iss", json!("https://evil.example"), Refusal::Transmitter),
        ("iss", json!(7), Refusal::Issuer),
        ("aud", json!("https://elsewhere"), Refusal::Audience),
        ("aud", json!([]), Refusal::Audience),
        ("aud", json!([US, 7]), Refusal::Audience),
        ("aud", json!({ US: true }), Refusal::Audience),
        ("sub", json!("alice"), Refusal::SubPresent),
        ("sub", json!(null), Refusal::SubPresent),
        ("exp", json!(future), Refusal::ExpPresent),
        ("iat", json!("now"), Refusal::IssuedAt),
        ("iat", json!(NOW.as_millis()), Refusal::IssuedAt),
        ("iat", json!(future), Refusal::Future),
        ("jti", json!(7), Refusal::TokenId),
        ("jti", json!(""), Refusal::TokenId),
        ("toe", json!("now"), Refusal::EventTime),
        ("sub_id", json!("alice"), Refusal::SubjectMissing),
        ("events", json!({}), Refusal::Events),
        ("events", json!([SESSION_REVOKED]), Refusal::Events),
        ("events", json!({ SESSION_REVOKED: {}, "https://b": {} }), Refusal::Events),
        ("events", json!({ SESSION_REVOKED: 7 }), Refusal::Events),
        ("events", json!({ "": {} }), Refusal::Events),
    ] {
        assert_eq!(with_claim(name, value.clone()), Err(refusal), "{name}: {value}");
    }
    for (name, refusal) in [
        ("iss", Refusal::Issuer),
        ("aud", Refusal::Audience),
        ("iat", Refusal::IssuedAt),
        ("jti", Refusal::TokenId),
        ("events", Refusal::Events),
        ("sub_id", Refusal::SubjectMissing),
    ] {
        assert_eq!(without(name), Err(refusal), "{name}");
    }
    assert!(with_claim("iat", json!(NOW.as_secs() + 60)).is_ok(), "clocks differ");
}

/// SET-06, CAEP-04
#[test]
fn nobody_else_signs_for_a_transmitter() {
    for alg in ["none", "HS256", "RS256", "ES384", "es256"] {
        assert_eq!(with(|header, _| header["alg"] = json!(alg)), Err(Refusal::Algorithm), "{alg}");
    }
    let (header, claims) = parts();
    let check = |set: &str| {
        let read = Unverified::parse(set.as_bytes()).unwrap();
        read.check(&transmitter().signer.expected, NOW).unwrap().verify(&forge::keys())
    };
    assert_eq!(check(&forge::thief().jws(&header, &claims)), Err(Doubt::Wrong));
    let mut unknown = header.clone();
    unknown["kid"] = json!("k2");
    assert_eq!(check(&forge::issuer().jws(&unknown, &claims)), Err(Doubt::KeyUnknown));
    let mut own = header;
    own["jwk"] = forge::thief().jwk();
    assert_eq!(check(&forge::thief().jws(&own, &claims)), Err(Doubt::Wrong), "a key of its own");
    let set = signed(|_, _| ());
    let other = signed(|_, claims| claims["jti"] = json!("e2"));
    let (input, signature) = (set.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(check(&format!("{input}.{signature}")), Err(Doubt::Wrong));
}

/// RV-019
#[test]
fn what_is_no_set_at_all_is_refused_without_a_panic() {
    let long = "x".repeat(MAX_BYTES + 1);
    for (text, refusal) in [
        ("", Refusal::NotAnObject),
        ("a.b", Refusal::NotAnObject),
        ("a.b.c.d.e", Refusal::NotAnObject),
        ("e30.e30.e30", Refusal::SetType),
        ("W10.e30.e30", Refusal::NotAnObject),
        (long.as_str(), Refusal::TooLong),
    ] {
        assert_eq!(Unverified::parse(text.as_bytes()).map(|_| ()), Err(refusal), "{text:.20}");
    }
    assert_eq!(Unverified::parse(b"\xff.\xff.\xff").map(|_| ()), Err(Refusal::NotAnObject));
    let twice = r#"{"typ":"secevent+jwt","typ":"secevent+jwt","alg":"ES256"}"#;
    let set = forge::issuer().jws_of_text(twice, "{}");
    assert_eq!(Unverified::parse(set.as_bytes()).map(|_| ()), Err(Refusal::NotAnObject));
    let deep = format!(r#"{{"iss":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let set = forge::issuer().jws_of_text(r#"{"typ":"secevent+jwt","alg":"ES256"}"#, &deep);
    assert_eq!(Unverified::parse(set.as_bytes()).map(|_| ()), Err(Refusal::NotAnObject));
}
