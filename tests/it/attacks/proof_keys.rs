//! PF: proofs whose keys or signatures are not what they seem.

use super::answers::Code::{A1, A2};
use super::case::{Call, Case, Expected, PATH, broken, each, good_proof, granted, proof, refused};
use super::forge::{
    P256_N, P256_P, b64, bytes_of, der, malleated, negated, respelled, s_beyond_l, with_member,
};
use super::stage::Stage;
use crate::support::keys::thumbprint;
use crate::support::proof::{Jwt, ProofKey};
use serde_json::{Value, json};

/// DPOP-08, JWS-06, JWS-07, JWS-08, JWS-09, THUMB-05
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_signatures_are_what_they_seem() {
    let stage = Stage::start().await;
    stage.run([private_keys(), key_kinds(), points()].into_iter().flatten().collect()).await;
    stage.run([signatures(), rsa_keys(), curves_of_edwards()].into_iter().flatten().collect()).await;
    stage.finish().await;
}

/// A request whose token and proof are for this JWK; `sign` makes the proof.
fn bound(stage: &Stage, jwk: &Value, sign: impl Fn(Jwt) -> String) -> Call {
    let token = stage.issuer.sign(&stage.issuer.token(json!({ "jkt": thumbprint(jwk) })));
    let proof = sign(stage.good_proof(&token).header("jwk", jwk.clone()));
    Call::get(PATH).dpop(&token, &proof)
}

fn private_keys() -> Vec<Case> {
    let with = |id: &str, member: &'static str, value: Value| {
        proof(id, "proof_key_private", move |s, p| {
            p.header("jwk", with_member(s.key.jwk(), member, value.clone())).sign(&s.key)
        })
    };
    let rsa = |members: Value| {
        proof("PF-006", "proof_key_private", move |_, p| {
            let key = ProofKey::of("PS256");
            let mut jwk = key.jwk();
            jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            p.header("alg", "PS256").header("jwk", jwk).sign(&key)
        })
    };
    vec![
        proof("PF-005", "proof_key_private", |s, p| {
            p.header("jwk", with_member(s.key.jwk(), "d", s.key.private())).sign(&s.key)
        }),
        rsa(json!({ "p": "AQ", "q": "AQ" })),
        rsa(json!({ "oth": [] })),
        with("PF-007", "d", json!(null)),
        with("PF-007", "d", json!("")),
    ]
}

fn key_kinds() -> Vec<Case> {
    let kind = |id: &str, alg: &'static str, jwk: fn() -> Value| {
        proof(id, "proof_key", move |s, p| p.header("alg", alg).header("jwk", jwk()).sign(&s.key))
    };
    let mut cases = vec![
        kind("PF-008", "ES256", || ProofKey::of("ES384").jwk()),
        kind("PF-008", "ES384", || ProofKey::new().jwk()),
        kind("PF-009", "ES256", || ProofKey::of("PS256").jwk()),
        kind("PF-009", "PS256", || ProofKey::new().jwk()),
        kind("PF-009", "EdDSA", || with_member(ProofKey::of("EdDSA").jwk(), "crv", "X25519")),
        kind("PF-010", "EdDSA", || with_member(ProofKey::of("EdDSA").jwk(), "crv", "Ed448")),
    ];
    cases.extend(each(["P-256K", "secp256k1", "p-256", "P-521", "", "P-256 "], |crv| {
        proof("PF-010", "proof_key", move |s, p| {
            p.header("jwk", with_member(s.key.jwk(), "crv", crv)).sign(&s.key)
        })
    }));
    cases
}

