//! PF: proofs that are forged or malformed.

use super::answers::Code::{A1, A2};
use super::case::{Call, Case, Expected, PATH, Who, broken, each, good_proof, granted, proof, refused};
use super::forge::{P256_N, P256_P, bytes_of, unb64, with_member};
use super::forge::{b64, der, hmac, malleated, negated, pem, respelled, s_beyond_l, spki};
use super::stage::Stage;
use crate::support::keys::thumbprint;
use crate::support::proof::{Jwt, ProofKey, jws, sha256, sign_text};
use crate::support::world::url;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn forged_proofs_are_refused() {
    let stage = Stage::start().await;
    stage.run([algorithms(), private_keys(), key_kinds(), points()].into_iter().flatten().collect()).await;
    stage.run([signatures(), rsa_keys(), key_sources()].into_iter().flatten().collect()).await;
    stage.run([headers(), shapes(), claims(), curves_of_edwards()].into_iter().flatten().collect()).await;
    assert!(stage.other.received("/keys").is_empty(), "an address in a proof was called");
    stage.finish().await;
}

/// A request whose token and proof are for this JWK; `sign` makes the proof.
fn bound(stage: &Stage, jwk: &Value, sign: impl Fn(Jwt) -> String) -> Call {
    let token = stage.issuer.sign(&stage.issuer.token(json!({ "jkt": thumbprint(jwk) })));
    let proof = sign(stage.good_proof(&token).header("jwk", jwk.clone()));
    Call::get(PATH).dpop(&token, &proof)
}

