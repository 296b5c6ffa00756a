//! When an assertion is signed, and when one is used again.

use super::*;
use crate::pop::forge::{self, DPOP_ONLY, NOW, URL};
use crate::pop::jose::{Compact, Json};
use crate::pop::jwk::PublicJwk;
use serde_json::Value;

const LIFETIME: Duration = Duration::from_secs(60);

fn assertions() -> Assertions {
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let config = config::Assertion {
        keys: Arc::new(Keys::read(pem.as_bytes()).unwrap()),
        lifetime: LIFETIME,
        audience: "accounts".to_owned(),
    };
    Assertions::new(&config, "https://api.example.com", &[])
}

/// A verified request with a token of its own.
fn verified() -> Verified {
    let jwt = forge::token(|_, _| ());
    let (authorization, proof) = (format!("DPoP {jwt}"), forge::proof(&jwt, |_, _| ()));
    let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
    forge::verdict(DPOP_ONLY, &forge::parts("GET", URL, &fields), None).unwrap()
}

fn claims(text: &HeaderValue) -> Value {
    let jws = Compact::split(text.to_str().unwrap()).unwrap();
    serde_json::from_slice(&jws.payload().unwrap()).unwrap()
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

#[test]
fn its_signature_holds_with_the_published_key() {
    let assertions = assertions();
    let text = assertions.of(&verified(), None, NOW).unwrap();
    assert!(text.is_sensitive());
    let document = assertions.document();
    let set = Json::parse(document.as_bytes()).unwrap();
    let keys = set.as_object().unwrap().get("keys").unwrap().as_array().unwrap();
    let key = PublicJwk::parse(keys[0].as_object().unwrap()).unwrap();
    let jws = Compact::split(text.to_str().unwrap()).unwrap();
    let es256 = crate::pop::algorithm::Algorithm::Es256;
    assert!(key.verifies(es256, jws.signing_input.as_bytes(), jws.signature));
}

/// A signature draws randomness, so no two are alike: what is alike was signed once.
#[test]
fn one_is_used_again_for_half_of_its_life_and_for_nobody_else() {
    let assertions = assertions();
    let mine = verified();
    let first = assertions.of(&mine, None, NOW).unwrap();
    let period_ends = LIFETIME.as_secs() / 2 - NOW.as_secs() as u64 % (LIFETIME.as_secs() / 2);
    assert_eq!(assertions.of(&mine, None, after(period_ends - 1)).unwrap(), first);
    let next = assertions.of(&mine, None, after(period_ends)).unwrap();
    assert_eq!(claims(&next)["iat"], after(period_ends).as_secs());
    assert_ne!(assertions.of(&mine, Some("unchecked"), NOW).unwrap(), first);
    // The same text of a token, of which its issuer may say something else now.
    assert_ne!(assertions.of(&verified(), None, NOW).unwrap(), first);
    // A clock that was stepped back: nothing is sent that begins in the future.
    let earlier = NOW.minus(Duration::from_secs(40));
    assert_eq!(claims(&assertions.of(&mine, None, earlier).unwrap())["iat"], earlier.as_secs());
}

/// As `openssl ecparam -genkey` writes it: parameters, and a SEC 1 key.
#[test]
fn a_key_of_openssl_is_read() {
    let made = std::process::Command::new("openssl")
        .args(["ecparam", "-name", "prime256v1", "-genkey"])
        .output()
        .expect("openssl is installed");
    assert!(String::from_utf8_lossy(&made.stdout).contains("BEGIN EC PRIVATE KEY"));
    Keys::read(&made.stdout).unwrap();
}
