use super::super::forged::{ISSUER, OTHER, alice, transmitter};
use super::*;
use crate::config::SubjectClaims;
use serde_json::{Value, json};

fn parse(subject: &Value) -> Result<Subject, Refusal> {
    Subject::parse(&Json::parse_object(subject.to_string().as_bytes()).unwrap())
}

/// The selectors in short: `issuer fact=value fact=value`, the transmitter's own issuer being `as`.
fn named(transmitter: &Transmitter, subject: &Value) -> Result<Vec<String>, Refusal> {
    let short = |selector: &Selector| {
        let issuer = if selector.issuer == ISSUER { "as" } else { "other" };
        let facts = selector.facts.iter().map(|(fact, value)| format!(" {}={value}", fact.name()));
        issuer.to_owned() + &facts.collect::<String>()
    };
    Ok(parse(subject)?.selectors(transmitter)?.iter().map(short).collect())
}

fn opaque(id: &str) -> Value {
    json!({ "format": "opaque", "id": id })
}

/// SUBID-01, SUBID-03, SUBID-04, SSF-09, CAEP-05, RV-032
#[test]
fn every_format_that_tokens_can_be_found_by_is_mapped() {
    let phone = json!({ "format": "phone_number", "phone_number": "+12065550100" });
    let email = json!({ "format": "email", "email": "Alice+Home@Example.COM" });
    let foreign = json!({ "format": "iss_sub", "iss": "https://evil.example", "sub": "alice" });
    let did = json!({ "format": "did", "url": "did:example:1" });
    for (subject, expected) in [
        (alice(), vec!["as sub=alice"]),
        (json!({ "format": "iss_sub", "iss": OTHER, "sub": "alice" }), vec!["other sub=alice"]),
        (opaque("alice"), vec!["as sub=alice", "other sub=alice"]),
        (email.clone(), vec!["as email=alice+home@example.com", "other email=alice+home@example.com"]),
        (phone, vec!["as phone_number=+12065550100", "other phone_number=+12065550100"]),
        (json!({ "format": "jwt_id", "iss": ISSUER, "jti": "t1" }), vec!["as jti=t1"]),
        (
            json!({ "format": "aliases", "identifiers": [alice(), did, foreign, email] }),
            vec!["as sub=alice", "as email=alice+home@example.com", "other email=alice+home@example.com"],
        ),
    ] {
        assert_eq!(named(&transmitter(), &subject), Ok(expected.iter().map(|t| (*t).to_owned()).collect()));
    }
}

/// SUBID-01, SUBID-02, SUBID-03, SSF-08, RISC-02, RV-010, RV-032
#[test]
fn what_is_not_as_its_format_demands_or_not_supported_has_its_reason() {
    let aliases = |list: Value| json!({ "format": "aliases", "identifiers": list });
    let did = json!({ "format": "did", "url": "did:example:1" });
    let foreign = json!({ "format": "iss_sub", "iss": "https://evil.example", "sub": "alice" });
    let saml = json!({ "format": "saml_assertion_id", "issuer": "i", "assertion_id": "a" });
    let many: Vec<Value> = (0..65).map(|n| opaque(&n.to_string())).collect();
    for (subject, refusal) in [
        (json!({}), Refusal::Subject),
        (json!({ "iss": ISSUER, "sub": "alice" }), Refusal::Subject),
        (json!({ "format": "iss_sub", "iss": ISSUER }), Refusal::Subject),
        (json!({ "format": "iss_sub", "iss": ISSUER, "sub": "" }), Refusal::Subject),
        (json!({ "format": "iss_sub", "iss": ISSUER, "sub": 7 }), Refusal::Subject),
        (json!({ "format": "iss_sub", "iss": ISSUER, "sub": "a", "email": "a@b" }), Refusal::Subject),
        (json!({ "format": "opaque", "id": "a", "uri": "b" }), Refusal::Subject),
        (json!({ "format": "complex" }), Refusal::Subject),
        (json!({ "format": "complex", "user": "alice" }), Refusal::Subject),
        (json!({ "format": "complex", "user": { "id": "alice" } }), Refusal::Subject),
        (aliases(json!([])), Refusal::Subject),
        (aliases(json!(many)), Refusal::Subject),
        (aliases(json!([aliases(json!([alice()]))])), Refusal::Subject),
        (json!({ "format": "aliases", "identifiers": [alice()], "id": "x" }), Refusal::Subject),
        (json!({ "subject_type": "iss-sub", "iss": ISSUER, "sub": "a" }), Refusal::SubjectObsolete),
        (json!({ "subject_type": "x", "format": "opaque", "id": "a" }), Refusal::SubjectObsolete),
        (did.clone(), Refusal::SubjectUnsupported),
        (json!({ "format": "did" }), Refusal::Subject),
        (json!({ "format": "account", "uri": "acct:a@b" }), Refusal::SubjectUnsupported),
        (json!({ "format": "uri", "uri": "urn:x" }), Refusal::SubjectUnsupported),
        (saml, Refusal::SubjectUnsupported),
        (json!({ "format": "ip-addresses", "ip-addresses": ["192.0.2.1"] }), Refusal::SubjectUnsupported),
        (json!({ "format": "new", "x": {} }), Refusal::SubjectUnsupported),
        (aliases(json!([did])), Refusal::SubjectUnsupported),
        (foreign.clone(), Refusal::SubjectForeign),
        (aliases(json!([foreign.clone()])), Refusal::SubjectForeign),
        (json!({ "format": "jwt_id", "iss": "https://evil.example", "jti": "t" }), Refusal::SubjectForeign),
        (json!({ "format": "complex", "user": foreign, "session": opaque("s") }), Refusal::SubjectForeign),
        (json!({ "format": "complex", "user": did, "session": opaque("s") }), Refusal::SubjectUnsupported),
        (json!({ "format": "complex", "session": alice() }), Refusal::SubjectUnsupported),
    ] {
        assert_eq!(named(&transmitter(), &subject), Err(refusal), "{subject}");
    }
}

