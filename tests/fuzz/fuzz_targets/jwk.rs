//! A key that is accepted has the thumbprint that its members spell, no private member under any spelling, and is
//! a key to other libraries too.
#![no_main]

use arbitrary::Arbitrary;
use clinch::pop::algorithm::Algorithm;
use clinch::pop::jose::Json;
use clinch::pop::jwk::{JwkFault, PublicJwk, Thumbprint};
use clinch::pop::key_set::KeySet;
use clinch_fuzz::edits::{Draft, Edit};
use clinch_fuzz::forge::CAST;
use clinch_fuzz::naive::{self, PRIVATE};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
enum Story {
    Edited(u8, Vec<Edit>),
    /// A key of these bytes: on the curve or not, large enough or not.
    Okp([u8; 32]),
    Rsa(u16, [u8; 8], Vec<u8>),
    Text(Vec<u8>),
}

const RSA: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fuzz_target!(|story: Story| {
    let text = match story {
        Story::Edited(which, edits) => Draft::of(&good(which)).edited(&edits).written().into_bytes(),
        Story::Okp(x) => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": naive::encode(&x) }).to_string().into_bytes()
        }
        Story::Rsa(length, start, e) => {
            let mut n = start.to_vec();
            n.resize(usize::from(length) % 600, 0xa5);
            json!({ "kty": "RSA", "n": naive::encode(&n), "e": naive::encode(&e) }).to_string().into_bytes()
        }
        Story::Text(text) => text,
    };
    let second = naive::object(&text).map(Value::Object);
    let Some(jwk) = Json::parse_object(&text) else {
        return assert!(second.is_none(), "{}", text.escape_ascii());
    };
    let second = second.expect("what clinch reads, another reader reads");
    let private = PRIVATE.iter().any(|name| second.get(name).is_some());
    match PublicJwk::parse(&jwk) {
        Ok(key) => {
            assert!(!private, "a private key passed: {second}");
            assert_eq!(naive::thumbprint(&second).as_deref(), Some(key.thumbprint().as_str()), "{second}");
            assert!(Thumbprint::parse(key.thumbprint().as_str()) == Some(key.thumbprint()));
            is_a_key_to_others(&second);
            serves_in_a_set(&second, &key);
        }
        Err(JwkFault::Private) => assert!(private, "{second}"),
        Err(JwkFault::Invalid) => assert!(!private && !is_p256(&second), "{second}"),
    }
});

fn good(which: u8) -> Value {
    match which % 4 {
        0 => CAST.clients[0].jwk(),
        1 => CAST.clients[1].jwk(),
        2 => json!({ "kty": "RSA", "n": RSA, "e": "AQAB" }),
        _ => {
            let key = p384::ecdsa::SigningKey::from_slice(&[1 + which / 4; 48]).unwrap();
            let point = key.verifying_key().to_sec1_point(false);
            let (x, y) = point.as_bytes()[1..].split_at(48);
            json!({ "kty": "EC", "crv": "P-384", "x": naive::encode(x), "y": naive::encode(y) })
        }
    }
}

fn bytes(jwk: &Value, name: &str) -> Option<Vec<u8>> {
    naive::decode(jwk[name].as_str()?)
}

/// Whether these members are a P-256 key, in the one way to spell it.
fn is_p256(jwk: &Value) -> bool {
    let point = || {
        let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
        (x.len() == 32 && y.len() == 32).then(|| [vec![4], x, y].concat())
    };
    jwk["kty"] == "EC"
        && jwk["crv"] == "P-256"
        && point().is_some_and(|point| p256::PublicKey::from_sec1_bytes(&point).is_ok())
}

fn is_a_key_to_others(jwk: &Value) {
    match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
        (Some("EC"), Some("P-256")) => assert!(is_p256(jwk)),
        (Some("EC"), Some("P-384")) => {
            let point = [vec![4], bytes(jwk, "x").unwrap(), bytes(jwk, "y").unwrap()].concat();
            assert!(p384::PublicKey::from_sec1_bytes(&point).is_ok(), "{jwk}");
        }
        // Bytes that are no point at all may pass, and verify nothing; a point must not be of small order, and
        // must have this one spelling.
        (Some("OKP"), Some("Ed25519")) => {
            let x: [u8; 32] = bytes(jwk, "x").unwrap().try_into().unwrap();
            if let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&x) {
                assert!(!key.is_weak(), "{jwk}");
                assert_eq!(key.to_edwards().compress().to_bytes(), x, "{jwk}");
            }
        }
        (Some("RSA"), None) => {
            let (n, e) = (bytes(jwk, "n").unwrap(), bytes(jwk, "e").unwrap());
            assert!(n.len() >= 256 && n.len() <= 512 && n[0] != 0 && n[n.len() - 1] & 1 == 1, "{jwk}");
            assert!(n.len() > 256 || n[0] >= 0x80, "{jwk}");
            assert!(e == [1, 0, 1] || (!e.is_empty() && e.len() <= 2 && e != [1]), "{jwk}");
        }
        _ => panic!("accepted a key of another kind: {jwk}"),
    }
}

/// In a key set the same key is found, or left out for what it says about itself, and never twice.
fn serves_in_a_set(jwk: &Value, key: &PublicJwk) {
    let text = json!({ "keys": [jwk] }).to_string();
    // Two levels further in, a key with deep members may be beyond what clinch reads.
    let Some(document) = Json::parse(text.as_bytes()) else { return };
    let set = KeySet::parse(&document).unwrap();
    for algorithm in Algorithm::ALL {
        let kid = jwk["kid"].as_str();
        let found: Vec<&PublicJwk> = set.candidates(kid, *algorithm).map(|one| one.key).collect();
        assert!(found.len() <= set.len() && found.iter().all(|found| *found == key && key.fits(*algorithm)));
    }
    let says_something = ["use", "key_ops", "alg", "kid"].iter().any(|name| jwk.get(name).is_some());
    assert!(set.len() == 1 || says_something, "{jwk}");
}
