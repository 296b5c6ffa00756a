use super::super::jose::{Json, base64url};
use super::*;

fn parse(json: &str) -> Result<PublicJwk, JwkFault> {
    PublicJwk::parse(&Json::parse_object(json.as_bytes()).unwrap())
}

const X: &str = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
const Y: &str = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";

fn ec(x: &str, y: &str, more: &str) -> Result<PublicJwk, JwkFault> {
    parse(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}"#))
}

#[test]
fn private_members_count_by_presence() {
    assert!(ec(X, Y, "").is_ok());
    for member in PRIVATE_MEMBERS {
        for value in ["null", "\"\"", "\"AA\"", "[]"] {
            assert_eq!(ec(X, Y, &format!(r#","{member}":{value}"#)), Err(JwkFault::Private));
        }
    }
}

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

#[test]
fn kinds_and_curves_must_belong_together() {
    for wrong in [
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

#[test]
fn thumbprints_are_read_in_canonical_form_only() {
    let text = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(Thumbprint::parse(text).unwrap().as_str(), text);
    assert_eq!(ec(X, Y, r#","kid":"x","use":"sig""#).unwrap().thumbprint().as_str(), text);
    for wrong in ["", &text[..42], &text.replace("A4I", "A4J"), &format!("{text}="), &"00".repeat(32)] {
        assert_eq!(Thumbprint::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn both_names_of_ed25519_mean_the_same() {
    assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::EdDsa));
    for wrong in ["none", "None", "es256", "HS256", "ES256K", ""] {
        assert_eq!(Algorithm::from_name(wrong), None);
    }
}