fn points() -> Vec<Case> {
    let coordinate = |id: &str, change: fn(&Value) -> Value| {
        proof(id, "proof_key", move |s, p| p.header("jwk", change(&s.key.jwk())).sign(&s.key))
    };
    let mirrored = |jwk: Value| {
        let y = negated(&P256_P, &bytes_of(&jwk, "y"));
        with_member(jwk, "y", b64(y))
    };
    let mut cases = vec![
        refused("PF-014", A2, "key_mismatch", move |s| {
            let token = s.good_token();
            Call::get(PATH)
                .dpop(&token, &s.good_proof(&token).header("jwk", mirrored(s.key.jwk())).sign(&s.key))
        }),
        refused("PF-014", A1, "proof_signature", move |s| {
            bound(s, &mirrored(s.key.jwk()), |p| p.sign(&s.key))
        }),
        proof("PF-015", "proof_key", |_, p| {
            let short = (0..).map(|_| ProofKey::new()).find(|key| bytes_of(&key.jwk(), "x")[0] == 0).unwrap();
            p.header("jwk", with_member(short.jwk(), "x", b64(&bytes_of(&short.jwk(), "x")[1..])))
                .sign(&short)
        }),
        coordinate("PF-015", |jwk| {
            with_member(jwk.clone(), "x", b64([&[0], &bytes_of(jwk, "x")[..]].concat()))
        }),
    ];
    cases.extend(each([1, 2, 3], |by| {
        proof("PF-016", "proof_key", move |s, p| {
            let x = respelled(s.key.jwk()["x"].as_str().unwrap(), by);
            p.header("jwk", with_member(s.key.jwk(), "x", x)).sign(&s.key)
        })
    }));
    cases.extend(each(
        [("", "="), ("+", ""), ("/", ""), ("", " "), ("", "\n"), ("\t", "")],
        |(before, after)| {
            proof("PF-017", "proof_key", move |s, p| {
                let y = s.key.jwk()["y"].as_str().unwrap()[before.len()..].to_owned();
                p.header("jwk", with_member(s.key.jwk(), "y", format!("{before}{y}{after}"))).sign(&s.key)
            })
        },
    ));
    cases
}

fn signatures() -> Vec<Case> {
    let signed = |id: &str, reason, change: fn(Vec<u8>) -> Vec<u8>| {
        proof(id, reason, move |s, p| {
            let signature = s.key.sign(p.signing_input().as_bytes());
            p.with_signature(change(signature))
        })
    };
    let one = || [[0; 31].to_vec(), vec![1]].concat();
    vec![
        signed("PF-019", "proof_signature", |signature| der(&signature)),
        proof("PF-019", "proof_signature", |_, p| p.signing_input() + "." + DER_OF_THE_RFC),
        signed("PF-020", "proof_signature", |signature| signature[..63].to_vec()),
        signed("PF-020", "proof_signature", |signature| [&signature[..], &[0]].concat()),
        signed("PF-021", "proof_malformed", |_| vec![7; 20_000]),
        signed("PF-021", "proof_signature", |_| vec![7; 4_000]),
        broken("PF-021", 431, |s| {
            let token = s.good_token();
            Call::get(PATH).dpop(&token, &s.good_proof(&token).with_signature(vec![7; 30_000]))
        }),
        signed("PF-023", "proof_signature", |s| [&P256_N[..], &s[32..]].concat()),
        signed("PF-023", "proof_signature", |s| [&s[..32], &P256_N[..]].concat()),
        proof("PF-023", "proof_signature", move |_, p| p.with_signature([one(), one()].concat())),
        signed("PF-023", "proof_signature", |s| [&[0; 32][..], &s[32..]].concat()),
        signed("PF-023", "proof_signature", |s| [&s[..32], &[0; 32][..]].concat()),
        good_proof("PF-025", |s, p| malleated(&p.sign(&s.key))),
    ]
}

/// JWS-10
#[tokio::test(flavor = "multi_thread")]
async fn a_malleated_twin_is_the_same_proof() {
    let stage = Stage::start().await;
    stage.clinch.becomes_ready().await;
    for twin_first in [true, false] {
        let token = stage.good_token();
        let proof = stage.good_proof(&token).sign(&stage.key);
        let (first, second) =
            if twin_first { (malleated(&proof), proof) } else { (proof.clone(), malleated(&proof)) };
        let call = move |proof: String| {
            let token = token.clone();
            move |_: &Stage| Call::get(PATH).dpop(&token, &proof)
        };
        stage.attempt(&granted("PF-025", |_| true, call(first.clone()))).await.unwrap();
        for again in [first, second] {
            stage.attempt(&refused("PF-025", A1, "proof_replayed", call(again))).await.unwrap();
        }
    }
    stage.finish().await;
}

