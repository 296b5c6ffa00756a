//! AU: where credentials may be, and where they are none.

use super::answers::Code::{A0, A4};
use super::case::{Call, Case, PATH, broken, each, granted, refused};
use super::stage::Stage;
use crate::support::echo::Received;

/// BEAR-01, BEAR-02, BEAR-04, DPOP-24, DPOP-33
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_in_one_place() {
    let stage = Stage::start().await;
    stage.run([ambiguous(), in_the_query(), bytes(), elsewhere()].into_iter().flatten().collect()).await;
    stage.finish().await;
}

fn ambiguous() -> Vec<Case> {
    let mut cases = each(["Bearer X", "DPoP X", "Basic dTpw", ""], |other| {
        refused("AU-001", A4, "credentials_ambiguous", move |s| s.good(PATH).field("Authorization", other))
    });
    cases.push(refused("AU-001", A4, "credentials_ambiguous", |s| {
        Call::get(PATH)
            .bearer("X")
            .field("AUTHORIZATION", "DPoP Y")
            .field("DPoP", s.good_proof("Y").sign(&s.key))
    }));
    cases.extend(each(["DPoP x, Bearer y", "DPoP x,Bearer y", "Bearer y,", "DPoP x Bearer y"], |line| {
        refused("AU-003", A4, "credentials_malformed", move |_| Call::get(PATH).field("Authorization", line))
    }));
    cases
}

fn in_the_query() -> Vec<Case> {
    let names = ["access_token", "access%5ftoken", "%61ccess_token", "a=b&access_token", "a;access_token"];
    let mut cases = each(names, |name| {
        refused("AU-005", A4, "credentials_in_query", move |s| {
            let call = s.good(PATH);
            call.target(format!("{PATH}?{name}={}", s.good_token()))
        })
    });
    cases.push(refused("AU-005", A4, "credentials_in_query", |s| {
        Call::get(format!("{PATH}?access_token={}", s.good_token()))
    }));
    cases
}

fn bytes() -> Vec<Case> {
    let authorization = |bytes: &'static [u8]| {
        move |s: &Stage| {
            let token = s.good_token();
            let value = [b"DPoP ", token.as_bytes(), bytes].concat();
            Call::get(PATH).field("Authorization", value).field("DPoP", s.good_proof(&token).sign(&s.key))
        }
    };
    let mut cases = each([&b"\x80"[..], b"\xc3\xa9", b"\xff"], |bytes| {
        refused("AU-008", A4, "credentials_malformed", authorization(bytes))
    });
    cases.extend(each([&b"\0"[..], b"\x7f", b"\x1b", b"\x01"], |bytes| {
        broken("AU-008", 400, authorization(bytes))
    }));
    cases.extend(each(
        ["Authorization\x0b", "Authorization ", "Authorization\t", "Authorization\u{a0}"],
        |name| {
            broken("AU-010", 400, move |s| Call::get(PATH).field(name, format!("DPoP {}", s.good_token())))
        },
    ));
    cases.extend(each(["Authorization_", "Authorization-", "X-Authorization", "Authorization."], |name| {
        refused("AU-010", A0, "credentials_missing", move |s| {
            s.good(PATH).without("Authorization").field(name, format!("DPoP {}", s.good_token()))
        })
    }));
    cases
}

fn elsewhere() -> Vec<Case> {
    const NAMES: [&str; 6] = [
        "X-Original-Authorization",
        "X-Forwarded-Access-Token",
        "X-Auth-Request-Access-Token",
        "X-Auth-Request-User",
        "X_Forwarded_Access_Token",
        "Proxy-Authorization",
    ];
    let gone = |r: &Received| NAMES.iter().all(|name| r.header(&name.to_lowercase()).is_none());
    let with_all = |call: Call| NAMES.iter().fold(call, |call, name| call.field(name, "DPoP stolen"));
    vec![
        granted("AU-011", gone, move |s| with_all(s.good(PATH))),
        granted("AU-011", gone, move |_| with_all(Call::get("/public/x"))),
        refused("AU-011", A0, "credentials_missing", move |_| with_all(Call::get(PATH))),
        refused("AU-012", A0, "credentials_missing", |s| {
            Call::get(PATH)
                .field("Sec-WebSocket-Protocol", format!("bearer,{}", s.good_token()))
                .field("Upgrade", "websocket")
        }),
        refused("AU-012", A0, "credentials_missing", |s| {
            Call::get(PATH).field("Cookie", format!("access_token={}", s.good_token()))
        }),
        refused("AU-012", A0, "credentials_missing", |s| {
            let body = format!("access_token={}", s.good_token());
            let call =
                Call::get(PATH).method("POST").field("Content-Type", "application/x-www-form-urlencoded");
            call.field("Content-Length", body.len().to_string()).body(body)
        }),
    ]
}
