//! The examples printed in the RFCs, through the public face of the core.

use crate::support::proof::{ProofKey, jwt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use clinch::pop::access_token::{AccessToken, Expected, TokenHash, Unverified};
use clinch::pop::algorithm::Algorithm;
use clinch::pop::dpop;
use clinch::pop::jose::{Compact, Json};
use clinch::pop::jwk::{PublicJwk, Thumbprint};
use clinch::pop::key_set::KeySet;
use clinch::pop::mtls::CertificateThumbprint;
use clinch::pop::nonce::Nonces;
use clinch::pop::policy::DpopPolicy;
use clinch::pop::target_uri::Origin;
use clinch::pop::{Denial, Request, Timestamp};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The key of every proof in RFC 9449, and its thumbprint (section 6.1).
const RFC9449_JWK: &str = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
const RFC9449_JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
/// RFC 9449 section 7.1: the token and the proof it came with, whose signature has a high S.
const RFC9449_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const RFC9449_PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
/// The other signature that anyone can make of it: (r, n - s).
const MALLEATED: &str =
    "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plel_fuFVO46DNVBNVNqYZjPFpbmdA8d0H3BbGP5h-8jZxQ";
const RFC9449_IAT: i64 = 1_562_262_618;

/// RFC 9449 section 6.1: a JWT bound to that key, from before tokens had a `typ`.
const RFC9449_JWT: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IkJlQUxrYiJ9.eyJzdWIiOiJzb21lb25lQGV4YW1wbGUuY29tIiwiaXNzIjoiaHR0cHM6Ly9zZXJ2ZXIuZXhhbXBsZS5jb20iLCJuYmYiOjE1NjIyNjI2MTEsImV4cCI6MTU2MjI2NjIxNiwiY25mIjp7ImprdCI6IjBaY09DT1JaTll5LURXcHFxMzBqWnlKR0hUTjBkMkhnbEJWM3VpZ3VBNEkifX0.3Tyo8VTcn6u_PboUmAOYUY1kfAavomW_YwYMkmRNizLJoQzWy2fCo79Zi5yObpIzjWb5xW4OGld7ESZrh0fsrA";

/// RFC 7638 section 3.1.
const RFC7638_JWK: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
/// RFC 8037 appendix A.2 to A.4.
const RFC8037_JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const RFC8037_JWS: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// RFC 8705 appendix A: an X.509 v1 certificate, and its key as a JWK.
const RFC8705_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
";
const RFC8705_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8"}"#;

fn key(jwk: &str) -> PublicJwk {
    PublicJwk::parse(&Json::parse_object(jwk.as_bytes()).unwrap()).unwrap()
}

/// THUMB-01, THUMB-02, THUMB-03, MTLS-04, DPOP-21
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let thumbprint = |jwk: &str| key(jwk).thumbprint().as_str().to_owned();
    assert_eq!(thumbprint(RFC7638_JWK), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint(RFC8037_JWK), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(thumbprint(RFC9449_JWK), RFC9449_JKT);

    let certificate = CertificateDer::from_pem_slice(RFC8705_CERTIFICATE.as_bytes()).unwrap();
    let x5t = CertificateThumbprint::of_der(&certificate);
    assert_eq!(x5t.as_str(), "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0");
    // The certificate's hash is not its key's thumbprint: one can't be given for the other.
    assert_eq!(thumbprint(RFC8705_JWK), "Fvi_j8Immo6AlgIwpZKqaXnNP_9b09pLKkQHObRebQY");
    // The value in RFC 8705 section 3.1 has bits that base64url does not allow: not a thumbprint.
    assert!(CertificateThumbprint::parse("bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2").is_none());
    assert!(Thumbprint::parse(RFC9449_JKT).is_some());
}

/// DPOP-17
#[test]
fn ath_is_that_of_rfc_9449() {
    assert!(TokenHash::of(RFC9449_TOKEN).is_ath("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"));
    assert!(!TokenHash::of(RFC9449_TOKEN).is_ath("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp"));
    assert!(TokenHash::of(RFC9449_JWT).is_ath("15X9sWIbOTUXUK1Bpan7W9IbMRuf5nJnJAOaAgyHTYg"));
}

/// JWS-10
#[test]
fn signatures_of_the_rfcs_verify() {
    let verifies = |jwk: &str, algorithm, message: &str, signature: &str| {
        key(jwk).verifies(algorithm, message.as_bytes(), signature)
    };
    let proof = Compact::split(RFC9449_PROOF).unwrap();
    assert!(verifies(RFC9449_JWK, Algorithm::Es256, proof.signing_input, proof.signature));
    // High S is legal in JOSE, so both twins verify: what is remembered of a proof can't be its hash.
    assert!(verifies(RFC9449_JWK, Algorithm::Es256, proof.signing_input, MALLEATED));
    assert!(!verifies(RFC8705_JWK, Algorithm::Es256, proof.signing_input, proof.signature), "another key");
    assert!(!verifies(RFC9449_JWK, Algorithm::Es256, &proof.signing_input[1..], proof.signature));

    for proof in token_endpoint_proofs() {
        let proof = Compact::split(&proof).unwrap();
        assert!(verifies(RFC9449_JWK, Algorithm::Es256, proof.signing_input, proof.signature), "{proof:?}");
    }
    let jws = Compact::split(RFC8037_JWS).unwrap();
    assert!(verifies(RFC8037_JWK, Algorithm::EdDsa, jws.signing_input, jws.signature));
}

/// RFC 9449 sections 4.1 and 5: the proofs for the token endpoint, the first with a high S.
fn token_endpoint_proofs() -> [String; 2] {
    let header = RFC9449_PROOF.split('.').next().unwrap();
    [
        (
            1_562_262_616,
            "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
        ),
        (
            1_562_265_296,
            "pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA",
        ),
    ]
    .map(|(iat, signature)| {
        let payload = format!(
            r#"{{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://server.example.com/token","iat":{iat}}}"#
        );
        format!("{header}.{}.{signature}", BASE64.encode(payload))
    })
}

/// The RFC's token is no JWT, so its proof can't pass as a whole here: it fails at `ath`, the first check that
/// looks at the token, after every check of the proof itself (DPOP-03).
#[test]
fn the_proof_of_rfc_9449_passes_every_check_but_that_of_the_token() {
    let url = "https://resource.example.org/protectedresource";
    assert_eq!(verdict(RFC9449_PROOF, "GET", url, RFC9449_IAT), Denial::ProofTokenHash);
    assert_eq!(
        verdict(RFC9449_PROOF, "GET", &format!("{url}?q=1"), RFC9449_IAT + 60),
        Denial::ProofTokenHash
    );
    assert_eq!(verdict(RFC9449_PROOF, "GET", url, RFC9449_IAT + 61), Denial::ProofExpired);
    assert_eq!(verdict(RFC9449_PROOF, "GET", url, RFC9449_IAT - 6), Denial::ProofNotYetValid);
    assert_eq!(verdict(RFC9449_PROOF, "POST", url, RFC9449_IAT), Denial::ProofMethod);
    assert_eq!(verdict(RFC9449_PROOF, "GET", &format!("{url}/"), RFC9449_IAT), Denial::ProofTarget);
}

/// Genuine, and meant for somebody else: AT-01 refuses a JWT without a `typ`, DPOP-04 a proof without an `ath`.
#[test]
fn what_the_rfc_shows_of_other_doors_does_not_open_this_one() {
    let jwt = Unverified::parse(RFC9449_JWT).unwrap();
    assert_eq!(jwt.issuer(), Ok("https://server.example.com"));
    let now = Timestamp::from_secs(RFC9449_IAT);
    let refused = jwt.verify(TokenHash::of(RFC9449_JWT), &expected(), &KeySet::default(), now);
    assert_eq!(refused.unwrap_err(), Denial::TokenType);
    for proof in token_endpoint_proofs() {
        assert_eq!(
            verdict(&proof, "POST", "https://server.example.com/token", RFC9449_IAT),
            Denial::ProofClaims
        );
    }
}

/// What is made of a proof that came with [`token`].
fn verdict(proof: &str, method: &str, url: &str, now: i64) -> Denial {
    let uri: http::Uri = url.parse().unwrap();
    let request = http::Request::builder().method(method).header("host", uri.authority().unwrap().as_str());
    let (parts, ()) = request.uri(url).header("dpop", proof).body(()).unwrap().into_parts();
    let origins =
        ["https://resource.example.org", "https://server.example.com"].map(|o| Origin::parse(o).unwrap());
    let request = Request::of(&parts, None, &origins).unwrap();
    let policy = DpopPolicy {
        algorithms: vec![Algorithm::Es256],
        max_age: Duration::from_secs(60),
        max_future: Duration::from_secs(5),
    };
    let jkt = Thumbprint::parse(RFC9449_JKT).unwrap();
    dpop::verify(&request, &token(), &jkt, &policy, &Nonces::off(), Timestamp::from_secs(now)).unwrap_err()
}

fn expected() -> Arc<Expected> {
    Arc::new(Expected {
        issuer: "https://server.example.com".into(),
        audiences: vec!["https://resource.example.org".to_owned()],
        algorithms: vec![Algorithm::Es256],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(3605),
    })
}

/// A genuine token of the RFC's time, bound to its key.
fn token() -> AccessToken {
    let signer = ProofKey::new();
    let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "k" });
    let claims = json!({
        "iss": *expected().issuer, "aud": "https://resource.example.org", "sub": "someone@example.com", "client_id": "c",
        "jti": "t", "iat": RFC9449_IAT - 7, "exp": RFC9449_IAT + 3598, "cnf": { "jkt": RFC9449_JKT },
    });
    let jwt = jwt(&header, &claims, &signer);
    let mut jwk = signer.jwk();
    jwk["kid"] = json!("k");
    let document = json!({ "keys": [jwk] }).to_string();
    let keys = KeySet::parse(&Json::parse(document.as_bytes()).unwrap()).unwrap();
    let now = Timestamp::from_secs(RFC9449_IAT);
    Unverified::parse(&jwt).unwrap().verify(TokenHash::of(&jwt), &expected(), &keys, now).unwrap()
}
