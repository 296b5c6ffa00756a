use crate::pop::Denial;
use crate::pop::forge::*;
use serde_json::{Value, json};

fn send(jwt: &str, proofs: &[&str]) -> Result<(), Denial> {
    let authorization = format!("DPoP {jwt}");
    let mut fields = vec![("authorization", authorization.as_str())];
    fields.extend(proofs.iter().map(|proof| ("dpop", *proof)));
    verdict(DPOP_ONLY, &parts("GET", URL, &fields), None).map(|_| ())
}

fn with(change: impl FnOnce(&mut Value, &mut Value)) -> Result<(), Denial> {
    let jwt = token(|_, _| ());
    send(&jwt, &[&proof(&jwt, change)])
}

fn with_header(name: &str, value: Value) -> Result<(), Denial> {
    with(|header, _| header[name] = value)
}

fn with_claim(name: &str, value: Value) -> Result<(), Denial> {
    with(|_, claims| claims[name] = value)
}

#[test]
fn a_proof_in_order_passes() {
    assert_eq!(with(|_, _| ()), Ok(()));
}

/// DPOP-01, PF-046, PF-047, DG-003
#[test]
fn check_1_exactly_one_header() {
    let jwt = token(|_, _| ());
    let proof = proof(&jwt, |_, _| ());
    assert_eq!(send(&jwt, &[]), Err(Denial::ProofMissing));
    assert_eq!(send(&jwt, &[&proof, &proof]), Err(Denial::ProofDuplicate));
    assert_eq!(send(&jwt, &[&proof, "x"]), Err(Denial::ProofDuplicate));
    assert_eq!(send(&jwt, &[&format!("{proof}, {proof}")]), Err(Denial::ProofMalformed));
    assert_eq!(send(&jwt, &[&format!("{proof},{proof}")]), Err(Denial::ProofMalformed));
}

