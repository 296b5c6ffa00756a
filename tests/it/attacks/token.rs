//! TK: what is wrong with access tokens.

use super::answers::Code::{A2, A4, A5};
use super::case::{Call, Case, PATH, broken, each, good_token, granted, refused, token};
use super::forge::{b64, hmac, pem};
use super::stage::Stage;
use crate::support::eventually;
use crate::support::issuer::Issuer;
use crate::support::proof::{Jwt, ProofKey, now};
use crate::support::world::url;
use serde_json::{Value, json};

/// AT-01, AT-03, AT-04, AT-05, AT-06, AT-07, AT-13, BCP-09
#[tokio::test(flavor = "multi_thread")]
async fn only_genuine_tokens_count() {
    let stage = Stage::start().await;
    stage.run([signatures(), types(), issuers(), audiences()].into_iter().flatten().collect()).await;
    stage.run([times(), duplicates(), texts(), subjects()].into_iter().flatten().collect()).await;
    it_expires_in_the_cache_too(&stage).await;
    stage.finish().await;
}

fn signatures() -> Vec<Case> {
    vec![
        token("TK-001", "token_malformed", |_, t| t.header("alg", "none").signing_input() + "."),
        token("TK-001", "token_algorithm", |s, t| s.issuer.sign(&t.header("alg", "none"))),
        token("TK-001", "token_algorithm", |s, t| {
            let t = t.header("alg", "HS256");
            t.with_signature(hmac(pem(&s.issuer.key.jwk()).as_bytes(), &t.signing_input()))
        }),
        token("TK-001", "token_algorithm", |s, t| s.issuer.sign(&t.header("alg", "ES384"))),
        token("TK-001", "token_key_unknown", |s, t| s.issuer.sign(&t.header("alg", "RS256"))),
        token("TK-002", "token_signature", |s, t| t.header("jwk", s.key.jwk()).sign(&s.key)),
        token("TK-002", "token_signature", |s, t| {
            t.header("kid", Value::Null)
                .header("jwk", s.key.jwk())
                .header("jku", s.other.at("/keys"))
                .sign(&s.key)
        }),
        token("TK-002", "token_key_unknown", |s, t| {
            t.header("kid", "mine").header("jwk", s.key.jwk()).sign(&s.key)
        }),
        token("TK-002", "token_malformed", |s, t| s.issuer.sign(&t.header("kid", 1))),
        token("TK-020", "token_signature", |s, t| s.other.sign(&t)),
        token("TK-020", "token_signature", |s, t| s.issuer.sign(&t.claim("iss", s.other.name.as_str()))),
        good_token("TK-020", |s, t| s.other.sign(&t.claim("iss", s.other.name.as_str()))),
    ]
}

fn types() -> Vec<Case> {
    let types = [
        "JWT",
        "dpop+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "logout+jwt",
        "",
        "at+jwt ",
        "at",
        "jwt",
    ];
    let mut cases =
        each(types, |typ| token("TK-005", "token_type", move |s, t| s.issuer.sign(&t.header("typ", typ))));
    cases.push(token("TK-005", "token_type", |s, t| s.issuer.sign(&t.header("typ", Value::Null))));
    cases.push(token("TK-005", "token_type", |s, t| s.issuer.sign(&t.header("typ", json!(["at+jwt"])))));
    cases.extend(each(["at+JWT", "AT+jwt", "application/at+jwt", "Application/AT+JWT"], |typ| {
        good_token("TK-006", move |s, t| s.issuer.sign(&t.header("typ", typ)))
    }));
    // The other issuer writes its access tokens with the type of ID tokens.
    let plain = |s: &Stage, t: Jwt| t.claim("iss", s.other.name.as_str()).header("typ", "JWT");
    cases.push(good_token("TK-007", move |s, t| s.other.sign(&plain(s, t))));
    cases.extend(each(["nonce", "at_hash", "c_hash"], |name| {
        token("TK-007", "token_type", move |s, t| s.other.sign(&plain(s, t).claim(name, "x")))
    }));
    cases.extend([
        token("TK-007", "token_audience", move |s, t| s.other.sign(&plain(s, t).claim("aud", "app"))),
        token("TK-007", "token_claims", move |s, t| {
            s.other.sign(&plain(s, t).claim("client_id", Value::Null))
        }),
        token("TK-007", "token_claims", move |s, t| s.other.sign(&plain(s, t).claim("jti", Value::Null))),
    ]);
    cases
}