fn algorithms() -> Vec<Case> {
    let confused = |key: fn(&Value) -> Vec<u8>| {
        proof("PF-003", "proof_algorithm", move |s, p| {
            let message = p.header("alg", "HS256").signing_input();
            format!("{message}.{}", b64(hmac(&key(&s.key.jwk()), &message)))
        })
    };
    let mut cases = vec![
        proof("PF-001", "proof_malformed", |_, p| p.header("alg", "none").signing_input() + "."),
        proof("PF-001", "proof_algorithm", |s, p| p.header("alg", "none").sign(&s.key)),
        confused(|jwk| jwk.to_string().into_bytes()),
        confused(|jwk| pem(jwk).into_bytes()),
        confused(spki),
        proof("PF-060", "proof_algorithm", |_, p| {
            let key = ProofKey::of("RS256");
            p.header("alg", "RS256").header("jwk", key.jwk()).sign(&key)
        }),
    ];
    cases.extend(each(["None", "NONE", "nOnE", " none", "none ", "es256", "ES256 "], |alg| {
        proof("PF-002", "proof_algorithm", move |s, p| p.header("alg", alg).sign(&s.key))
    }));
    cases
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

fn key_sources() -> Vec<Case> {
    let mut cases = vec![
        proof("PF-030", "proof_key", |s, p| {
            p.header("jwk", json!(null)).header("kid", "k1").sign(&s.issuer.key)
        }),
        proof("PF-032", "proof_key", |s, p| {
            let certificate = s.pki.client.der().0[0].to_vec();
            let x5c = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate);
            p.header("jwk", json!(null)).header("x5c", json!([x5c])).sign(&s.key)
        }),
        proof("PF-033", "proof_key", |s, p| {
            p.header("jwk", json!(null)).raw_header(r#""jwk":null"#).sign(&s.key)
        }),
        broken("PF-064", 431, |s| {
            let token = s.good_token();
            let jwk = with_member(s.key.jwk(), "x5c", json!(["A".repeat(1_000_000)]));
            Call::get(PATH).dpop(&token, &s.good_proof(&token).header("jwk", jwk).sign(&s.key))
        }),
        proof("PF-064", "proof_malformed", |s, p| {
            p.header("jwk", with_member(s.key.jwk(), "x5c", json!(["A".repeat(10_000)]))).sign(&s.key)
        }),
    ];
    cases.extend(each(["jku", "x5u"], |name| {
        good_proof("PF-031", move |s, p| p.header(name, s.other.at("/keys")).sign(&s.key))
    }));
    cases.extend(each(["http://169.254.169.254/latest/", "file:///etc/passwd"], |to| {
        good_proof("PF-031", move |s, p| p.header("jku", to).header("x5u", to).sign(&s.key))
    }));
    cases.extend(each([json!({}), json!("jwk"), json!(7), json!(true)], |jwk| {
        proof("PF-033", "proof_key", move |s, p| p.header("jwk", jwk.clone()).sign(&s.key))
    }));
    cases.push(proof("PF-033", "proof_key", |s, p| {
        let jwk = s.key.jwk();
        p.header("jwk", json!(["EC", "P-256", jwk["x"], jwk["y"]])).sign(&s.key)
    }));
    cases
}

fn headers() -> Vec<Case> {
    let mut cases =
        each([r#""alg":"none""#, r#""\u0061lg":"none""#, r#""typ":"dpop+jwt""#, r#""a":1,"a":1"#], |more| {
            proof("PF-035", "proof_malformed", move |s, p| p.raw_header(more).sign(&s.key))
        });
    cases.push(proof("PF-037", "proof_malformed", |s, p| {
        let jwk =
            s.key.jwk().to_string().replacen('{', &format!("{{\"x\":{},", ProofKey::new().jwk()["x"]), 1);
        p.header("jwk", json!(null)).raw_header(&format!("\"jwk\":{jwk}")).sign(&s.key)
    }));
    cases.extend(each(
        [r#"["exp"]"#, r#"["foo"],"foo":"1""#, "[]", r#""foo""#, r#"["absent"]"#, "null"],
        |crit| {
            proof("PF-038", "proof_critical", move |s, p| {
                p.raw_header(&format!("\"crit\":{crit}")).sign(&s.key)
            })
        },
    ));
    cases.extend(each([r#""b64":false,"crit":["b64"]"#, r#""b64":false"#, r#""b64":true"#], |more| {
        proof("PF-039", "proof_critical", move |s, p| p.raw_header(more).sign(&s.key))
    }));
    cases.push(proof("PF-039", "proof_malformed", |s, p| {
        let header = p.raw_header(r#""b64":false,"crit":["b64"]"#).signing_input();
        sign_text(&format!("{}.{{\"jti\":\"1\"}}", header.split('.').next().unwrap()), &s.key)
    }));
    let types = ["JWT", "at+jwt", "secevent+jwt", "DPOP+JWT", "application/dpop+jwt", "dpop+jwt ", ""];
    cases.extend(each(types, |typ| {
        proof("PF-044", "proof_type", move |s, p| p.header("typ", typ).sign(&s.key))
    }));
    cases.push(proof("PF-044", "proof_type", |s, p| p.header("typ", json!(null)).sign(&s.key)));
    cases.push(good_proof("PF-059", |s, p| {
        let p = p.header("x-n", 7).header("x-o", json!({ "a": [1, null] })).header("kid", "mine");
        p.claim("x-n", 7).claim("aud", json!(["a"])).claim("nonce", "nobody asked").sign(&s.key)
    }));
    cases
}

fn shapes() -> Vec<Case> {
    let mut cases = each(
        [
            "{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"AA\"}",
            "a",
            "a.b",
            "a.b.c",
            "..",
            "a..c",
            ".",
        ],
        |value| {
            proof(if value.starts_with('{') { "PF-042" } else { "PF-043" }, "proof_malformed", move |_, _| {
                value.to_owned()
            })
        },
    );
    cases.extend([
        proof("PF-041", "proof_malformed", |s, p| p.sign(&s.key) + ".e30.e30"),
        proof("PF-041", "proof_malformed", |s, p| {
            let inner = p.sign(&s.key);
            let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": s.key.jwk(), "cty": "JWT" });
            jws(header.to_string(), inner, &s.key)
        }),
        proof("PF-043", "proof_malformed", |_, _| ".".repeat(7_000)),
        broken("PF-043", 431, |s| Call::get(PATH).dpop(&s.good_token(), &".".repeat(100_000))),
        proof("PF-045", "proof_claims", |s, _| {
            s.issuer.token_for(&s.key).header("jwk", s.key.jwk()).sign(&s.key)
        }),
        proof("PF-045", "proof_type", |s, p| p.header("typ", "at+jwt").sign(&s.key)),
        refused("PF-046", A1, "proof_duplicate", |s| {
            let call = s.good(PATH);
            let token = s.good_token();
            call.field("DPoP", s.good_proof(&token).sign(&s.key))
        }),
        proof("PF-047", "proof_malformed", |s, p| format!("{}, {}", p.sign(&s.key), p.sign(&s.key))),
        proof("PF-047", "proof_malformed", |s, p| format!("{},{}", p.sign(&s.key), p.sign(&s.key))),
        granted(
            "PF-049",
            |_| true,
            |s| {
                let call = s.good(PATH);
                let proof = call.fields[1].1.clone();
                call.without("DPoP").field("dPoP", proof)
            },
        ),
    ]);
    cases
}

fn claims() -> Vec<Case> {
    let mut cases = each(["htu", "ath", "jti", "iat", "htm"], |name| {
        proof("PF-036", "proof_malformed", move |s, p| {
            p.raw_claim(&format!("\"{name}\":\"{}\"", url(PATH))).sign(&s.key)
        })
    });
    cases.push(proof("PF-036", "proof_malformed", |s, p| p.raw_claim(r#""\u0068tu":"x""#).sign(&s.key)));
    cases.extend(each([1, 2, 3], |by| {
        refused("PF-057", A1, "proof_token_hash", move |s| {
            // 32 bytes leave two bits over: the canonical last character is one of every four.
            let token = s.good_token();
            let ath = respelled(&sha256(&token), by);
            Call::get(PATH).dpop(&token, &s.good_proof(&token).claim("ath", ath).sign(&s.key))
        })
    }));
    let ath = |hashed: fn(&str) -> Vec<u8>| {
        refused("PF-058", A1, "proof_token_hash", move |s| {
            let token = s.good_token();
            Call::get(PATH)
                .dpop(&token, &s.good_proof(&token).claim("ath", sha256(&hashed(&token))).sign(&s.key))
        })
    };
    cases.push(ath(|token| format!("DPoP {token}").into_bytes()));
    cases.push(ath(|token| unb64(token.split('.').nth(1).unwrap())));
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
            .by(Who::Nobody)
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
