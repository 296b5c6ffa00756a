//! Beyond the catalogue: what else a hostile mind would take for a key, and how else it would spell base64url.

use super::case::{Case, each, good_proof, proof};
use super::forge::{P256_P, b64, bytes_of, respelled, with_member};
use super::stage::Stage;
use crate::support::proof::{Jwt, ProofKey, sign_text};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_nobody_thought_of() {
    let stage = Stage::start().await;
    stage.run([keys(), spellings()].into_iter().flatten().collect()).await;
    stage.finish().await;
}

fn keys() -> Vec<Case> {
    let jwk = |name: &str, jwk: fn(&ProofKey) -> Value| {
        proof(name, "proof_key", move |s, p| p.header("jwk", jwk(&s.key)).sign(&s.key))
    };
    fn point(x: [u8; 32], y: [u8; 32]) -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y) })
    }
    let mut cases = vec![
        jwk("the point at zero", |_| point([0; 32], [0; 32])),
        jwk("x of zero", |key| with_member(key.jwk(), "x", b64([0; 32]))),
        jwk("a point of the twist", |_| point([3; 32], [5; 32])),
        jwk("a coordinate equal to the field", |_| point(P256_P, P256_P)),
        jwk("a coordinate beyond the field", |_| point([0xff; 32], [0xff; 32])),
        jwk("a compressed point", |key| with_member(key.jwk(), "y", json!(true))),
        jwk("no y", |key| with_member(key.jwk(), "y", Value::Null)),
        jwk("x as an array", |key| with_member(key.jwk(), "x", json!([1, 2, 3]))),
        jwk("a type in lower case", |key| with_member(key.jwk(), "kty", "ec")),
        jwk("a type in an array", |key| with_member(key.jwk(), "kty", json!(["EC"]))),
        jwk("a key for encryption", |key| with_member(key.jwk(), "use", "enc")),
        jwk("a key for signing only", |key| with_member(key.jwk(), "key_ops", json!(["sign"]))),
        jwk("key_ops as text", |key| with_member(key.jwk(), "key_ops", "verify")),
        jwk("a key for another algorithm", |key| with_member(key.jwk(), "alg", "ES384")),
        jwk("an algorithm of a key that is none", |key| with_member(key.jwk(), "alg", Value::Null)),
    ];
    cases.extend(each(
        [
            json!({ "use": "sig" }),
            json!({ "alg": "ES256" }),
            json!({ "key_ops": ["verify"] }),
            json!({ "n": "AQAB", "ext": true, "kid": 7 }),
        ],
        |more| {
            good_proof("a key that says more", move |s, p| {
                let mut jwk = s.key.jwk();
                jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                p.header("jwk", jwk).sign(&s.key)
            })
        },
    ));
    let rsa = |name: &str, change: fn(Value) -> Value| {
        proof(name, "proof_key", move |_, p| {
            let key = ProofKey::of("PS256");
            p.header("alg", "PS256").header("jwk", change(key.jwk())).sign(&key)
        })
    };
    cases.extend([
        rsa("an RSA exponent of 2^32+1", |jwk| with_member(jwk, "e", b64([1, 0, 0, 0, 1]))),
        rsa("an RSA key with a curve", |jwk| with_member(jwk, "crv", "P-256")),
        rsa("an RSA modulus with padding", |jwk| {
            let n = jwk["n"].as_str().unwrap().to_owned() + "=";
            with_member(jwk, "n", n)
        }),
        rsa("an RSA modulus of 2047 bits", |jwk| {
            let mut n = bytes_of(&jwk, "n");
            n[0] = 0x7f;
            with_member(jwk, "n", b64(n))
        }),
        rsa("an RSA modulus of 1024 bits", |jwk| {
            let n = bytes_of(&jwk, "n");
            with_member(jwk, "n", b64(&n[128..]))
        }),
        rsa("an RSA exponent as a number", |jwk| with_member(jwk, "e", 65537)),
        rsa("an RSA key that is an EC key", |jwk| with_member(jwk, "kty", "EC")),
    ]);
    cases
}

fn spellings() -> Vec<Case> {
    // Padding bits are there when the text is not a multiple of three bytes: members are added until it is none.
    fn uneven(s: &Stage, p: &Jwt, part: usize) -> (Jwt, Vec<String>) {
        let longer = (0..3).map(|n| p.clone().header("n", "x".repeat(n)).claim("n", "x".repeat(n)));
        let parts = |p: &Jwt| p.sign(&s.key).split('.').map(str::to_owned).collect::<Vec<_>>();
        let fits = |p: &Jwt| parts(p)[part].len() % 4 != 0;
        let found = longer.into_iter().find(fits).unwrap();
        let parts = parts(&found);
        (found, parts)
    }
    let mut cases = each([0_usize, 1], |part| {
        proof("bits beyond the last byte in part", "proof_malformed", move |s, p| {
            let (_, mut parts) = uneven(s, &p, part);
            parts[part] = respelled(&parts[part], 1);
            sign_text(&parts[..2].join("."), &s.key)
        })
    });
    cases.extend(each([1, 2, 3, 15], |by| {
        proof("bits beyond the last byte of the signature", "proof_signature", move |s, p| {
            respelled(&p.sign(&s.key), by)
        })
    }));
    cases.extend(each(["=", "==", "+", " ", "%3D"], |more| {
        let reason = if more == " " { "proof_malformed" } else { "proof_signature" };
        let mut case = proof("more behind the signature", reason, move |s, p| p.sign(&s.key) + more);
        if more == " " {
            // White space at the end of a field is no part of it (RFC 9110 section 5.5).
            case = good_proof("white space behind the signature", move |s, p| p.sign(&s.key) + more);
        }
        case
    }));
    cases.push(proof("a dot at the end", "proof_malformed", |s, p| p.sign(&s.key) + "."));
    cases.push(proof("a dot at the start", "proof_malformed", |s, p| ".".to_owned() + &p.sign(&s.key)));
    cases.push(proof("a scheme before the proof", "proof_malformed", |s, p| {
        "DPoP ".to_owned() + &p.sign(&s.key)
    }));
    cases.push(proof("quotes around the proof", "proof_malformed", |s, p| format!("\"{}\"", p.sign(&s.key))));
    cases.push(proof("an empty proof", "proof_malformed", |_, _| String::new()));
    cases
}