fn rsa_keys() -> Vec<Case> {
    let rsa = |id: &str, reason, bytes: usize, e: Vec<u8>| {
        proof(id, reason, move |s, p| {
            let mut n = vec![0xb5; bytes];
            n[bytes - 1] = 0xd3;
            p.header("alg", "PS256")
                .header("jwk", json!({ "kty": "RSA", "n": b64(n), "e": b64(&e) }))
                .sign(&s.key)
        })
    };
    let n = |change: fn(&mut Vec<u8>)| {
        proof("PF-029", "proof_key", move |_, p| {
            let key = ProofKey::of("PS256");
            let mut n = bytes_of(&key.jwk(), "n");
            change(&mut n);
            p.header("alg", "PS256").header("jwk", with_member(key.jwk(), "n", b64(n))).sign(&key)
        })
    };
    let mut cases = vec![
        rsa("PF-027", "proof_key", 2048, vec![1, 0, 1]),
        rsa("PF-027", "proof_malformed", 8192, vec![1, 0, 1]),
        rsa("PF-028", "proof_key", 1024, vec![1, 255, 255, 255, 255]),
        rsa("PF-028", "proof_key", 256, vec![1, 255, 255, 255, 255]),
        n(|n| n[255] &= 0xfe),
        n(|n| n.insert(0, 0)),
        rsa("PF-029", "proof_key", 1024, vec![1, 0, 1]),
    ];
    cases.extend(each(
        [vec![1], vec![0], vec![], vec![4], vec![1, 0, 0], vec![0, 1, 0, 1], vec![1, 0, 3]],
        |e| rsa("PF-029", "proof_key", 256, e),
    ));
    cases.extend(each(["PS256", "ES384", "EdDSA", "ES256"], |alg| {
        granted(
            "PF-028",
            |_| true,
            move |s| {
                let key = ProofKey::of(alg);
                bound(s, &key.jwk(), |p| p.header("alg", alg).sign(&key))
            },
        )
    }));
    cases
}

fn curves_of_edwards() -> Vec<Case> {
    let ed = |id: &str, expected: Expected, alg: &'static str, change: fn(Vec<u8>) -> Vec<u8>| Case {
        expected,
        ..granted(
            id,
            |_| true,
            move |s| {
                let key = ProofKey::of("EdDSA");
                bound(s, &key.jwk(), |p| {
                    let p = p.header("alg", alg);
                    let signature = key.sign(p.signing_input().as_bytes());
                    p.with_signature(change(signature))
                })
            },
        )
    };
    let mut cases = vec![
        ed("PF-061", Expected::Granted, "EdDSA", |signature| signature),
        ed("PF-061", Expected::Granted, "Ed25519", |signature| signature),
        ed("PF-062", Expected::Refused(A1, "proof_signature"), "EdDSA", |signature| s_beyond_l(&signature)),
        ed("PF-062", Expected::Refused(A1, "proof_signature"), "EdDSA", |_| vec![0; 64]),
    ];
    cases.extend(each(SMALL_ORDER, |x| {
        refused("PF-062", A1, "proof_key", move |s| {
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(hex(x)) });
            bound(s, &jwk, |p| {
                p.header("alg", "EdDSA").with_signature([&hex(SMALL_ORDER[1])[..], &[0; 32]].concat())
            })
        })
    }));
    cases
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Points of order 1, 2, 4 and 8, and spellings of them beyond the field, with either sign.
const SMALL_ORDER: [&str; 12] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// The signature of the first proof of RFC 9449 in DER.
const DER_OF_THE_RFC: &str =
    "MEYCIQDahb1E_fnJGrOGu00_zov4TLvUQ6m3FGKY89OgDWmV6QIhAICBHqnEcXzLr7KrJWeZzDoXLV2p36N_FJigzGEAmkuM";
