use super::*;
use crate::pop::access_token::{Expected, TokenHash, Unverified};
use crate::pop::algorithm::Algorithm::Es256;
use crate::pop::credentials::Credentials;
use crate::pop::jose::Json;
use crate::pop::key_set::KeySet;
use crate::pop::policy::{DpopPolicy, ProofRule, Requirements};
use crate::pop::target_uri::Origin;
use crate::pop::{self, Denial};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use std::sync::Arc;
use std::time::Duration;

/// RFC 7515 appendix A.3.1: a P-256 key.
const RFC_7515_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&base64url_decode(part).unwrap()).unwrap()
}

/// Header and claims of a JWS, after another implementation has checked the signature with its own `jwk`.
fn opened(jws: &str) -> (Value, Value) {
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    let header = decoded(header);
    let part = |name: &str| header["jwk"][name].as_str().unwrap().to_owned();
    let key = DecodingKey::from_ec_components(&part("x"), &part("y")).unwrap();
    assert!(crypto::verify(signature, input.as_bytes(), &key, Algorithm::ES256).unwrap());
    (header, decoded(claims))
}

#[test]
fn a_proof_has_the_members_of_rfc_9449_and_no_private_part() {
    let holder = Holder::generate();
    let url = "https://api.example.com/accounts/42?page=2#top";
    let proof = holder.prove(ProofFor { method: "GET", url, token: None, nonce: None }, NOW);
    let (header, claims) = opened(&proof);
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["jwk"], holder.public_jwk());
    assert!(header["jwk"].get("d").is_none());
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], "https://api.example.com/accounts/42");
    assert_eq!(claims["iat"], 1_700_000_000);
    assert!(claims.get("ath").is_none() && claims.get("nonce").is_none());
}

#[test]
fn ath_is_the_hash_of_the_token_in_rfc_9449() {
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let what = ProofFor { method: "GET", url: "https://a.example/", token: Some(token), nonce: Some("n") };
    let (_, claims) = opened(&Holder::generate().prove(what, NOW));
    assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_eq!(claims["nonce"], "n");
}

#[test]
fn two_proofs_for_the_same_request_have_different_ids() {
    let holder = Holder::generate();
    let what = ProofFor { method: "GET", url: "https://a.example/", token: None, nonce: None };
    let id = || opened(&holder.prove(what, NOW)).1["jti"].clone();
    assert_ne!(id(), id());
}

#[test]
fn a_key_survives_pem() {
    let holder = Holder::generate();
    let again = Holder::read(&holder.to_pem()).unwrap();
    assert_eq!(again.thumbprint(), holder.thumbprint());
}

#[test]
fn a_jwk_is_read_and_its_thumbprint_is_that_of_another_implementation() {
    let holder = Holder::read(RFC_7515_KEY).unwrap();
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(holder.public_jwk()).unwrap();
    assert_eq!(holder.thumbprint(), jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap());
}

#[test]
fn what_is_no_key_is_named() {
    assert_eq!(Holder::read("hello").unwrap_err(), KeyFault::Format);
    assert_eq!(
        Holder::read("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----").unwrap_err(),
        KeyFault::Pem
    );
    assert_eq!(Holder::read(r#"{"kty":"OKP","crv":"Ed25519"}"#).unwrap_err(), KeyFault::Jwk);
    let swapped = RFC_7515_KEY.replace("f83OJ3D2", "f83OJ3D3");
    assert_eq!(Holder::read(&swapped).unwrap_err(), KeyFault::JwkMismatch);
}

#[test]
fn debug_shows_no_private_part() {
    let holder = Holder::read(RFC_7515_KEY).unwrap();
    assert!(!format!("{holder:?}").contains("jpsQnnGQ"));
}

/// What the pure core says of a request with this token, proof, method and URL.
fn judged(token: &str, proof: &str, issuer: &Holder, method: &str, url: &str) -> Result<(), Denial> {
    let expected = Arc::new(Expected {
        issuer: "https://as.example".into(),
        audiences: vec!["https://api.example".to_owned()],
        algorithms: vec![Es256],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
    });
    let keys = json!({"keys": [issuer.public_jwk()]}).to_string();
    let keys = KeySet::parse(&Json::parse(keys.as_bytes()).unwrap()).unwrap();
    let token = Unverified::parse(token)?.verify(TokenHash::of(token), &expected, &keys, NOW)?;
    let request = http::Request::builder().method(method).uri(url);
    let request = request
        .header("host", "api.example")
        .header("authorization", "DPoP x")
        .header("dpop", proof)
        .body(())
        .unwrap();
    let (parts, ()) = request.into_parts();
    let request = pop::Request::of(&parts, None, &[Origin::parse("https://api.example").unwrap()])?;
    let credentials = Credentials::of(&request)?;
    let proof = ProofRule { dpop: true, ..ProofRule::default() };
    let demands = Requirements { proof, ..Requirements::default() };
    let max = Duration::from_secs(60);
    let dpop = DpopPolicy { algorithms: vec![Es256], max_age: max, max_future: Duration::ZERO };
    pop::verify(&request, &credentials, Arc::new(token), &demands, &dpop, &pop::nonce::Nonces::off(), NOW)
        .map(|_| ())
}

#[test]
fn the_core_accepts_what_a_holder_makes_and_only_for_its_purpose() {
    let (issuer, app, thief) = (Holder::generate(), Holder::generate(), Holder::generate());
    let claims = json!({
        "iss": "https://as.example", "aud": "https://api.example", "sub": "alice", "client_id": "app",
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 600, "jti": "1", "cnf": {"jkt": app.thumbprint()},
    });
    let header = Map::from_iter([("typ".to_owned(), "at+jwt".into())]);
    let token = &issuer.sign(header, &claims);
    let url = "https://api.example/accounts/42";
    let prove = |holder: &Holder, method, url, token| {
        holder.prove(ProofFor { method, url, token: Some(token), nonce: None }, NOW)
    };
    let judge = |proof: String| judged(token, &proof, &issuer, "GET", url);
    assert_eq!(judge(prove(&app, "GET", "https://api.example/accounts/42?a=b", token)), Ok(()));
    assert_eq!(judge(prove(&thief, "GET", url, token)), Err(Denial::KeyMismatch));
    assert_eq!(judge(prove(&app, "POST", url, token)), Err(Denial::ProofMethod));
    assert_eq!(judge(prove(&app, "GET", "https://api.example/accounts/7", token)), Err(Denial::ProofTarget));
    assert_eq!(judge(prove(&app, "GET", url, "another token")), Err(Denial::ProofTokenHash));
}
