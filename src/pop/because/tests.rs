use super::*;
use crate::pop::access_token::AccessToken;
use crate::pop::forge::{self, NOW, URL};
use crate::pop::mtls::{ClientCertificate, Names};
use crate::pop::policy::Requirements;
use crate::pop::target_uri::Origin;
use serde_json::{Value, json};
use std::sync::Arc;

/// What is said of a refusal of this request, whatever would have been decided of it.
fn said(denial: Denial, jwt: &str, proof: &str, demands: Requirements) -> (String, String) {
    let (authorization, certificate) =
        (format!("DPoP {jwt}"), ClientCertificate::from_der(b"any", Names::Unvouched));
    let parts = forge::parts("POST", URL, &[("authorization", &authorization), ("dpop", proof)]);
    let origins = [Origin::parse("https://api.example.com").unwrap()];
    let request = Request::of(&parts, None, &origins).unwrap();
    let certificate = Arc::new(certificate);
    let request = Request { certificate: Some(&certificate), ..request };
    let route = Route { path: "/".into(), methods: Vec::new(), access: Access::Protected(demands) };
    let token: Option<AccessToken> = forge::establish(jwt).ok();
    let dpop = DpopPolicy {
        algorithms: vec![crate::pop::algorithm::Algorithm::Es256],
        max_age: Duration::from_secs(60),
        max_future: Duration::from_secs(5),
    };
    let because = Because::of(
        denial,
        &Scene {
            request: Some(&request),
            route: Some(&route),
            token: token.as_ref(),
            expected: &|issuer| Some(forge::expected()).filter(|one| *one.issuer == *issuer),
            issuers: &|| vec!["https://as.example.com".to_owned()],
            dpop: &dpop,
            now: NOW,
        },
    );
    assert!(because.rule.contains("RFC") || because.rule.contains('`'), "{}", because.rule);
    (because.expected.unwrap_or_default(), because.found.unwrap_or_default())
}

fn of_token(denial: Denial, change: impl FnOnce(&mut Value, &mut Value)) -> (String, String) {
    let jwt = forge::token(change);
    said(denial, &jwt, "", Requirements::default())
}

fn of_proof(denial: Denial, change: impl FnOnce(&mut Value, &mut Value)) -> (String, String) {
    let jwt = forge::token(|_, _| ());
    said(denial, &jwt, &forge::proof(&jwt, change), Requirements::default())
}

fn pair(expected: &str, found: &str) -> (String, String) {
    (expected.to_owned(), found.to_owned())
}

