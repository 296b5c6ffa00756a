//! CL: the claims of a proof against the request it came with.

use super::answers::Code::{A1, A3, A7};
use super::case::{Call, Case, PATH, broken, each, good_proof, granted, proof, refused};
use super::stage::Stage;
use crate::support::proof::{Jwt, ProofKey, now, unique};
use crate::support::world::url;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// DPOP-09, DPOP-10, DPOP-11, DPOP-12, DPOP-14
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_for_one_request() {
    let stage = Stage::start().await;
    stage.run([same_target(), other_target(), paths(), hosts()].into_iter().flatten().collect()).await;
    stage.run([methods(), times(), identifiers()].into_iter().flatten().collect()).await;
    edges(&stage).await;
    stage.finish().await;
}

/// A GET of `target` at `host` whose proof says `htu`.
pub fn named(stage: &Stage, host: &str, target: &str, htu: &str) -> Call {
    let token = stage.good_token();
    Call::get(target).hosts(&[host]).dpop(&token, &Jwt::new(&stage.key, "GET", htu, &token).sign(&stage.key))
}

fn htu_is_ours(id: &str, target: &'static str, htu: &'static str) -> Case {
    granted(id, move |r| r.target == target, move |s| named(s, "api.example.com", target, htu))
}

fn same_target() -> Vec<Case> {
    vec![
        htu_is_ours("CL-001", PATH, "HTTPS://API.EXAMPLE.COM/orders/7"),
        htu_is_ours("CL-001", PATH, "https://api.example.com:443/orders/7"),
        htu_is_ours("CL-004", PATH, "https://api.example.com:/orders/7"),
        htu_is_ours("CL-012", "/", "https://api.example.com"),
        htu_is_ours("CL-014", PATH, "https://api.example.com/%6frders/7"),
        htu_is_ours("CL-014", "/%6frders/7", "https://api.example.com/orders/7"),
        htu_is_ours("CL-015", "/orders/~", "https://api.example.com/orders/%7e"),
        htu_is_ours("CL-015", "/orders/%3a", "https://api.example.com/orders/%3A"),
        htu_is_ours("CL-021", "/orders/7?q=2", "https://api.example.com/orders/7?q=1"),
        htu_is_ours("CL-021", "/orders/7?q=2", "https://api.example.com/orders/7#f"),
        htu_is_ours("CL-021", PATH, "https://api.example.com/orders/7?#/../x"),
    ]
}

fn other_target() -> Vec<Case> {
    let others = [
        ("CL-003", "https://api.example.com:8443/orders/7"),
        ("CL-004", "https://api.example.com:0443/orders/7"),
        ("CL-004", "https://api.example.com:65536/orders/7"),
        ("CL-004", "https://api.example.com:-1/orders/7"),
        ("CL-006", "/orders/7"),
        ("CL-006", "//api.example.com/orders/7"),
        ("CL-006", ""),
        ("CL-006", "https:"),
        ("CL-007", "https:api.example.com/orders/7"),
        ("CL-007", "https:/api.example.com/orders/7"),
        ("CL-007", "https:///api.example.com/orders/7"),
        ("CL-008", r"https:\\api.example.com\orders\7"),
        ("CL-008", r"https://api.example.com\orders\7"),
        ("CL-009", "https://api.exam\tple.com/orders/7"),
        ("CL-009", "https://api.example.com/ord\ners/7"),
        ("CL-009", " https://api.example.com/orders/7"),
        ("CL-009", "https://api.example.com/orders/7 "),
        ("CL-010", "https://api.example.com@evil.com/orders/7"),
        ("CL-010", "https://u:p@api.example.com/orders/7"),
        ("CL-010", "https://@api.example.com/orders/7"),
        ("CL-013", "https://api.example.com/Orders/7"),
        ("CL-033", "wss://api.example.com/orders/7"),
        ("CL-033", "http://api.example.com/orders/7"),
    ];
    let mut cases = Vec::new();
    for (id, htu) in others {
        cases.extend(each([htu], |htu| {
            proof(id, "proof_target", move |s, p| p.claim("htu", htu).sign(&s.key))
        }));
    }
    cases.push(refused("CL-031", A1, "proof_target", |s| {
        named(s, "api.example.com", PATH, "https://b.example.com/orders/7")
            .field("X-Forwarded-Host", "b.example.com")
            .field("Forwarded", "host=b.example.com;proto=https")
            .field("X-Forwarded-Prefix", "/x")
    }));
    let ours = |r: &crate::support::echo::Received| {
        r.header("x-forwarded-host") == Some("api.example.com")
            && r.header("x-forwarded-prefix").is_none()
            && r.header("forwarded") == Some("for=127.0.0.1;host=api.example.com;proto=https")
    };
    cases.push(granted("CL-031", ours, |s| {
        s.good(PATH)
            .field("X-Forwarded-Host", "b")
            .field("Forwarded", "host=b")
            .field("X-Forwarded-Prefix", "/x")
    }));
    cases
}

