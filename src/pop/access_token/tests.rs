use crate::pop::Denial;
use crate::pop::forge::*;
use serde_json::{Value, json};

fn with_claim(name: &str, value: Value) -> Result<(), Denial> {
    establish(&token(|_, claims| claims[name] = value)).map(|_| ())
}

fn without(name: &str) -> Result<(), Denial> {
    establish(&token(|_, claims| {
        claims.as_object_mut().unwrap().remove(name);
    }))
    .map(|_| ())
}

fn with_header(name: &str, value: Value) -> Result<(), Denial> {
    establish(&token(|header, _| header[name] = value)).map(|_| ())
}

#[test]
fn a_token_in_order_is_established() {
    let token = establish(&token(|_, _| ())).unwrap();
    assert_eq!((token.subject(), token.client(), token.token_id()), ("alice", "app", "t1"));
    assert_eq!(token.still_valid(token.expires_at()), Err(Denial::TokenExpired));
    assert!(!format!("{token:?}").contains("eyJ"));
}

/// AT-01, BCP-11, JINT-04, TK-005, TK-006
#[test]
fn the_type_is_at_jwt_in_any_case() {
    for typ in ["at+jwt", "at+JWT", "AT+jwt", "application/at+jwt"] {
        assert_eq!(with_header("typ", json!(typ)), Ok(()), "{typ}");
    }
    for typ in ["JWT", "dpop+jwt", "secevent+jwt", "token-introspection+jwt", "logout+jwt", "", "at+jwt "] {
        assert_eq!(with_header("typ", json!(typ)), Err(Denial::TokenType), "{typ}");
    }
    assert_eq!(with_header("typ", json!(["at+jwt"])), Err(Denial::TokenType));
}

/// AT-05, BCP-01, BCP-03, BCP-10, JWS-03, JWS-05, JWKS-09, TK-001, TK-002
#[test]
fn the_header_is_judged_strictly() {
    for alg in ["none", "None", "HS256", "RS256", "es256", ""] {
        assert_eq!(with_header("alg", json!(alg)), Err(Denial::TokenAlgorithm), "{alg}");
    }
    for crit in [json!(["exp"]), json!([]), json!("exp"), json!(null)] {
        assert_eq!(with_header("crit", crit), Err(Denial::TokenCritical));
    }
    assert_eq!(with_header("b64", json!(false)), Err(Denial::TokenCritical));
    assert_eq!(with_header("kid", json!(7)), Err(Denial::TokenMalformed));
    assert_eq!(with_header("kid", json!("k2")), Err(Denial::TokenKeyUnknown));
    // Keys in the header are never used.
    assert_eq!(with_header("jwk", thief().jwk()), Ok(()));
    let (mut header, claims) = token_parts();
    header["jwk"] = thief().jwk();
    assert_eq!(establish(&thief().jws(&header, &claims)).map(|_| ()), Err(Denial::TokenSignature));
}

/// AT-03, TK-010
#[test]
fn the_issuer_is_one_exact_string() {
    for iss in [
        json!("https://as.example.com/"),
        json!("https://AS.example.com"),
        json!(["https://as.example.com"]),
        json!(1),
        json!({}),
        json!(null),
    ] {
        assert_eq!(with_claim("iss", iss.clone()), Err(Denial::TokenIssuer), "{iss}");
    }
    assert_eq!(without("iss"), Err(Denial::TokenIssuer));
}

/// AT-04, BCP-09, SBCP-02, TK-013
#[test]
fn the_audience_contains_ours() {
    assert_eq!(with_claim("aud", json!(["https://other", "https://api.example.com"])), Ok(()));
    for aud in [
        json!("https://api.example.com/"),
        json!("https://api.example"),
        json!("https://API.example.com"),
        json!([]),
        json!(["https://api.example.com", 1]),
        json!({ "https://api.example.com": 1 }),
        json!(null),
        json!(""),
    ] {
        assert_eq!(with_claim("aud", aud.clone()), Err(Denial::TokenAudience), "{aud}");
    }
    assert_eq!(without("aud"), Err(Denial::TokenAudience));
}