/// DPOP-02, DPOP-03, JWS-01, JWS-02, PF-035, PF-036, PF-041, PF-042
#[test]
fn check_2_one_well_formed_jwt() {
    let jwt = token(|_, _| ());
    let proof = proof(&jwt, |_, _| ());
    let padded = format!("{proof}=");
    for bad in [
        "",
        "x",
        "x.y.z",
        &proof[..proof.rfind('.').unwrap() + 1],
        &format!("{proof}.x.y"),
        r#"{"payload":""}"#,
    ] {
        assert_eq!(send(&jwt, &[bad]), Err(Denial::ProofMalformed), "{bad}");
    }
    assert_eq!(send(&jwt, &[&padded]), Err(Denial::ProofSignature));
    assert_eq!(with_claim("padding", json!("x".repeat(8192))), Err(Denial::ProofMalformed));
    let (header, claims) = proof_parts(&jwt);
    for name in ["htu", "ath", "jti"] {
        let twice = claims.to_string().replacen('{', &format!(r#"{{"{name}":"x","#), 1);
        let bad = client().jws_of_text(&header.to_string(), &twice);
        assert_eq!(send(&jwt, &[&bad]), Err(Denial::ProofMalformed), "{name}");
    }
    let twice = header.to_string().replacen('{', r#"{"\u0061lg":"none","#, 1);
    assert_eq!(
        send(&jwt, &[&client().jws_of_text(&twice, &claims.to_string())]),
        Err(Denial::ProofMalformed)
    );
}

/// DPOP-04, DPOP-42, DPOP-48, PF-059, CL-037, CL-038, CL-046
#[test]
fn check_3_required_claims_of_their_type() {
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        let removed = with(|_, claims| {
            claims.as_object_mut().unwrap().remove(name);
        });
        assert_eq!(removed, Err(Denial::ProofClaims), "{name}");
        for value in [json!(null), json!([]), json!({}), json!(true)] {
            assert_eq!(with_claim(name, value), Err(Denial::ProofClaims), "{name}");
        }
    }
    assert_eq!(with_claim("jti", json!("")), Err(Denial::ProofClaims));
    assert_eq!(with_claim("jti", json!("a".repeat(256))), Ok(()));
    assert_eq!(with_claim("jti", json!("a".repeat(257))), Err(Denial::ProofClaims));
    assert_eq!(with_claim("iat", json!("1700000000")), Err(Denial::ProofClaims));
    for extra in [json!({ "a": 1 }), json!(null), json!("x")] {
        assert_eq!(with_claim("extra", extra.clone()), Ok(()));
        assert_eq!(with_header("extra", extra), Ok(()));
    }
}

/// DPOP-05, BCP-11, PF-044, PF-045
#[test]
fn check_4_the_type_in_one_spelling() {
    for typ in [
        json!("JWT"),
        json!("at+jwt"),
        json!("DPOP+JWT"),
        json!("application/dpop+jwt"),
        json!(null),
        json!(1),
    ] {
        assert_eq!(with_header("typ", typ), Err(Denial::ProofType));
    }
    let jwt = token(|_, _| ());
    assert_eq!(send(&jwt, &[&jwt]), Err(Denial::ProofClaims)); // an access token is no proof
}

/// DPOP-06, BCP-01, BCP-03, JWS-03, JWS-05, PF-001, PF-002, PF-038, PF-039
#[test]
fn check_5_an_accepted_algorithm() {
    for alg in ["none", "NONE", " none", "HS256", "PS256", "ES384", ""] {
        assert_eq!(with_header("alg", json!(alg)), Err(Denial::ProofAlgorithm), "{alg}");
    }
    for crit in [json!(["exp"]), json!([]), json!("x"), json!(["b64"])] {
        assert_eq!(with_header("crit", crit), Err(Denial::ProofCritical));
    }
    assert_eq!(with_header("b64", json!(false)), Err(Denial::ProofCritical));
}

/// DPOP-07, BCP-04, BCP-10, PF-020, PF-021, PF-030, PF-031, PF-033
#[test]
fn check_6_the_signature_of_the_key_in_jwk_alone() {
    let jwt = token(|_, _| ());
    let (header, claims) = proof_parts(&jwt);
    assert_eq!(send(&jwt, &[&thief().jws(&header, &claims)]), Err(Denial::ProofSignature));
    let good = client().jws(&header, &claims);
    let (head, signature) = good.rsplit_once('.').unwrap();
    for bad in [&signature[..85], &format!("{signature}A"), &"A".repeat(86), &"A".repeat(4000)] {
        assert_eq!(send(&jwt, &[&format!("{head}.{bad}")]), Err(Denial::ProofSignature));
    }
    for jwk in [json!(null), json!([]), json!("x"), json!({}), json!(["EC", "P-256"])] {
        assert_eq!(with_header("jwk", jwk), Err(Denial::ProofKey));
    }
    let no_jwk = with(|header, _| {
        header.as_object_mut().unwrap().remove("jwk");
        header["kid"] = json!("k1");
        header["jku"] = json!("http://169.254.169.254/");
    });
    assert_eq!(no_jwk, Err(Denial::ProofKey));
    assert_eq!(with(|header, _| header["alg"] = json!("EdDSA")), Err(Denial::ProofKey));
    for (name, value) in [("use", json!("enc")), ("alg", json!("ES384")), ("key_ops", json!(["sign"]))] {
        assert_eq!(with(|header, _| header["jwk"][name] = value), Err(Denial::ProofKey), "{name}");
    }
}

/// DPOP-08, PF-005, PF-007
#[test]
fn check_7_no_private_key() {
    for value in [json!("AA"), json!(null), json!("")] {
        assert_eq!(with(|header, _| header["jwk"]["d"] = value), Err(Denial::ProofKeyPrivate));
    }
}

/// DPOP-09, CL-034, CL-035, CL-036
#[test]
fn check_8_the_method_case_sensitive() {
    for htm in ["POST", "get", "GET ", "HEAD", ""] {
        assert_eq!(with_claim("htm", json!(htm)), Err(Denial::ProofMethod), "{htm}");
    }
}

/// DPOP-10, DPOP-11
#[test]
fn check_9_the_target_without_query() {
    assert_eq!(with_claim("htu", json!("HTTPS://API.example.com:443/%6frders/7?x#y")), Ok(()));
    for htu in ["https://api.example.com/orders/8", "https://evil.example/orders/7", "/orders/7", ""] {
        assert_eq!(with_claim("htu", json!(htu)), Err(Denial::ProofTarget), "{htu}");
    }
}

/// DPOP-14, DPOP-15, CL-039, CL-040, CL-041, CL-042, CL-043, CL-045
#[test]
fn check_11_the_window_has_inclusive_edges() {
    let now = NOW.as_secs();
    for (iat, expected) in [
        (json!(now - 60), Ok(())),
        (json!(now - 61), Err(Denial::ProofExpired)),
        (json!(now + 5), Ok(())),
        (json!(now + 6), Err(Denial::ProofNotYetValid)),
        (json!(now as f64 - 0.5), Ok(())),
        (json!(now * 1000), Err(Denial::ProofClaims)),
        (json!(0), Err(Denial::ProofExpired)),
        (json!(-1), Err(Denial::ProofClaims)),
        (json!(1e308), Err(Denial::ProofClaims)),
    ] {
        assert_eq!(with_claim("iat", iat.clone()), expected, "{iat}");
    }
    assert_eq!(with_claim("exp", json!(now)), Err(Denial::ProofExpired));
    assert_eq!(with_claim("nbf", json!(now + 60)), Err(Denial::ProofNotYetValid));
}

/// DPOP-17, DPOP-18
#[test]
fn check_12_the_token_and_its_key() {
    let jwt = token(|_, _| ());
    let other = token(|_, claims| claims["jti"] = json!("t2"));
    assert_eq!(send(&jwt, &[&proof(&other, |_, _| ())]), Err(Denial::ProofTokenHash));
    let (mut header, claims) = proof_parts(&jwt);
    header["jwk"] = thief().jwk();
    assert_eq!(send(&jwt, &[&thief().jws(&header, &claims)]), Err(Denial::KeyMismatch));
}

/// DPOP-41, RP-009
#[test]
fn the_proof_stays_acceptable_as_long_as_its_iat() {
    let jwt = token(|_, _| ());
    let (authorization, proof) =
        (format!("DPoP {jwt}"), proof(&jwt, |_, claims| claims["iat"] = json!(NOW.as_secs() + 5)));
    let parts = parts("GET", URL, &[("authorization", &authorization), ("dpop", &proof)]);
    let verified = verdict(DPOP_ONLY, &parts, None).unwrap();
    assert_eq!(verified.proof().unwrap().acceptable_until().as_secs(), NOW.as_secs() + 5 + 60 + 5);
    assert!(!format!("{verified:?}").contains("eyJ"));
}