fn paths() -> Vec<Case> {
    let ambiguous = |id: &'static str, targets: &'static [&'static str]| {
        each(targets.iter().copied(), move |target| {
            refused(id, A7, "path_ambiguous", move |s| named(s, "api.example.com", target, &url(PATH)))
        })
    };
    let mut cases =
        ambiguous("CL-017", &["/public/../orders/7", "/orders/./7", "/orders/7/..", "/orders/7/."]);
    cases.extend(ambiguous(
        "CL-018",
        &[
            "/public/%2e%2e/orders/7",
            "/public/%2e%2e%2forders/7",
            "/public/..;/orders/7",
            "/public/.%2e/orders/7",
            "/public/%2E./orders/7",
            "/public/..%3b/orders/7",
            "/public/..%5corders/7",
            "/orders/7%2f..%2f8",
        ],
    ));
    cases.extend(ambiguous("CL-015", &["/orders/%2f", "/orders/a%2Fb"]));
    cases.extend(ambiguous("CL-019", &["//orders/7", "/orders//7", "/orders/7//"]));
    cases.extend(each(["/orders/é", "/é", "/orders/\\7", "/orders/%C3é"], |target| {
        let code = if target.contains('\\') { "CL-008" } else { "CL-027" };
        refused(code, A7, "request_malformed", move |s| {
            named(s, "api.example.com", target, "https://api.example.com/orders/%C3%A9")
        })
    }));
    cases
}

fn hosts() -> Vec<Case> {
    let other = |id: &'static str, host: &'static str, authority: &'static str| {
        refused(&format!("{id} [{host} {authority}]"), A1, "proof_target", move |s| {
            named(s, host, PATH, &format!("https://{authority}{PATH}"))
        })
    };
    let same = |id: &str, host: &'static str, authority: &'static str| {
        let seen = host.to_lowercase();
        granted(
            id,
            move |r| r.header("host") == Some(&*seen),
            move |s| named(s, host, PATH, &format!("https://{authority}{PATH}")),
        )
    };
    vec![
        other("CL-023", "xn--bcher-kva.example", "bücher.example"),
        other("CL-023", "xn--bcher-kva.example", "b%C3%BCcher.example"),
        same("CL-023", "xn--bcher-kva.example", "XN--bcher-kva.example"),
        other("CL-026", "127.0.0.1", "2130706433"),
        other("CL-026", "127.0.0.1", "0x7f.1"),
        other("CL-026", "127.0.0.1", "127.1"),
        other("CL-026", "127.0.0.1", "0177.0.0.1"),
        other("CL-026", "127.0.0.1", "[::ffff:127.0.0.1]"),
        other("CL-026", "[::1]", "[0:0:0:0:0:0:0:1]"),
        other("CL-026", "[::1]", "[::01]"),
        same("CL-026", "127.0.0.1", "127.0.0.1"),
        same("CL-026", "[::1]", "[::1]"),
    ]
}