/// AT-06, AT-12, AT-13, DPOP-45, FAPI-08, TK-014, TK-015, TK-016, TK-017
#[test]
fn times_are_numbers_and_none_is_granted_after_exp() {
    let now = NOW.as_secs();
    assert_eq!(with_claim("exp", json!(now as f64 + 0.5)), Ok(()));
    assert_eq!(with_claim("exp", json!(now)), Err(Denial::TokenExpired));
    for exp in [json!("1800000000"), json!(null), json!(-1), json!(1e300), json!([now + 300])] {
        assert_eq!(with_claim("exp", exp.clone()), Err(Denial::TokenClaims), "{exp}");
    }
    assert_eq!(without("exp"), Err(Denial::TokenClaims));
    assert_eq!(without("iat"), Err(Denial::TokenClaims));
    assert_eq!(with_claim("nbf", json!(now + 600)), Err(Denial::TokenNotYetValid));
    assert_eq!(with_claim("nbf", json!("0")), Err(Denial::TokenClaims));
    assert_eq!(with_claim("iat", json!(now + 6)), Err(Denial::TokenNotYetValid));
    assert_eq!(with_claim("iat", json!(now + 5)), Ok(()));
    assert_eq!(with_claim("exp", json!(now + 3600)), Err(Denial::TokenLifetime));
    assert_eq!(with_claim("exp", json!(now + 3590)), Ok(()));
}

/// AT-08
#[test]
fn required_claims_are_strings_that_say_something() {
    for name in ["sub", "client_id", "jti"] {
        assert_eq!(without(name), Err(Denial::TokenClaims), "{name}");
        for value in [json!(""), json!(null), json!(1), json!(["x"])] {
            assert_eq!(with_claim(name, value), Err(Denial::TokenClaims), "{name}");
        }
    }
    assert_eq!(with_claim("scope", json!(["orders.read"])), Err(Denial::TokenClaims));
    assert_eq!(without("scope"), Ok(()));
}

/// AT-14, TK-007
#[test]
fn an_id_token_is_no_access_token_even_where_typ_jwt_is_admitted() {
    let mut lenient = (*expected()).clone();
    lenient.token_types = vec!["jwt".to_owned()];
    let establish = |jwt: &str| {
        use crate::pop::access_token::{TokenHash, Unverified};
        let unverified = Unverified::parse(jwt).unwrap();
        unverified.verify(TokenHash::of(jwt), &lenient.clone().into(), &keys(), NOW).map(|_| ())
    };
    assert_eq!(establish(&token(|header, _| header["typ"] = json!("JWT"))), Ok(()));
    let with = |claim: &str, value: Value| {
        establish(&token(|header, claims| {
            header["typ"] = json!("JWT");
            claims[claim] = value;
        }))
    };
    for claim in ["nonce", "at_hash", "c_hash"] {
        assert_eq!(with(claim, json!("x")), Err(Denial::TokenType));
    }
    for claim in ["typ", "token_use"] {
        for access in ["Bearer", "DPoP", "access", "access_token"] {
            assert_eq!(with(claim, json!(access)), Ok(()), "{claim} {access}");
        }
        for other in [
            json!("ID"),
            json!("Refresh"),
            json!("Logout"),
            json!("id"),
            json!(""),
            json!(null),
            json!(["DPoP"]),
        ] {
            assert_eq!(with(claim, other.clone()), Err(Denial::TokenType), "{claim} {other}");
        }
    }
}

/// AT-02, AT-05, JWS-02, BCP-04, TK-023, TK-032
#[test]
fn a_broken_form_is_malformed() {
    let good = token(|_, _| ());
    let (head, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        head,
        &format!("{good}."),
        &format!("{good}.{signature}"),
        &good[1..],
        &format!("{good}="),
        "a.b.c",
        "",
    ] {
        assert!(matches!(establish(bad), Err(Denial::TokenMalformed | Denial::TokenSignature)), "{bad}");
    }
    assert_eq!(
        establish(&thief().jws(&token_parts().0, &token_parts().1)).map(|_| ()),
        Err(Denial::TokenSignature)
    );
    let (header, claims) = token_parts();
    let twice = claims.to_string().replacen('{', r#"{"sub":"admin","#, 1);
    let jwt = issuer().jws_of_text(&header.to_string(), &twice);
    assert_eq!(establish(&jwt).map(|_| ()), Err(Denial::TokenMalformed));
}

/// DPOP-17, PF-057
#[test]
fn the_hash_is_the_ath_of_rfc_9449() {
    use crate::pop::access_token::TokenHash;
    let hash = TokenHash::of("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    assert!(hash.is_ath("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"));
    for other in
        ["fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp", "", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="]
    {
        assert!(!hash.is_ath(other));
    }
}

/// Revocation by signing key asks for the key that was used, not for what the header calls it.
#[test]
fn the_signing_key_is_the_one_that_made_the_signature() {
    let named = establish(&token(|_, _| ())).unwrap();
    let unnamed = establish(&token(|header, _| drop(header.as_object_mut().unwrap().remove("kid")))).unwrap();
    assert!(named.signing_key().is_some());
    assert_eq!(named.signing_key(), unnamed.signing_key());
}
