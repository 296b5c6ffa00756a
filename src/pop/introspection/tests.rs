use super::*;
use crate::pop::forge::{self, NOW, client, issuer, keys};
use serde_json::{Value, json};

const OPAQUE: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

fn terms() -> Terms {
    Terms { expected: forge::expected(), missing_audience: MissingAudience::Refuse }
}

/// What oidc-provider says of a token of the client credentials grant.
fn told() -> Value {
    let now = NOW.as_secs();
    json!({
        "active": true, "client_id": "app", "exp": now + 300, "iat": now - 10, "iss": "https://as.example.com",
        "aud": "https://api.example.com", "scope": "orders.read", "cnf": { "jkt": JKT }, "token_type": "DPoP",
    })
}

fn of(answer: &Value) -> Result<AccessToken, Denial> {
    let answer = plain(answer.to_string().as_bytes()).unwrap();
    answer.establish(OPAQUE, TokenHash::of(OPAQUE), &terms(), NOW)
}

fn with(name: &str, value: Value) -> Result<AccessToken, Denial> {
    let mut told = told();
    told[name] = value;
    of(&told)
}

fn without(names: &[&str]) -> Result<AccessToken, Denial> {
    let mut told = told();
    told.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    of(&told)
}

/// TK-033, INTR-02: the rows that are answers.
#[test]
fn only_the_boolean_true_is_active() {
    for active in [json!(false), json!("true"), json!(1), json!(null), json!([true]), json!({})] {
        assert_eq!(with("active", active.clone()).unwrap_err(), Denial::TokenInactive, "{active}");
    }
    assert_eq!(of(&json!({})).unwrap_err(), Denial::TokenInactive);
    assert!(of(&told()).is_ok());
}

