//! HD: header fields that lie.

use super::answers::Code::{A0, A7};
use super::case::{Call, Case, PATH, broken, each, granted, refused};
use super::stage::Stage;
use crate::support::echo::Received;
use crate::support::proof::Jwt;
use crate::support::wire::{converse, rest};
use crate::support::world::url;
use serde_json::{Value, json};

/// SBCP-04, HTTP-09, CC-07
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_clinch_says_who_called() {
    let stage = Stage::start().await;
    stage.run([spoofed(), connection(), claims(), answers()].into_iter().flatten().collect()).await;
    answers_of_the_service(&stage).await;
    stage.finish().await;
}

/// The service sees this value, once.
pub fn says(name: &'static str, value: &'static str) -> impl Fn(&Received) -> bool + Send + Sync + Clone {
    move |received| received.header(name) == Some(value)
}

fn spoofed() -> Vec<Case> {
    let names = [
        "Clinch-Subject",
        "clinch-role",
        "CLINCH-SUBJECT",
        "Clinch_Subject",
        "clinch.subject",
        "clinch~subject",
        "clinch+subject",
        "cLiNcH_kEy",
        "clinch-",
    ];
    let nobody = |r: &Received| !r.headers.iter().any(|(_, value)| value == "root");
    let mut cases = each(names, |name| {
        granted(if name.contains('_') { "HD-003" } else { "HD-001" }, nobody, move |s| {
            s.good(PATH).field(name, "root")
        })
    });
    cases.extend(each(["X-Auth-Subject", "X_Auth_Subject", "X-Groups", "X_Groups", "x.groups"], |name| {
        granted("HD-003", nobody, move |s| s.good(PATH).field(name, "root"))
    }));
    cases.extend(each(names, |name| {
        granted("HD-001", nobody, move |_| Call::get("/public/x").field(name, "root"))
    }));
    cases.push(granted("HD-006", says("clinch-subject", "alice"), |s| {
        s.good(PATH).field("Clinch-Subject", "root").field("Clinch-Subject", "root")
    }));
    // A role that stands twice: of all lines of a client's, none is left beside the token's own.
    cases.push(granted("HD-052", says("x-groups", "user"), |s| {
        with(s, |t| t.claim("groups", "user"))
            .field("X-Groups", "user")
            .field("X-Groups", "admin")
            .field("x-groups", "user,admin")
    }));
    cases
}

fn connection() -> Vec<Case> {
    let kept = |r: &Received| {
        r.header("clinch-subject") == Some("alice")
            && r.header("host") == Some("api.example.com")
            && r.header("via").is_some()
    };
    let mut cases = each(
        ["close, Clinch-Subject", "clinch-key, clinch-proof", "X-Forwarded-For, Via, Forwarded"],
        |options| granted("HD-007", kept, move |s| s.good(PATH).field("Connection", options)),
    );
    cases.extend(each(
        ["Authorization, DPoP", "Host", "close, Host, Authorization", "keep-alive, dpop"],
        |options| granted("HD-009", kept, move |s| s.good(PATH).field("Connection", options)),
    ));
    cases.push(granted(
        "HD-009",
        |r| r.body == "hello",
        |s| {
            s.good_for("POST", PATH)
                .field("Connection", "Content-Length")
                .field("Content-Length", "5")
                .body("hello")
        },
    ));
    let plain = |r: &Received| r.header("upgrade").is_none() && r.header("connection").is_none();
    cases.push(granted("HD-030", plain, |s| {
        s.good(PATH)
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Version", "13")
    }));
    cases
}