fn issuers() -> Vec<Case> {
    let iss = |make: fn(&str) -> Value| {
        token("TK-010", "token_issuer", move |s, t| s.issuer.sign(&t.claim("iss", make(&s.issuer.name))))
    };
    vec![
        iss(|name| json!(["https://evil.example", name])),
        iss(|name| json!([name])),
        iss(|_| json!(7)),
        iss(|name| json!({ "iss": name })),
        iss(|_| Value::Null),
        iss(|name| json!(format!("{name}/"))),
        iss(|name| json!(name.to_uppercase())),
        iss(|name| json!(format!(" {name}"))),
        iss(|_| json!("https://evil.example")),
    ]
}

fn audiences() -> Vec<Case> {
    let mut cases = each(
        [
            "https://api.example.co",
            "https://api.example.com.evil",
            "https://api.example.com/",
            "https://API.example.com",
            "http://api.example.com",
            "api.example.com",
            "",
            "*",
            "https://api.example.com ",
        ],
        |aud| token("TK-013", "token_audience", move |s, t| s.issuer.sign(&t.claim("aud", aud))),
    );
    let odd = [
        json!([]),
        json!(7),
        json!({ "aud": "https://api.example.com" }),
        json!(["https://api.example.com", 7]),
        json!(null),
    ];
    cases.extend(each(odd, |aud| {
        token("TK-013", "token_audience", move |s, t| s.issuer.sign(&t.claim("aud", aud.clone())))
    }));
    cases.push(good_token("TK-013", |s, t| {
        s.issuer.sign(&t.claim("aud", json!(["x", "https://api.example.com"])))
    }));
    cases
}

fn times() -> Vec<Case> {
    let exp = |text: &'static str| {
        token(&format!("TK-014 [{text}]"), "token_claims", move |s, t| {
            let t = t.claim("exp", Value::Null);
            s.issuer.sign(&if text.is_empty() { t } else { t.raw_claim(&format!("\"exp\":{text}")) })
        })
    };
    let at = |id: &str, reason, claim: &'static str, offset: i64| {
        token(id, reason, move |s, t| s.issuer.sign(&t.claim(claim, offset + i64::try_from(now()).unwrap())))
    };
    vec![
        exp(""),
        exp("\"9999999999\""),
        exp("null"),
        exp("-1"),
        exp("1e300"),
        exp("true"),
        exp("[9999999999]"),
        good_token("TK-014", |s, t| s.issuer.sign(&t.claim("exp", now() as f64 + 60.5))),
        at("TK-014", "token_expired", "exp", 0),
        at("TK-015", "token_not_yet_valid", "nbf", 60),
        token("TK-016", "token_claims", |s, t| s.issuer.sign(&t.claim("nbf", "0"))),
        token("TK-016", "token_claims", |s, t| s.issuer.sign(&t.raw_claim("\"nbf\":null"))),
        at("TK-017", "token_not_yet_valid", "iat", 60),
        token("TK-017", "token_lifetime", |s, t| {
            s.issuer.sign(&t.claim("iat", now() + 4).claim("exp", now() + 3))
        }),
        at("TK-017", "token_lifetime", "exp", 315_360_000),
        at("TK-017", "token_lifetime", "iat", -3_400),
    ]
}

