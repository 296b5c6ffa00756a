//! Beyond the catalogue: what else a hostile mind would write into a token. Named in words.

use super::answers::Code::{A4, A5};
use super::case::{Call, Case, PATH, Who, each, good_token, granted, refused, token};
use super::stage::Stage;
use crate::support::echo::Received;
use crate::support::proof::now;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_nobody_thought_of() {
    let stage = Stage::start().await;
    stage.run([bindings(), claims(), scopes(), names_of_keys()].into_iter().flatten().collect()).await;
    stage.finish().await;
}

fn bindings() -> Vec<Case> {
    let cnf = |name: &str, reason, cnf: fn(&str) -> String| {
        token(name, reason, move |s, t| {
            s.issuer.sign(
                &t.claim("cnf", Value::Null).raw_claim(&format!("\"cnf\":{}", cnf(&s.key.thumbprint()))),
            )
        })
    };
    vec![
        cnf("cnf in cnf", "confirmation_unknown", |jkt| format!(r#"{{"cnf":{{"jkt":"{jkt}"}}}}"#)),
        cnf("jkt as an object", "confirmation_unknown", |jkt| format!(r#"{{"jkt":{{"S256":"{jkt}"}}}}"#)),
        cnf("jkt with a line end", "confirmation_unknown", |jkt| format!(r#"{{"jkt":"{jkt}\n"}}"#)),
        cnf("jkt as a URN", "confirmation_unknown", |jkt| {
            format!(r#"{{"jkt":"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{jkt}"}}"#)
        }),
        cnf("x5t#S1 in the place of x5t#S256", "confirmation_unknown", |jkt| format!(r#"{{"x5t":"{jkt}"}}"#)),
        cnf("a good jkt and a bad x5t#S256", "confirmation_unknown", |jkt| {
            format!(r#"{{"jkt":"{jkt}","x5t#S256":"x"}}"#)
        }),
        cnf("a good jkt and a certificate that never came", "certificate_missing", |jkt| {
            format!(r#"{{"jkt":"{jkt}","x5t#S256":"{jkt}"}}"#)
        }),
        token("CNF in capitals", "token_not_dpop_bound", |s, t| {
            s.issuer.sign(&t.claim("cnf", Value::Null).claim("CNF", json!({ "jkt": s.key.thumbprint() })))
        }),
        token("cnf twice by escape", "token_malformed", |s, t| {
            s.issuer.sign(&t.raw_claim(r#""cn\u0066":null"#))
        }),
        refused("a certificate-bound token as Bearer with a proof", A4, "bearer_with_proof", |s| {
            let token = s.issuer.sign(&s.issuer.token(json!({ "x5t#S256": s.pki.client.thumbprint() })));
            Call::get(PATH).bearer(&token).field("DPoP", s.good_proof(&token).sign(&s.key)).by(Who::Client)
        }),
    ]
}

fn claims() -> Vec<Case> {
    let claim = |reason: &'static str, texts: &'static [(&'static str, &'static str)]| {
        each(texts.iter().copied(), move |(name, text)| {
            token("claim", reason, move |s, t| {
                s.issuer.sign(&t.claim(name, Value::Null).raw_claim(&format!("\"{name}\":{text}")))
            })
        })
    };
    let mut cases = claim(
        "token_claims",
        &[
            ("sub", "\"\""),
            ("sub", "null"),
            ("sub", "7"),
            ("jti", "7"),
            ("jti", "\"\""),
            ("client_id", "null"),
            ("client_id", "[\"app\"]"),
            ("exp", "253402300800"),
            ("exp", "\"\""),
            ("iat", "\"0\""),
            ("iat", "null"),
            ("iat", "-1"),
            ("nbf", "-1"),
            ("nbf", "1e300"),
            ("nbf", "[]"),
            ("scope", "[\"accounts.read\"]"),
            ("scope", "null"),
            ("scope", "true"),
        ],
    );
    cases.extend(claim("token_expired", &[("exp", "-0"), ("exp", "0"), ("exp", "1e-9")]));
    cases.extend(claim(
        "token_malformed",
        &[("exp", "1e400"), ("exp", "NaN"), ("exp", "01"), ("sub", "\"\\ud800\"")],
    ));
    cases.extend(claim(
        "token_audience",
        &[("aud", "[[\"https://api.example.com\"]]"), ("aud", "true"), ("aud", "[null]")],
    ));
    cases.extend(claim("token_lifetime", &[("iat", "0"), ("iat", "-0")]));
    cases.push(good_token("azp where there is no client_id", |s, t| {
        s.issuer.sign(&t.claim("client_id", Value::Null).claim("azp", "app"))
    }));
    cases.push(token("azp beside a client_id that is null", "token_claims", |s, t| {
        s.issuer.sign(&t.claim("client_id", Value::Null).raw_claim("\"client_id\":null").claim("azp", "app"))
    }));
    cases.push(token("issued after it ends", "token_lifetime", |s, t| {
        s.issuer.sign(&t.claim("iat", now() + 4).claim("exp", now() + 4))
    }));
    cases
}

fn scopes() -> Vec<Case> {
    let with = |scope: &'static str| {
        move |s: &Stage| {
            let token = s.issuer.sign(&s.issuer.token_for(&s.key).claim("scope", scope));
            Call::get(PATH).dpop(&token, &s.good_proof(&token).sign(&s.key))
        }
    };
    let lacking = [
        "",
        " ",
        "ACCOUNTS.READ",
        "accounts.rea",
        "accounts.read.all",
        "accounts.read,admin",
        "accounts.read\tadmin",
        "accounts.read\0",
        "accounts.read\u{a0}x",
        "\u{feff}accounts.read",
        "accounts.*",
        "*",
        "accounts.write accounts",
    ];
    let mut cases = each(lacking, |scope| refused("scope", A5, "scope_insufficient", with(scope)));
    cases.extend(each(
        ["accounts.read admin", "  accounts.read", "x accounts.read accounts.read"],
        |scope| {
            granted(
                "scope",
                |r: &Received| r.header("clinch-scope").is_some_and(|s| s.contains("accounts.read")),
                with(scope),
            )
        },
    ));
    cases
}

fn names_of_keys() -> Vec<Case> {
    let kids = [
        "../../../dev/null",
        "k1\0",
        "K1",
        "k1 ",
        "' OR 1=1 --",
        "https://evil.example/jwks",
        "",
        "\u{202e}1k",
    ];
    let mut cases =
        each(kids, |kid| token("kid", "token_key_unknown", move |s, t| s.issuer.sign(&t.header("kid", kid))));
    cases.push(token("a kid of ten kilobytes", "token_key_unknown", |s, t| {
        s.issuer.sign(&t.header("kid", "k".repeat(10_000)))
    }));
    cases.extend(each([json!(["k1"]), json!({}), json!(false)], |kid| {
        token("kid", "token_malformed", move |s, t| s.issuer.sign(&t.header("kid", kid.clone())))
    }));
    cases.extend(each([r#""crit":[]"#, r#""b64":true"#, r#""crit":null"#], |more| {
        token("token header", "token_critical", move |s, t| s.issuer.sign(&t.raw_header(more)))
    }));
    cases.push(good_token("a header that says more", |s, t| {
        s.issuer.sign(
            &t.header("jku", s.other.at("/keys")).header("x5u", "http://127.0.0.1:1/").header("cty", "JWT"),
        )
    }));
    cases
}