fn claims() -> Vec<Case> {
    let told = |id: &str,
                claim: &'static str,
                text: &'static str,
                header: &'static str,
                value: Option<&'static str>| {
        granted(
            &format!("{id} [{text}]"),
            move |r| r.header(header) == value,
            move |s| with(s, |t| t.claim(claim, Value::Null).raw_claim(&format!("\"{claim}\":{text}"))),
        )
    };
    vec![
        told("HD-046", "sub", r#"" admin""#, "clinch-subject", Some("%20admin")),
        told("HD-046", "sub", r#""admin\t""#, "clinch-subject", Some("admin%09")),
        told("HD-046", "sub", r#""\u00a0admin""#, "clinch-subject", Some("%C2%A0admin")),
        told("HD-047", "groups", r#"["a,admin"]"#, "x-groups", Some("a%2Cadmin")),
        told("HD-047", "groups", r#"["a;b=\"c\"","d"]"#, "x-groups", Some("a%3Bb=%22c%22,d")),
        told("HD-048", "tenant", r#""""#, "x-tenant", Some("")),
        told("HD-048", "tenant", "null", "x-tenant", None),
        told("HD-048", "tenant", "9007199254740993", "x-tenant", Some("9007199254740993")),
        told("HD-048", "tenant", "true", "x-tenant", Some("true")),
        told("HD-048", "tenant", "[]", "x-tenant", Some("")),
        told("HD-048", "tenant", r#"{"a":[1]}"#, "x-tenant", Some("{%22a%22:[1]}")),
        told("HD-050", "subject", r#""admin""#, "clinch-subject", Some("alice")),
        told("HD-050", ": x", r#""admin""#, "clinch-subject", Some("alice")),
        told("HD-050", "clinch-subject", r#""admin""#, "clinch-subject", Some("alice")),
        told(
            "HD-059",
            "sub",
            r#""\r\n{\"level\":\"ERROR\"}\u001b[31m\u2028\u202e""#,
            "clinch-subject",
            Some("%0D%0A{%22level%22:%22ERROR%22}%1B[31m%E2%80%A8%E2%80%AE"),
        ),
        told("HD-059", "jti", r#""\u0000\u001b]0;x\u0007\n""#, "clinch-token-id", Some("%00%1B]0%3Bx%07%0A")),
    ]
}

fn answers() -> Vec<Case> {
    let trace =
        |id: &str, fields: &'static [(&'static str, &'static str)], sees: fn(&str, Option<&str>) -> bool| {
            let sees = move |r: &Received| sees(r.header("traceparent").unwrap(), r.header("tracestate"));
            granted(id, sees, move |s| {
                fields.iter().fold(s.good(PATH), |call, (name, value)| call.field(name, value))
            })
        };
    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let begun =
        |parent: &str, state: Option<&str>| !parent.contains("4736") && parent.len() == 55 && state.is_none();
    let mut cases = vec![
        trace(
            "HD-053",
            &[
                ("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01"),
                ("tracestate", "a=1"),
            ],
            begun,
        ),
        trace(
            "HD-053",
            &[
                ("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
                ("tracestate", "a=1"),
            ],
            begun,
        ),
        trace("HD-053", &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")], begun),
        trace("HD-053", &[("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")], begun),
        trace("HD-053", &[("tracestate", "a=1")], begun),
        trace("HD-053", &[("traceparent", GOOD), ("traceparent", GOOD)], begun),
        // One trace id for two requests: each has a span of its own.
        trace("HD-054", &[("traceparent", GOOD), ("tracestate", "a=1")], |parent, state| {
            parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
                && parent != GOOD
                && state == Some("a=1")
        }),
        granted(
            "HD-053",
            |r| r.header("traceparent").unwrap().len() == 55,
            |s| s.good(PATH).field("traceparent", format!("00-{}-00f067aa0ba902b7-01", "4".repeat(10_000))),
        ),
        granted(
            "HD-053",
            |r| r.header("tracestate").is_none(),
            |s| {
                let many: Vec<String> = (0..100).map(|n| format!("k{n}=v")).collect();
                s.good(PATH).field("traceparent", GOOD).field("tracestate", many.join(","))
            },
        ),
        // That an answer may not be stored is asserted of every refusal; this one is named for it.
        refused("HD-057", A0, "credentials_missing", |_| Call::get(PATH)),
    ];
    cases.push(broken("HD-059", 400, |_| Call::get(PATH).field("User-Agent", b"\x1b[31m")));
    cases.extend(each(["{\"level\":\"ERROR\"}", "\u{202e}\u{2028}", "\u{9b}31m"], |agent| {
        refused("HD-059", A7, "path_ambiguous", move |_| {
            Call::get("/orders/%1b%5b31m").field("User-Agent", agent)
        })
    }));
    cases.push(granted(
        "HD-059",
        |_| true,
        |s| {
            let token = s.good_token();
            Call::get(PATH)
                .dpop(&token, &s.good_proof(&token).claim("jti", "\r\n\u{1b}[31m\u{202e}{}\0").sign(&s.key))
        },
    ));
    cases
}

/// HD-056: a service speaks for itself, but not in clinch's name.
async fn answers_of_the_service(stage: &Stage) {
    let fields =
        ["Clinch-Subject", "clinch_key", "Client-Cert", "DPoP-Nonce", "Proxy-Authenticate", "Keep-Alive"];
    let call = fields.iter().fold(stage.good(PATH), |call, name| call.field("X-Answer", format!("{name}=x")));
    let call = call.field("X-Answer", "Access-Control-Allow-Origin=*").field("X-Answer", "X-Auth-User=x");
    let (answer, _) = stage.send(&call, false).await;
    let answer = answer.expect("an answer");
    for name in fields {
        assert!(answer.all(&name.to_lowercase()).is_empty(), "HD-056 {name}: {answer:?}");
    }
    assert_eq!((answer.one("access-control-allow-origin"), answer.one("x-auth-user")), ("*", "x"), "HD-056");
}

/// HD-054: that a stranger asks for a trace to be recorded is a wish.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_decides_what_is_recorded() {
    let stage = Stage::with(|config| config.replace("telemetry: {", "telemetry: { sample: 0.0,")).await;
    let unsampled = |r: &Received| r.header("traceparent").is_some_and(|parent| parent.ends_with("-00"));
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    stage.run(vec![granted("HD-054", unsampled, move |s| s.good(PATH).field("traceparent", parent))]).await;
    // And what is not HTTP at all is not answered as if it were.
    let mut stream = stage.caller(super::case::Who::Nobody).connect().await;
    let answer = converse(&mut stream, b"GET /health\r\n\r\n", false).await;
    assert!(answer.is_none_or(|answer| answer.status == 400) && rest(&mut stream).await.is_some(), "HD-027");
}

fn with(s: &Stage, change: impl Fn(Jwt) -> Jwt) -> Call {
    let token = s.issuer.sign(&change(s.issuer.token(json!({ "jkt": s.key.thumbprint() }))));
    Call::get(PATH).dpop(&token, &Jwt::new(&s.key, "GET", &url(PATH), &token).sign(&s.key))
}