fn duplicates() -> Vec<Case> {
    let inputs = [
        r#""sub":"admin""#,
        r#""aud":"x""#,
        r#""scope":"admin""#,
        r#""s\u0075b":"admin""#,
        r#""exp":9999999999"#,
    ];
    let mut cases = each(inputs, |more| {
        token("TK-023", "token_malformed", move |s, t| s.issuer.sign(&t.raw_claim(more)))
    });
    cases.push(token("TK-023", "token_malformed", |s, t| s.issuer.sign(&t.raw_header(r#""alg":"none""#))));
    cases
}

fn texts() -> Vec<Case> {
    let authorization = |id: &str, reason, format: &'static str| {
        refused(&format!("{id} [{format}]"), A4, reason, move |s| {
            let token = s.good_token();
            let proof = s.good_proof(&token).sign(&s.key);
            Call::get(PATH).field("Authorization", format.replace("AT", &token)).field("DPoP", proof)
        })
    };
    let jwe = |header: Value| {
        token("TK-032", "token_malformed", move |_, _| {
            format!(
                "{}.{}.{}.{}.{}",
                b64(header.to_string()),
                b64([1; 256]),
                b64([2; 12]),
                b64([3; 2_000]),
                b64([4; 16])
            )
        })
    };
    vec![
        broken("TK-026", 431, |s| {
            let token = s.issuer.sign(&s.issuer.token_for(&s.key).claim("x", "x".repeat(100_000)));
            Call::get(PATH).dpop(&token, "x")
        }),
        token("TK-027", "token_signature", |s, t| s.issuer.sign(&t) + "="),
        refused("TK-027", A4, "credentials_malformed", |s| {
            Call::get(PATH).dpop(&s.good_token().replacen('.', "=.", 1), "x")
        }),
        authorization("TK-027", "credentials_malformed", "DPoP AT%2E"),
        authorization("TK-027", "credentials_malformed", "DPoP \"AT\""),
        authorization("TK-027", "credentials_malformed", "Bearer Bearer AT"),
        authorization("TK-027", "credentials_malformed", "DPoP token=AT"),
        jwe(json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "zip": "DEF" })),
        jwe(json!({ "alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2_147_483_647_u32, "p2s": "AA" })),
    ]
}

fn subjects() -> Vec<Case> {
    let nested = |depth: usize| {
        (0..depth).fold(json!({ "sub": "root" }), |inner, _| json!({ "sub": "middle", "act": inner }))
    };
    let no_actor =
        |r: &crate::support::echo::Received| !r.headers.iter().any(|(_, value)| value.contains("middle"));
    let email = |id: &str, text: &'static str, told: &'static str| {
        granted(id, move |r| r.header("x-email") == Some(told), move |s| with(s, |t| t.claim("email", text)))
    };
    vec![
        granted("TK-031", no_actor, move |s| {
            with(s, |t| t.claim("act", nested(9)).claim("may_act", nested(3)))
        }),
        token("TK-031", "token_malformed", move |s, t| s.issuer.sign(&t.claim("act", nested(20)))),
        // A client that calls itself `admin` is the admin of nothing: the service is told that it is the client itself.
        granted(
            "TK-029",
            |r| r.header("clinch-client") == r.header("clinch-subject"),
            |s| with(s, |t| t.claim("sub", "admin").claim("client_id", "admin")),
        ),
        refused("TK-029", A5, "scope_insufficient", |s| {
            with(s, |t| t.claim("sub", "admin").claim("scope", "admin"))
        }),
        refused("TK-029", A2, "token_claims", |s| with(s, |t| t.claim("sub", json!(["admin"])))),
        granted(
            "TK-028",
            |_| true,
            |s| at("/clients/1", s, &s.issuer, |t| t.claim("client_id", "other-app")),
        ),
        refused("TK-028", A5, "client_refused", |s| {
            at("/clients/1", s, &s.issuer, |t| t.claim("client_id", "stranger").claim("sub", "app"))
        }),
        granted("TK-028", |_| true, |s| at("/issuers/1", s, &s.issuer, |t| t)),
        refused("TK-028", A2, "issuer_refused", |s| at("/issuers/1", s, &s.other, |t| t)), // FAPI-11
        email("TK-035", "a@evil.com@corp.com", "a@evil.com@corp.com"),
        email("TK-035", "admin@corp.com\0", "admin@corp.com%00"),
        email("TK-035", "admin@corp.com\r\nx: y", "admin@corp.com%0D%0Ax:%20y"),
    ]
}

/// A request for another path, with a token of one of the issuers.
fn at(path: &str, s: &Stage, issuer: &Issuer, change: impl Fn(Jwt) -> Jwt) -> Call {
    let token = issuer.sign(&change(issuer.token_for(&s.key)));
    let proof = s.good_proof(&token).claim("htu", url(path)).sign(&s.key);
    Call::get(path).dpop(&token, &proof)
}

fn with(s: &Stage, change: impl Fn(Jwt) -> Jwt) -> Call {
    let token = s.issuer.sign(&change(s.issuer.token_for(&s.key)));
    Call::get(PATH).dpop(&token, &s.good_proof(&token).sign(&s.key))
}

/// TK-019: a cached token is refused the moment it expires.
async fn it_expires_in_the_cache_too(stage: &Stage) {
    let expires = now() + 6;
    let token = stage.issuer.sign(&stage.issuer.token_for(&stage.key).claim("exp", expires));
    let call = move |s: &Stage| Call::get(PATH).dpop(&token, &s.good_proof(&token).sign(&s.key));
    stage.run(vec![granted("TK-019", |_| true, call.clone())]).await;
    eventually("the second in which it expires", async || (now() >= expires).then_some(())).await;
    stage.run(vec![refused("TK-019", A2, "token_expired", call)]).await;
    let unknown = ProofKey::new();
    stage.run(vec![token_by(unknown)]).await;
}

/// A key that nobody published, last: asking for it costs the issuer a fetch.
fn token_by(key: ProofKey) -> Case {
    token("TK-002", "token_key_unknown", move |_, t| t.header("kid", "never published").sign(&key))
}
