//! PF: proofs that are forged or malformed.

use super::answers::Code::A1;
use super::case::{Call, Case, PATH, broken, each, good_proof, granted, proof, refused};
use super::forge::{b64, hmac, pem, respelled, spki};
use super::forge::{unb64, with_member};
use super::stage::Stage;
use crate::support::proof::{ProofKey, jws, sha256, sign_text};
use crate::support::world::url;
use serde_json::{Value, json};

/// DPOP-01, DPOP-03, DPOP-05, DPOP-06, DPOP-07, DPOP-08
#[tokio::test(flavor = "multi_thread")]
async fn forged_proofs_are_refused() {
    let stage = Stage::start().await;
    stage
        .run([algorithms(), key_sources(), headers(), shapes(), claims()].into_iter().flatten().collect())
        .await;
    assert!(stage.other.received("/keys").is_empty(), "an address in a proof was called");
    stage.finish().await;
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
