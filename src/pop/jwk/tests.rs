use super::super::jose::{Json, base64url};
use super::*;
use crate::pop::dpop::key::KnownKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};

fn parse(json: &str) -> Result<PublicJwk, JwkFault> {
    PublicJwk::parse(&Json::parse_object(json.as_bytes()).unwrap())
}

const X: &str = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
const Y: &str = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";

fn ec(x: &str, y: &str, more: &str) -> Result<PublicJwk, JwkFault> {
    parse(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}"#))
}

/// DPOP-08, PF-005, PF-006, PF-007
#[test]
fn private_members_count_by_presence() {
    assert!(ec(X, Y, "").is_ok());
    for member in PRIVATE_MEMBERS {
        for value in ["null", "\"\"", "\"AA\"", "[]"] {
            assert_eq!(ec(X, Y, &format!(r#","{member}":{value}"#)), Err(JwkFault::Private));
        }
    }
}

/// JWS-09, THUMB-05, BCP-05, PF-014, PF-015, PF-016, PF-017
#[test]
fn p256_points_have_one_spelling_and_lie_on_the_curve() {
    let invalid = |x: &str, y: &str| assert_eq!(ec(x, y, ""), Err(JwkFault::Invalid), "{x} {y}");
    invalid(X, X);
    invalid(&X.replace("BFs", "BFt"), Y);
    invalid(&format!("{X}="), Y);
    invalid(&X[..42], Y);
    invalid(&base64url([&[0_u8][..], &base64url_decode(X).unwrap()].concat()), Y);
    invalid(&base64url([0; 32]), &base64url([0; 32]));
    // The negated point is another valid key.
    assert!(ec(X, "Cq7HcQAxbAbFHMkssajRy2lc4ZWFQCs8qUrL9iQ5u88", "").is_ok());
}

/// JWS-07, PF-008, PF-009, PF-010
#[test]
fn kinds_and_curves_must_belong_together() {
    for wrong in [
        r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#,
        r#"{"kty":"EC","crv":"P-384","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"OKP","crv":"P-256","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":["EC"],"crv":"P-256"}"#,
        r#"{"kty":null}"#,
        r#"{}"#,
    ] {
        assert_eq!(parse(wrong), Err(JwkFault::Invalid), "{wrong}");
    }
    assert_eq!(parse(r#"{"kty":"oct","k":"AA"}"#), Err(JwkFault::Private));
}

/// BCP-05, PF-062
#[test]
fn ed25519_keys_of_small_order_are_refused() {
    let okp =
        |bytes: [u8; 32]| parse(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64url(bytes)));
    for mut y in ED25519_SMALL_ORDER {
        assert_eq!(okp(y), Err(JwkFault::Invalid));
        y[31] |= 0x80;
        assert_eq!(okp(y), Err(JwkFault::Invalid));
    }
    for above in [0xed, 0xee, 0xff] {
        let mut y = ED25519_P;
        y[0] = above; // p and above: a second spelling
        assert_eq!(okp(y), Err(JwkFault::Invalid));
    }
    assert!(
        parse(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#).is_ok()
    );
}

/// JWS-08, FAPI-07, THUMB-05, PF-027, PF-028, PF-029
#[test]
fn rsa_keys_are_bounded_before_any_cryptography() {
    let rsa = |n: &[u8], e: &[u8]| {
        parse(&format!(r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#, base64url(n), base64url(e)))
    };
    let modulus = |bytes: usize| vec![0xc1; bytes];
    assert!(rsa(&modulus(256), &[1, 0, 1]).is_ok());
    assert!(rsa(&modulus(512), &[3]).is_ok());
    for (n, e) in [
        (modulus(255), vec![1, 0, 1]),
        (modulus(513), vec![1, 0, 1]),
        (modulus(8192), vec![1, 0, 1]),
        ([vec![0], modulus(256)].concat(), vec![1, 0, 1]),
        ([modulus(255), vec![2]].concat(), vec![1, 0, 1]),
        (modulus(256), vec![1]),
        (modulus(256), vec![]),
        (modulus(256), vec![1, 0, 0]),
        (modulus(256), vec![1, 0, 3]),
        (modulus(256), vec![0, 1, 0, 1]),
        (modulus(256), vec![2, 0, 0, 0, 1]),
    ] {
        assert_eq!(rsa(&n, &e), Err(JwkFault::Invalid), "{} bytes, e {e:?}", n.len());
    }
}

/// DPOP-21, THUMB-04, THUMB-06, DG-017
#[test]
fn thumbprints_are_read_in_canonical_form_only() {
    let text = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(Thumbprint::parse(text).unwrap().as_str(), text);
    assert_eq!(ec(X, Y, r#","kid":"x","use":"sig""#).unwrap().thumbprint().as_str(), text);
    for wrong in ["", &text[..42], &text.replace("A4I", "A4J"), &format!("{text}="), &"00".repeat(32)] {
        assert_eq!(Thumbprint::parse(wrong), None, "{wrong}");
    }
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A fresh key of the other library, as a JWK, and what signs with it.
fn signer(algorithm: Algorithm) -> (PublicJwk, Sign) {
    match algorithm {
        Algorithm::Es256 => ec_signer("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ec_signer("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::EdDsa => ed25519_signer(),
        Algorithm::Ps256 => rsa_signer(&RSA_PSS_SHA256),
        Algorithm::Ps384 => rsa_signer(&RSA_PSS_SHA384),
        Algorithm::Ps512 => rsa_signer(&RSA_PSS_SHA512),
        Algorithm::Rs256 => rsa_signer(&RSA_PKCS1_SHA256),
    }
}

fn ec_signer(curve: &str, scheme: &'static EcdsaSigningAlgorithm) -> (PublicJwk, Sign) {
    let pair = EcdsaKeyPair::generate(scheme).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{}","y":"{}"}}"#, base64url(x), base64url(y));
    let sign = move |m: &[u8]| pair.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec();
    (parse(&jwk).unwrap(), Box::new(sign))
}

fn ed25519_signer() -> (PublicJwk, Sign) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64url(pair.public_key().as_ref()));
    (parse(&jwk).unwrap(), Box::new(move |m| pair.sign(m).as_ref().to_vec()))
}

fn rsa_signer(padding: &'static dyn RsaEncoding) -> (PublicJwk, Sign) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pair.public_key();
    let n = base64url(public.modulus().big_endian_without_leading_zero());
    let e = base64url(public.exponent().big_endian_without_leading_zero());
    let sign = move |message: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    };
    (parse(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)).unwrap(), Box::new(sign))
}

/// The same whether the key is ready from an earlier proof or not.
fn verifies(key: &PublicJwk, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
    let verdict = key.verifies(algorithm, message, signature);
    let known = KnownKey::of(key.clone(), key.thumbprint());
    assert!(known.is_none_or(|known| known.verifies(algorithm, message, signature) == verdict));
    verdict
}

/// JWS-06, JWS-07, BCP-04, PF-020
#[test]
fn each_algorithm_verifies_its_own_signatures_and_no_others() {
    for algorithm in Algorithm::ALL {
        let (key, sign) = signer(*algorithm);
        let signature = base64url(sign(b"message"));
        for other in Algorithm::ALL {
            assert_eq!(
                verifies(&key, *other, b"message", &signature),
                other == algorithm,
                "{algorithm:?} as {other:?}"
            );
        }
        assert!(!verifies(&key, *algorithm, b"massage", &signature));
        assert!(!verifies(&key, *algorithm, b"message", &base64url([sign(b"message"), vec![0]].concat())));
        assert!(!verifies(&key, *algorithm, b"message", &base64url(&sign(b"message")[1..])));
        assert!(!verifies(&signer(*algorithm).0, *algorithm, b"message", &signature));
    }
}

/// JWS-09, THUMB-05
#[test]
fn p384_points_lie_on_the_curve_and_have_one_spelling() {
    let (key, _) = signer(Algorithm::Es384);
    let PublicJwk::P384(point) = &key else { panic!("another key") };
    let ec = |x: &[u8], y: &[u8]| {
        parse(&format!(r#"{{"kty":"EC","crv":"P-384","x":"{}","y":"{}"}}"#, base64url(x), base64url(y)))
    };
    let (x, y) = point[1..].split_at(48);
    assert_eq!(ec(x, y), Ok(key.clone()));
    assert_eq!(ec(x, x), Err(JwkFault::Invalid));
    assert_eq!(ec(&[0; 48], &[0; 48]), Err(JwkFault::Invalid));
    assert_eq!(ec(&x[1..], y), Err(JwkFault::Invalid));
    assert_eq!(ec(&[&[0], x].concat(), y), Err(JwkFault::Invalid));
}