/// TK-033, INTR-06: the rows that are none.
#[test]
fn what_is_not_one_json_object_is_no_answer() {
    let twice = told().to_string().replacen('{', r#"{"active":false,"#, 1);
    for body in ["", "<html>active</html>", "true", "[]", r#"{"active":true"#, r#"{"active":true}{}"#, &twice]
    {
        assert!(plain(body.as_bytes()).is_none(), "{body}");
    }
    assert!(plain(b"\xff{}").is_none());
}

/// INTR-09
#[test]
fn what_is_missing_is_filled_where_that_is_safe_and_no_permission_elsewhere() {
    let token = of(&told()).unwrap();
    assert_eq!((token.subject(), token.client(), token.scope()), ("app", "app", "orders.read"));
    assert_eq!(token.token_id(), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", "its hash");
    assert_eq!(token.confirmation().jkt.as_ref().unwrap().as_str(), JKT);
    for name in ["iss", "scope", "token_type", "sub", "jti"] {
        assert!(without(&[name]).is_ok(), "{name}");
    }
    assert_eq!(without(&["scope"]).unwrap().scope(), "");
    assert!(
        without(&["cnf", "token_type"]).unwrap().confirmation().jkt.is_none(),
        "pop::verify asks for more"
    );
    for name in ["exp", "iat", "client_id"] {
        assert_eq!(without(&[name]).unwrap_err(), Denial::TokenClaims, "{name}");
    }
    assert_eq!(without(&["aud"]).unwrap_err(), Denial::TokenAudience);
    let mut keycloak = told();
    keycloak["azp"] = keycloak["client_id"].take();
    keycloak.as_object_mut().unwrap().remove("client_id");
    assert_eq!(of(&keycloak).unwrap().client(), "app");
    assert_eq!(with("sub", json!("alice")).unwrap().subject(), "alice");
    assert_eq!(
        with("extra", json!({ "any": 1 })).unwrap().claims().get("extra").unwrap().to_string(),
        r#"{"any":1}"#
    );
}

#[test]
fn a_token_is_never_its_own_name() {
    assert_eq!(with("jti", json!("t1")).unwrap().token_id(), "t1");
    let token = with("jti", json!(OPAQUE)).unwrap();
    assert_ne!(token.token_id(), OPAQUE);
    assert!(!format!("{token:?}").contains(OPAQUE));
}

/// INTR-03, INTR-09: active is not enough.
#[test]
fn an_active_token_is_judged_as_a_jwt_is() {
    let now = NOW.as_secs();
    for (name, value, denial) in [
        ("iss", json!("https://other.example"), Denial::TokenIssuer),
        ("iss", json!(null), Denial::TokenIssuer),
        ("aud", json!("https://other.example"), Denial::TokenAudience),
        ("aud", json!([]), Denial::TokenAudience),
        ("aud", json!(null), Denial::TokenAudience),
        ("aud", json!(["https://api.example.com", 1]), Denial::TokenAudience),
        ("exp", json!(now), Denial::TokenExpired),
        ("exp", json!("1800000000"), Denial::TokenClaims),
        ("exp", json!(now + 3600), Denial::TokenLifetime),
        ("iat", json!(now + 6), Denial::TokenNotYetValid),
        ("nbf", json!(now + 6), Denial::TokenNotYetValid),
        ("nbf", json!(null), Denial::TokenClaims),
        ("sub", json!(""), Denial::TokenClaims),
        ("client_id", json!(7), Denial::TokenClaims),
        ("jti", json!(["t1"]), Denial::TokenClaims),
        ("scope", json!(["orders.read"]), Denial::TokenClaims),
        ("cnf", json!(null), Denial::ConfirmationUnknown),
        ("cnf", json!({}), Denial::ConfirmationUnknown),
        ("cnf", json!({ "kid": "1" }), Denial::ConfirmationUnknown),
        ("token_use", json!("refresh_token"), Denial::TokenType),
        ("typ", json!("Refresh"), Denial::TokenType),
        ("token_type", json!("refresh_token"), Denial::TokenType),
        ("token_type", json!(null), Denial::TokenClaims),
    ] {
        assert_eq!(with(name, value.clone()).unwrap_err(), denial, "{name}: {value}");
    }
    for (name, value) in [
        ("aud", json!(["x", "https://api.example.com"])),
        ("typ", json!("Bearer")),
        ("token_use", json!("access_token")),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name}: {value}");
    }
}

#[test]
fn an_audience_may_go_without_saying_where_the_operator_says_so() {
    let lenient = Terms { missing_audience: MissingAudience::Accept, ..terms() };
    let of = |aud: Value| {
        let mut told = told();
        told["aud"] = aud;
        let answer = plain(told.to_string().as_bytes()).unwrap();
        answer.establish(OPAQUE, TokenHash::of(OPAQUE), &lenient, NOW).map(|_| ())
    };
    assert_eq!((of(json!([])), of(json!(null))), (Ok(()), Ok(())));
    assert_eq!(of(json!("https://other.example")), Err(Denial::TokenAudience), "said, and not us");
    assert_eq!(of(json!("")), Err(Denial::TokenAudience));
}

/// DG-022, DPOP-22, MTLS-05.
#[test]
fn the_token_type_and_the_binding_agree() {
    let with_both = |cnf: Value, token_type: &str| {
        let mut told = told();
        told["cnf"] = cnf;
        told["token_type"] = json!(token_type);
        of(&told).map(|_| ())
    };
    for dpop in ["DPoP", "dpop", "DPOP"] {
        assert_eq!(with_both(json!({ "jkt": JKT }), dpop), Ok(()));
        assert_eq!(with_both(json!({ "x5t#S256": JKT }), dpop), Err(Denial::ConfirmationUnknown));
    }
    assert_eq!(with_both(json!({ "jkt": JKT }), "Bearer"), Err(Denial::ConfirmationUnknown));
    assert_eq!(with_both(json!({ "jkt": JKT, "x5t#S256": JKT }), "bearer"), Err(Denial::ConfirmationUnknown));
    assert_eq!(with_both(json!({ "x5t#S256": JKT }), "bearer"), Ok(()));
    assert_eq!(without(&["cnf"]).unwrap_err(), Denial::ConfirmationUnknown);
}

/// `when: always`: the JWT of `forge` and what the issuer says of it.
#[test]
fn a_verified_token_and_its_answer_must_not_contradict_each_other() {
    let token = Arc::new(forge::establish(&forge::token(|_, _| ())).unwrap());
    let confirm = |change: Value| {
        let mut told = json!({ "active": true });
        told.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        plain(told.to_string().as_bytes()).unwrap().confirm(&token, &lenient(), NOW)
    };
    let now = NOW.as_secs();
    let whole = json!({
        "iss": "https://as.example.com", "aud": "https://api.example.com", "sub": "alice", "client_id": "app",
        "jti": "t1", "iat": now - 10, "exp": now + 300, "scope": "orders.read", "cnf": { "jkt": client().jkt() },
        "token_type": "DPoP",
    });
    for agreeing in
        [whole, json!({}), json!({ "token_type": "DPoP" }), json!({ "scope": "admin orders.read" })]
    {
        assert!(Arc::ptr_eq(&confirm(agreeing).unwrap(), &token));
    }
    for (change, denial) in [
        (json!({ "active": false }), Denial::TokenInactive),
        (json!({ "iss": "https://as.example.com/" }), Denial::TokenIssuer),
        (json!({ "aud": "https://other.example" }), Denial::TokenAudience),
        (json!({ "sub": "mallory" }), Denial::TokenClaims),
        (json!({ "client_id": "other" }), Denial::TokenClaims),
        (json!({ "jti": "t2" }), Denial::TokenClaims),
        (json!({ "cnf": { "jkt": JKT } }), Denial::ConfirmationUnknown),
        (json!({ "cnf": { "jkt": client().jkt(), "x5t#S256": JKT } }), Denial::ConfirmationUnknown),
        (json!({ "cnf": null }), Denial::ConfirmationUnknown),
        (json!({ "token_type": "Bearer" }), Denial::ConfirmationUnknown),
        (json!({ "exp": now }), Denial::TokenExpired),
        (json!({ "nbf": now + 60 }), Denial::TokenNotYetValid),
        (json!({ "typ": "Refresh" }), Denial::TokenType),
    ] {
        assert_eq!(confirm(change.clone()).unwrap_err(), denial, "{change}");
    }
    let less = confirm(json!({ "scope": "profile", "exp": now + 60 })).unwrap();
    assert_eq!((less.scope(), less.expires_at()), ("", Timestamp::from_secs(now + 60)));
    assert_eq!((less.subject(), less.confirmation()), ("alice", token.confirmation()));
}

fn lenient() -> Terms {
    Terms { missing_audience: MissingAudience::Accept, ..terms() }
}

fn signed_parts() -> (Value, Value) {
    (
        json!({ "alg": "ES256", "typ": "token-introspection+jwt", "kid": "k1" }),
        json!({
            "iss": "https://as.example.com", "aud": "clinch", "iat": NOW.as_secs(), "token_introspection": told(),
        }),
    )
}

fn believe(change: impl FnOnce(&mut Value, &mut Value)) -> Result<Answer, Unbelievable> {
    let (mut header, mut claims) = signed_parts();
    change(&mut header, &mut claims);
    let jwt = issuer().jws(&header, &claims);
    signed(jwt.as_bytes(), &forge::expected(), "clinch", &keys(), NOW)
}

/// JINT-02, JINT-03, JINT-05.
#[test]
fn a_signed_answer_is_the_issuers_for_us_and_new() {
    assert!(matches!(believe(|_, _| ()), Ok(Answer::Active(_))));
    assert!(matches!(believe(|_, claims| claims["aud"] = json!(["x", "clinch"])), Ok(Answer::Active(_))));
    let now = NOW.as_secs();
    let wrong: Vec<(&str, &str, Value)> = vec![
        ("header", "typ", json!("JWT")),
        ("header", "typ", json!("at+jwt")),
        ("header", "typ", json!(null)),
        ("header", "alg", json!("none")),
        ("header", "alg", json!("RS256")),
        ("header", "crit", json!(["exp"])),
        ("claims", "iss", json!("https://other.example")),
        ("claims", "iss", json!(null)),
        ("claims", "aud", json!("another")),
        ("claims", "aud", json!(["another"])),
        ("claims", "iat", json!(now + 6)),
        ("claims", "iat", json!(now - 61)),
        ("claims", "iat", json!("now")),
        ("claims", "token_introspection", json!([])),
        ("claims", "token_introspection", json!(null)),
    ];
    for (part, name, value) in wrong {
        let said = believe(|header, claims| match part {
            "header" => header[name] = value.clone(),
            _ => claims[name] = value.clone(),
        });
        assert_eq!(said.unwrap_err(), Unbelievable::Unverified, "{name}: {value}");
    }
    assert_eq!(believe(|header, _| header["kid"] = json!("k2")).unwrap_err(), Unbelievable::KeyUnknown);
    let (header, claims) = signed_parts();
    let of = |text: &str| signed(text.as_bytes(), &forge::expected(), "clinch", &keys(), NOW).unwrap_err();
    assert_eq!(of(&forge::thief().jws(&header, &claims)), Unbelievable::Unverified);
    assert_eq!(of(&told().to_string()), Unbelievable::Unverified, "no downgrade to plain JSON");
}

/// JINT-03: what stands beside `token_introspection` is not part of the answer.
#[test]
fn only_the_member_token_introspection_counts() {
    let outside = believe(|_, claims| {
        claims["active"] = json!(true);
        claims["token_introspection"] = json!({ "active": false, "sub": "alice" });
    });
    assert!(matches!(outside, Ok(Answer::Inactive)));
}

/// TK-025: the sample token of RFC 9449 section 7.1 has two dots and is no JWT.
#[test]
fn dots_do_not_make_a_jwt() {
    use crate::pop::access_token::Unverified;
    assert!(
        Unverified::is_opaque(OPAQUE) && Unverified::is_opaque("abc") && Unverified::is_opaque("a.b.c.d.e")
    );
    let jwt = forge::token(|_, _| ());
    let header = jwt.split('.').next().unwrap();
    assert!(!Unverified::is_opaque(&jwt) && !Unverified::is_opaque(&format!("{header}.x.y")));
}

/// JINT-04: a signed answer is no access token, even where any issuer's JWT would be.
#[test]
fn a_signed_answer_is_no_access_token() {
    let (header, claims) = signed_parts();
    assert_eq!(forge::establish(&issuer().jws(&header, &claims)).unwrap_err(), Denial::TokenType);
}
