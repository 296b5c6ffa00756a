//! Beyond the catalogue: what else a hostile mind would write into a proof. Named in words.

use super::answers::Code::A1;
use super::case::{Call, Case, PATH, each, good_proof, granted, proof, refused};
use super::claims::named;
use super::forge::b64;
use super::stage::Stage;
use crate::support::proof::{Jwt, jws, now, sha256};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn proofs_that_nobody_thought_of() {
    let stage = Stage::start().await;
    stage.run([texts(), numbers(), names()].into_iter().flatten().collect()).await;
    stage.run([headers(), hashes(), targets()].into_iter().flatten().collect()).await;
    stage.finish().await;
}

/// The two JSON texts of a proof, changed.
fn rewritten(
    s: &Stage,
    p: &Jwt,
    header: impl Fn(String) -> Vec<u8>,
    claims: impl Fn(String) -> Vec<u8>,
) -> String {
    let signed = p.sign(&s.key);
    let text =
        |at: usize| String::from_utf8(super::forge::unb64(signed.split('.').nth(at).unwrap())).unwrap();
    jws(header(text(0)), claims(text(1)), &s.key)
}

fn texts() -> Vec<Case> {
    let same = |text: String| text.into_bytes();
    let mut cases = Vec::new();
    type Spoil = fn(String) -> Vec<u8>;
    let spoils: [(&str, Spoil); 14] = [
        ("a byte order mark", |t| format!("\u{feff}{t}").into_bytes()),
        ("UTF-16", |t| t.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("a NUL behind", |t| format!("{t}\0").into_bytes()),
        ("a second object", |t| format!("{t}{{}}").into_bytes()),
        ("an array around", |t| format!("[{t}]").into_bytes()),
        ("a string around", |t| json!(t).to_string().into_bytes()),
        ("a comma at the end", |t| t.replacen('}', ",}", 1).into_bytes()),
        ("a comment", |t| t.replacen('{', "{/**/", 1).into_bytes()),
        ("single quotes", |t| t.replace('"', "'").into_bytes()),
        ("invalid UTF-8", |t| {
            t.replacen('{', "{\"n\":\"X\",", 1).bytes().map(|b| if b == b'X' { 0xff } else { b }).collect()
        }),
        ("a lone surrogate", |t| t.replacen('{', r#"{"n":"\ud800","#, 1).into_bytes()),
        ("a raw control character", |t| t.replacen('{', "{\"n\":\"\u{1}\",", 1).into_bytes()),
        ("seventeen levels", |t| {
            t.replacen('{', &format!("{{\"n\":{}1{},", "[".repeat(17), "]".repeat(17)), 1).into_bytes()
        }),
        ("six hundred members", |t| {
            let members: String = (0..600).map(|n| format!("\"{n}\":0,")).collect();
            t.replacen('{', &format!("{{{members}"), 1).into_bytes()
        }),
    ];
    for (name, spoil) in spoils {
        cases.push(proof(&format!("{name} in the header"), "proof_malformed", move |s, p| {
            rewritten(s, &p, spoil, same)
        }));
        cases.push(proof(&format!("{name} in the claims"), "proof_malformed", move |s, p| {
            rewritten(s, &p, same, spoil)
        }));
    }
    cases.push(good_proof("white space around", move |s, p| {
        rewritten(s, &p, |t| format!(" \n{t}\t").into_bytes(), |t| format!("\r\n{t} ").into_bytes())
    }));
    cases.push(good_proof("escapes that change nothing", move |s, p| {
        rewritten(s, &p, same, |t| {
            t.replace("\"htu\"", r#""\u0068\u0074\u0075""#)
                .replace("https:", r"https:\u002f")
                .replace("\\u002f//", r"\/\/")
                .into_bytes()
        })
    }));
    cases
}

fn numbers() -> Vec<Case> {
    let iat = |reason: &'static str, texts: &'static [&'static str]| {
        each(texts.iter().copied(), move |text| {
            proof("iat as", reason, move |s, p| {
                p.claim("iat", Value::Null).raw_claim(&format!("\"iat\":{text}")).sign(&s.key)
            })
        })
    };
    let mut cases = iat(
        "proof_malformed",
        &["1e400", "-1e400", "01", "+1", "0x10", "1.", ".5", "1_000", "1e", "--1", "١"],
    );
    cases.extend(iat(
        "proof_claims",
        &["-1", "-0.001", "253402300800", "1e15", "18446744073709551616", "[1]", "{}", "true", "\"\""],
    ));
    cases.extend(iat("proof_expired", &["-0", "-0.0", "0e99", "1e-400", "0.0000001"]));
    cases.extend(each(["exp", "nbf"], |name| {
        proof("a date that is text", "proof_claims", move |s, p| {
            p.claim(name, now().to_string()).sign(&s.key)
        })
    }));
    cases
}

fn names() -> Vec<Case> {
    let mut cases = each(["JTI", "jti ", "\u{456}ti", "jt\u{131}", "jti\0"], |name| {
        proof("jti under the name", "proof_claims", move |s, p| {
            p.claim("jti", Value::Null).claim(name, "1").sign(&s.key)
        })
    });
    cases.extend(each(["", "__proto__", "constructor", "HTU", "h\u{442}u", "\u{202e}"], |name| {
        good_proof("a claim that means nothing", move |s, p| {
            p.claim(name, "https://evil.example").header(name, 1).sign(&s.key)
        })
    }));
    cases.push(proof("two keys by escape", "proof_malformed", |s, p| {
        let jwk = s.key.jwk().to_string().replacen('{', r#"{"kt\u0079":"RSA","#, 1);
        p.header("jwk", Value::Null).raw_header(&format!("\"jwk\":{jwk}")).sign(&s.key)
    }));
    cases.push(good_proof("a jti of 256 bytes", |s, p| p.claim("jti", "j".repeat(256)).sign(&s.key)));
    cases.push(proof("a jti of 257 bytes in 129 characters", "proof_claims", |s, p| {
        p.claim("jti", "é".repeat(128) + "j").sign(&s.key)
    }));
    cases
}

fn headers() -> Vec<Case> {
    let mut cases =
        each([json!(["ES256"]), json!({ "ES256": 1 }), json!(7), json!(true), json!("")], |alg| {
            proof("alg as", "proof_algorithm", move |s, p| p.header("alg", alg.clone()).sign(&s.key))
        });
    cases.extend(each(["null", "[[[[[[[[\"exp\"]]]]]]]]", "{}", "7", "\"\""], |crit| {
        proof("crit as", "proof_critical", move |s, p| p.raw_header(&format!("\"crit\":{crit}")).sign(&s.key))
    }));
    cases.push(proof("crit by escape", "proof_critical", |s, p| {
        p.raw_header(r#""cr\u0069t":["exp"]"#).sign(&s.key)
    }));
    cases.push(proof("no alg", "proof_algorithm", |s, p| p.header("alg", Value::Null).sign(&s.key)));
    cases.extend(each(
        [json!(["dpop+jwt"]), json!(7), json!("dpop+jwt\0"), json!("\u{feff}dpop+jwt"), json!("ｄpop+jwt")],
        |typ| proof("typ as", "proof_type", move |s, p| p.header("typ", typ.clone()).sign(&s.key)),
    ));
    cases
}

fn hashes() -> Vec<Case> {
    let ath = |name: &str, of: fn(&str) -> String| {
        refused(name, A1, "proof_token_hash", move |s| {
            let token = s.good_token();
            Call::get(PATH).dpop(&token, &s.good_proof(&token).claim("ath", of(&token)).sign(&s.key))
        })
    };
    vec![
        ath("ath with padding", |token| sha256(token) + "="),
        ath("ath in hex", |token| {
            super::forge::unb64(&sha256(token)).iter().map(|byte| format!("{byte:02x}")).collect()
        }),
        ath("ath of the token and more", |token| sha256(&format!("{token}="))),
        ath("ath of the token without its signature", |token| sha256(token.rsplit_once('.').unwrap().0)),
        ath("ath that is the token", str::to_owned),
        ath("ath that is empty", |_| String::new()),
        ath("ath of SHA-512", |token| {
            b64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, token.as_bytes()))
        }),
    ]
}

fn targets() -> Vec<Case> {
    let htu = [
        "https://%61pi.example.com/orders/7",
        "https://api%2eexample.com/orders/7",
        "https://api.example.com./orders/7",
        "https://api.example.com:00443/orders/7",
        "https://api.example.com:443:443/orders/7",
        "https://api.example.com:+443/orders/7",
        "https://api.example.com:４４３/orders/7",
        "https://[fe80::1%25eth0]/orders/7",
        "https://[::1]/orders/7",
        "https://ａpi.example.com/orders/7",
        "https://api。example.com/orders/7",
        "https://api.example.com/orders%2f7",
        "https://api.example.com/orders/7/",
        "https://api.example.com/orders/7;x",
        "https://api.example.com//orders/7",
        "https://api.example.com/orders/7%00",
        "https://api.example.com/orders/%zz7",
        "https://api.example.com/orders/7%",
        "https://api.example.com#@evil.example/orders/7",
        "https://api.example.com?/orders/7",
        "https://api.example.com/%6Frders/%377",
        "https://api.example.com\0/orders/7",
        "https://api.example.com/orders/７",
        "https//api.example.com/orders/7",
        "https://api.example.com/orders/7\u{200b}",
        "https://api.example.com, https://api.example.com/orders/7",
        "https://api.example.com/../../orders/7/x",
        "blob:https://api.example.com/orders/7",
        "https://*/orders/7",
        "*",
    ];
    let mut cases =
        each(htu, |htu| proof("htu", "proof_target", move |s, p| p.claim("htu", htu).sign(&s.key)));
    let same = [
        "https://api.example.com/orders/%37",
        "https://api.example.com/./orders/7",
        "https://api.example.com/x/../orders/7",
        "https://api.example.com/x/%2e%2e/orders/7",
        "https://api.example.com/orders/7?",
        "https://api.example.com/orders/7#",
    ];
    cases.extend(each(same, |htu| good_proof("htu", move |s, p| p.claim("htu", htu).sign(&s.key))));
    cases.extend(each(
        ["https://api.example.com/orders/%252e", "https://api.example.com/orders/!$&'()*+,;=:@-._~"],
        |url| {
            let path = url.strip_prefix("https://api.example.com").unwrap();
            granted(
                "a path of odd characters",
                move |r| r.target == path,
                move |s| named(s, "api.example.com", path, url),
            )
        },
    ));
    cases
}