/// SSF-08, SSF-11
#[test]
fn the_members_of_a_complex_subject_hold_together() {
    let complex = |members: Value| {
        let mut subject = members;
        subject["format"] = json!("complex");
        subject
    };
    // As Keycloak says that a session has ended, for a user of an organisation.
    let keycloak = complex(json!({ "user": alice(), "session": opaque("s1"), "tenant": opaque("acme") }));
    let plain = transmitter();
    let named_claims = SubjectClaims { tenant: Some("tid".to_owned()), device: Some("did".to_owned()) };
    let with_claims = Transmitter { claims: named_claims, ..transmitter() };
    assert_eq!(named(&plain, &keycloak), Ok(vec!["as sub=alice sid=s1".to_owned()]));
    assert_eq!(named(&with_claims, &keycloak), Ok(vec!["as sub=alice sid=s1 tenant=acme".to_owned()]));
    let device = complex(json!({ "user": alice(), "device": opaque("d"), "application": opaque("app") }));
    assert_eq!(named(&plain, &device), Ok(vec!["as sub=alice client_id=app".to_owned()]));
    assert_eq!(named(&with_claims, &device), Ok(vec!["as sub=alice client_id=app device=d".to_owned()]));
    let session = complex(json!({ "session": opaque("s1"), "group": opaque("g") }));
    assert_eq!(named(&plain, &session), Ok(vec!["as sid=s1".to_owned(), "other sid=s1".to_owned()]));
    let names = json!({ "format": "aliases", "identifiers": [alice(), opaque("a2")] });
    let either = complex(json!({ "user": names, "session": opaque("s1") }));
    let expected = ["as sub=alice sid=s1", "as sub=a2 sid=s1", "other sub=a2 sid=s1"].map(str::to_owned);
    assert_eq!(named(&plain, &either), Ok(expected.to_vec()));
}

/// RV-029, RV-031, SSF-10
#[test]
fn a_subject_that_names_nobody_or_something_critical_is_refused() {
    let only = |name: &str| json!({ "format": "complex", name: opaque("x") });
    let claims = SubjectClaims { tenant: Some("tid".to_owned()), device: None };
    let (plain, tenants) = (transmitter(), Transmitter { claims, ..transmitter() });
    assert_eq!(named(&plain, &only("tenant")), Err(Refusal::SubjectUnmatchable));
    assert_eq!(named(&plain, &only("org_unit")), Err(Refusal::SubjectUnmatchable));
    assert_eq!(named(&tenants, &only("tenant")), Err(Refusal::SubjectTooBroad));
    let allowed = Transmitter { wildcard: true, ..plain.clone() };
    assert_eq!(named(&allowed, &only("org_unit")), Ok(vec!["as".to_owned(), "other".to_owned()]));
    let allowed = Transmitter { wildcard: true, ..tenants };
    assert_eq!(
        named(&allowed, &only("tenant")),
        Ok(vec!["as tenant=x".to_owned(), "other tenant=x".to_owned()])
    );
    let did = json!({ "format": "did", "url": "did:example:1" });
    for (critical, subject) in [
        ("tenant", json!({ "format": "complex", "user": alice(), "tenant": opaque("t") })),
        ("posture", json!({ "format": "complex", "user": alice(), "posture": opaque("p") })),
        ("user", json!({ "format": "complex", "user": did, "session": opaque("s") })),
    ] {
        let strict = Transmitter { critical_subject_members: vec![critical.to_owned()], ..plain.clone() };
        assert_eq!(named(&strict, &subject), Err(Refusal::CriticalMember), "{critical}");
    }
    let strict = Transmitter { critical_subject_members: vec!["user".to_owned()], ..plain };
    let user = json!({ "format": "complex", "user": alice(), "tenant": opaque("t") });
    assert!(named(&strict, &user).is_ok(), "processed, so it may be critical");
}