#[test]
fn of_a_token_both_sides_are_told() {
    let aud = of_token(Denial::TokenAudience, |_, claims| claims["aud"] = json!(["https://a", "https://b"]));
    assert_eq!(aud, pair("https://api.example.com", r#"["https://a","https://b"]"#));
    let kid = of_token(Denial::TokenKeyUnknown, |header, _| header["kid"] = json!("k9"));
    assert_eq!(kid, pair("a key of https://as.example.com", r#"kid "k9", alg "ES256""#));
    let typ = of_token(Denial::TokenType, |header, _| header["typ"] = json!("JWT"));
    assert_eq!(typ, pair("at+jwt", r#""JWT""#));
    let iss = of_token(Denial::TokenIssuer, |_, claims| claims["iss"] = json!("https://evil"));
    assert_eq!(iss, pair("https://as.example.com", r#""https://evil""#));
    let (_, claims) = of_token(Denial::TokenClaims, |_, claims| {
        claims["jti"] = json!(7);
        claims.as_object_mut().unwrap().remove("sub");
    });
    assert_eq!(claims, "iss, exp, aud, client_id, iat, jti malformed");
    let (expected, found) = of_token(Denial::TokenExpired, |_, claims| claims["exp"] = json!(1_000));
    assert!(
        expected.starts_with("exp after 20") && found == "exp 1970-01-01T00:16:40Z",
        "{expected} {found}"
    );
}

#[test]
fn of_a_proof_both_sides_are_told() {
    let htu =
        of_proof(Denial::ProofTarget, |_, claims| claims["htu"] = json!("https://other/x?code=secret#f"));
    assert_eq!(htu, pair(URL.split('?').next().unwrap(), "https://other/x"));
    assert_eq!(of_proof(Denial::ProofMethod, |_, _| ()), pair("POST", "GET"));
    assert_eq!(of_proof(Denial::ProofReplayed, |_, _| ()), pair("a jti that is new", "jti p1"));
    let (expected, found) = of_proof(Denial::ProofExpired, |_, claims| claims["iat"] = json!(1_000));
    assert!(expected.starts_with("iat from 20") && found == "iat 1970-01-01T00:16:40Z", "{expected} {found}");
    let jwt = forge::token(|_, _| ());
    let theirs = forge::thief().jws(&forge::proof_parts(&jwt).0, &forge::proof_parts(&jwt).1);
    let (bound_to, shown) = said(Denial::KeyMismatch, &jwt, &theirs, Requirements::default());
    assert_eq!(bound_to, forge::client().jkt());
    assert_eq!(shown.len(), 43);
}

#[test]
fn of_a_route_both_sides_are_told() {
    let jwt = forge::token(|_, claims| claims["acr"] = json!("pwd"));
    let demands = Requirements {
        proof: forge::DPOP_ONLY,
        scopes: vec!["orders.write".to_owned(), "orders.read".to_owned()],
        acr: vec!["mfa".to_owned()],
        clients: vec!["other".to_owned()],
        ..Requirements::default()
    };
    let of = |denial| said(denial, &jwt, "", demands.clone());
    assert_eq!(of(Denial::ScopeInsufficient), pair("orders.write orders.read", "orders.read"));
    assert_eq!(of(Denial::AuthenticationInsufficient), pair("acr mfa", r#"acr "pwd", auth_time none"#));
    assert_eq!(of(Denial::ClientRefused), pair("other", "app"));
    assert_eq!(of(Denial::ProofKindRefused), pair("dpop", "a token bound to a DPoP key"));
}

/// SBCP-06
#[test]
fn nothing_that_may_be_a_token_is_told_and_nothing_long() {
    let jwt = forge::token(|_, _| ());
    let (_, found) =
        of_proof(Denial::ProofTarget, |_, claims| claims["htu"] = json!(format!("https://a/{jwt}")));
    assert_eq!(found, "(withheld: it may be a token)");
    let of = |htu: &str| of_proof(Denial::ProofTarget, |_, claims| claims["htu"] = json!(htu)).1;
    assert_eq!(of("https://alice:hunter2@a/x"), "https://a/x");
    assert_eq!(of("https://a@b:c@d//e@f/x@y"), "https://d//f/x@y");
    assert_eq!(of("//u:p@"), "//");
    let (_, found) = of_proof(Denial::ProofTarget, |_, claims| claims["htu"] = json!("é".repeat(5_000)));
    assert_eq!(found.chars().count(), LONGEST + 1);
}

/// Whatever is refused, and however little is known of it.
#[test]
fn every_refusal_has_a_rule() {
    let jwt = forge::token(|_, _| ());
    for denial in Denial::ALL {
        assert!(denial.rule().len() > 20 && !denial.rule().contains("  "), "{denial:?}: {}", denial.rule());
        for proof in ["", "a.b.c", "e30.e30.AA", &forge::proof(&jwt, |_, _| ())] {
            for token in ["e30.e30.AA", "opaque", &jwt] {
                if !denial.rule().contains("RFC") && !denial.rule().contains('`') {
                    continue;
                }
                let (expected, found) = said(*denial, token, proof, Requirements::default());
                assert!(!expected.contains(&jwt) && !found.contains(&jwt));
            }
        }
    }
}