fn methods() -> Vec<Case> {
    let mut cases = each(["get", "GET ", "Get", "", "POST", "HEAD", "GET\0", " GET"], |htm| {
        proof("CL-034", "proof_method", move |s, p| p.claim("htm", htm).sign(&s.key))
    });
    let with_override = |call: Call| {
        call.field("X-HTTP-Method-Override", "DELETE")
            .field("X-Method-Override", "DELETE")
            .field("X-HTTP-Method", "DELETE")
    };
    let stripped = |r: &crate::support::echo::Received| {
        r.method == "GET" && !r.headers.iter().any(|(n, _)| n.contains("method"))
    };
    cases.extend([
        proof("CL-035", "proof_method", |s, p| p.claim("htm", "POST").sign(&s.key)),
        refused("CL-035", A1, "proof_method", move |s| {
            let token = s.good_token();
            let delete = s.good_proof(&token).claim("htm", "DELETE").sign(&s.key);
            with_override(Call::get(PATH).dpop(&token, &delete))
        }),
        granted("CL-035", stripped, move |s| with_override(s.good(PATH))),
        refused("CL-036", A1, "proof_method", |s| s.good(PATH).method("HEAD")),
        proof("CL-037", "proof_claims", |s, p| {
            p.claim("htm", json!(null)).raw_claim(r#""htm":null"#).sign(&s.key)
        }),
        proof("CL-037", "proof_claims", |s, p| p.claim("htm", json!(["GET"])).sign(&s.key)),
        proof("CL-037", "proof_method", |s, p| p.claim("htm", "G".repeat(3_000)).sign(&s.key)),
        broken("CL-037", 431, |s| {
            let token = s.good_token();
            Call::get(PATH)
                .dpop(&token, &s.good_proof(&token).claim("htm", "G".repeat(1_000_000)).sign(&s.key))
        }),
    ]);
    cases
}

fn times() -> Vec<Case> {
    let iat = |id: &str, reason: &'static str, text: &'static str| {
        proof(&format!("{id} [{text}]"), reason, move |s, p| {
            p.claim("iat", Value::Null).raw_claim(&format!("\"iat\":{text}")).sign(&s.key)
        })
    };
    let at = |p: Jwt, iat: i64| p.claim("iat", iat + i64::try_from(now()).unwrap());
    vec![
        proof("CL-038", "proof_claims", |s, p| p.claim("iat", now().to_string()).sign(&s.key)),
        good_proof("CL-039", |s, p| p.claim("iat", now() as f64 + 0.5).sign(&s.key)),
        good_proof("CL-039", |s, p| {
            p.claim("iat", Value::Null).raw_claim(&format!("\"iat\":{:e}", now() as f64)).sign(&s.key)
        }),
        iat("CL-040", "proof_claims", "1e308"),
        iat("CL-040", "proof_claims", "99999999999999999999"),
        iat("CL-040", "proof_claims", "-1"),
        iat("CL-040", "proof_expired", "0"),
        iat("CL-040", "proof_malformed", "NaN"),
        iat("CL-040", "proof_malformed", "Infinity"),
        iat("CL-040", "proof_malformed", "-Infinity"),
        proof("CL-041", "proof_claims", |s, p| p.claim("iat", now() * 1000).sign(&s.key)),
        proof("CL-042", "proof_expired", move |s, p| at(p, -61).sign(&s.key)),
        good_proof("CL-043", move |s, p| at(p, 5).sign(&s.key)),
        proof("CL-043", "proof_not_yet_valid", move |s, p| at(p, 61).sign(&s.key)),
        proof("CL-045", "proof_expired", |s, p| p.claim("exp", now() - 1).sign(&s.key)),
        proof("CL-045", "proof_not_yet_valid", |s, p| p.claim("nbf", now() + 60).sign(&s.key)),
        good_proof("CL-045", |s, p| p.claim("nbf", now()).claim("exp", now() + 60).sign(&s.key)),
    ]
}

fn identifiers() -> Vec<Case> {
    let mut cases =
        each(["", "\"jti\":\"\"", "\"jti\":1", "\"jti\":null", "\"jti\":{}", "\"jti\":[\"a\"]"], |text| {
            proof("CL-046", "proof_claims", move |s, p| {
                let p = p.claim("jti", Value::Null);
                if text.is_empty() { p.sign(&s.key) } else { p.raw_claim(text).sign(&s.key) }
            })
        });
    cases.push(proof("CL-046", "proof_claims", |s, p| p.claim("jti", "j".repeat(257)).sign(&s.key)));
    let prefix = unique();
    cases.extend(each(["é", "e\u{301}", "a", "A", "ａ", "a ", "a\0"], move |end| {
        let jti = format!("{prefix}{end}");
        good_proof("CL-048", move |s, p| p.claim("jti", jti.clone()).sign(&s.key))
    }));
    for _client in 0..2 {
        let key = ProofKey::new();
        cases.extend(each(["1", "2", "3"], move |jti| {
            let key = key.clone();
            granted(
                "CL-049",
                |_| true,
                move |s| {
                    let token = s.issuer.sign(&s.issuer.token_for(&key));
                    Call::get(PATH)
                        .dpop(&token, &Jwt::new(&key, "GET", &url(PATH), &token).claim("jti", jti).sign(&key))
                },
            )
        }));
    }
    cases
}

/// The last moment that counts and the first that does not. Where a second ends before the request is judged, it is
/// another moment: that attempt shows nothing, and another is made.
async fn edges(stage: &Stage) {
    let at = |p: Jwt, offset: i64| p.claim("iat", offset + i64::try_from(now()).unwrap());
    for _attempt in 0..5 {
        // Timely to the second, but older than the sidecar: nothing else is wrong with it.
        let oldest = refused("CL-042", A3, "proof_before_start", move |s| {
            let token = s.good_token();
            let proof = on_the_second(|| at(s.good_proof(&token), -60).sign(&s.key));
            Call::get(PATH).dpop(&token, &proof)
        });
        let beyond =
            proof("CL-043", "proof_not_yet_valid", move |s, p| on_the_second(|| at(p, 6).sign(&s.key)));
        if stage.attempt(&oldest).await.is_ok() && stage.attempt(&beyond).await.is_ok() {
            return;
        }
    }
    panic!("CL-042, CL-043: the edges of the window are not where they should be");
}

/// Runs at the beginning of a second, so that what takes less than one sees no other.
pub fn on_the_second<T>(make: impl FnOnce() -> T) -> T {
    let into = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    std::thread::sleep(Duration::from_secs(1) - Duration::from_nanos(into.into()));
    make()
}
