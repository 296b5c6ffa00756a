//! HD: framing, request lines and targets that mean two things.

use super::answers::Code::{A7, A8, A11};
use super::case::{Call, Case, PATH, Who, broken, each, granted, refused};
use super::headers::says;
use super::stage::Stage;
use crate::support::wire::converse;

/// HTTP-01, HTTP-02, HTTP-16, HTTP-17, HTTP-19, HTTP-20, HTTP-24
#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_where_everybody_sees_it_end() {
    let stage = Stage::start().await;
    stage.run([framing(), lines(), targets()].into_iter().flatten().collect()).await;
    chunks(&stage).await;
    stage.finish().await;
}

fn framing() -> Vec<Case> {
    let mut cases = vec![
        broken("HD-016", 400, |s| {
            s.good_for("POST", PATH)
                .version("HTTP/1.0")
                .field("Transfer-Encoding", "chunked")
                .body("0\r\n\r\n")
        }),
        broken("HD-017", 400, |s| {
            s.good_for("POST", PATH).field("Content-Length", "1").field("Content-Length", "2").body("ab")
        }),
    ];
    cases.extend(each(
        ["+1", "1, 1, 2", "0x1", "-1", "1 1", "", "18446744073709551616", "1,", "１"],
        |length| {
            broken("HD-017", 400, move |s| s.good_for("POST", PATH).field("Content-Length", length).body("a"))
        },
    ));
    cases.extend(each(["gzip, chunked", "identity, chunked", "chunked, chunked"], |coding| {
        refused("HD-016", A7, "request_malformed", move |s| {
            s.good_for("POST", PATH).field("Transfer-Encoding", coding).body("0\r\n\r\n")
        })
    }));
    cases.extend(each(["gzip", "chunked, gzip", "xchunked", "\"chunked\""], |coding| {
        broken("HD-016", 400, move |s| {
            s.good_for("POST", PATH).field("Transfer-Encoding", coding).body("0\r\n\r\n")
        })
    }));
    cases
}

/// Heads that are written line by line.
fn lines() -> Vec<Case> {
    let extra = |name: &'static str, value: &'static [u8]| move |s: &Stage| s.good(PATH).field(name, value);
    let mut cases = each([" X", "X ", "X\t", "\tX", "X Y", "", "X\u{0}", "X(", "é"], |name| {
        broken("HD-021", 400, extra(name, b"1"))
    });
    cases.extend(each([&b"a\rb"[..], b"a\0b", b"a\r\n b", b"a\n\tb"], |value| {
        broken("HD-022", 400, extra("X", value))
    }));
    let versions = ["HTTP/1.2", "http/1.1", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 ", "HTTP/01.1", "HTTX/1.1", ""];
    cases.extend(each(versions, |version| broken("HD-027", 400, move |s| s.good(PATH).version(version))));
    cases
}

fn targets() -> Vec<Case> {
    let hosts = |hosts: &'static [&'static str]| move |s: &Stage| s.good(PATH).hosts(hosts);
    let mut cases = vec![
        refused("HD-023", A7, "request_malformed", hosts(&[])),
        refused("HD-023", A7, "request_malformed", hosts(&["api.example.com", "api.example.com"])),
        refused("HD-023", A7, "request_malformed", hosts(&["api.example.com", "evil.example"])),
    ];
    let garbage = [
        "a b/c@d",
        "",
        "api.example.com/",
        "api.example.com,evil.example",
        "api.example.com@evil.example",
        "x@api.example.com",
        "api.example.com:443:443",
        "api.example.com:0443",
        "[::1",
        "é",
        "api.example.com?",
        "api example.com",
    ];
    cases.extend(each(garbage, |host| {
        refused("HD-023", A7, "request_malformed", move |s| s.good(PATH).hosts(&[host]))
    }));
    let absolute = |target: &'static str, host: &'static str| {
        move |s: &Stage| s.good(PATH).target(target).hosts(&[host])
    };
    cases.extend([
        refused("HD-024", A8, "host_unknown", absolute("https://evil/orders/7", "api.example.com")),
        refused(
            "HD-024",
            A8,
            "host_unknown",
            absolute("https://api.example.com.evil/orders/7", "api.example.com"),
        ),
        granted(
            "HD-024",
            says("host", "api.example.com"),
            absolute("https://api.example.com/orders/7", "evil"),
        ),
        granted("HD-024", |r| r.target == PATH, absolute("HTTPS://API.example.com:443/orders/7", "evil")),
        refused(
            "HD-025",
            A7,
            "request_malformed",
            absolute("http://api.example.com/orders/7", "api.example.com"),
        ),
        refused(
            "HD-025",
            A7,
            "request_malformed",
            absolute("ftp://api.example.com/orders/7", "api.example.com"),
        ),
        refused("HD-026", A7, "request_malformed", absolute("*", "api.example.com")),
        refused("HD-026", A7, "request_malformed", |_| Call::get("*").method("OPTIONS")),
        refused("HD-026", A11, "method_refused", |_| Call::get("h:443").method("CONNECT")),
        refused("HD-026", A11, "method_refused", |s| s.good_for("TRACE", PATH)),
    ]);
    cases
}

/// HD-018 and HD-019: what breaks in the middle of a body ends both sides; line ends are made whole.
async fn chunks(stage: &Stage) {
    for chunk in [
        "ffffffffffffffff1\r\nx\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;ext=\n\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n",
        "5\r\nhelloX0\r\n\r\n",
    ] {
        let call = stage.good_for("POST", PATH).field("Transfer-Encoding", "chunked").body(chunk);
        let (answer, ended) = stage.send(&call, true).await;
        let status = answer.as_ref().map(|answer| answer.status);
        assert!(status.is_none_or(|status| status == 400) && ended, "HD-018 {chunk:?}: {answer:?}");
    }
    let huge = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let call = stage.good_for("POST", PATH).field("Transfer-Encoding", "chunked").body(huge);
    let (answer, _) = stage.send(&call, false).await;
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "HD-018 chunk-ext: {answer:?}");

    let seen = stage.service.received().len();
    let text = String::from_utf8(stage.good(PATH).bytes()).unwrap().replace("\r\n", "\n");
    let mut stream = stage.caller(Who::Nobody).connect().await;
    let answer = converse(&mut stream, text.as_bytes(), false).await.expect("an answer");
    assert_eq!((answer.status, stage.service.received().len()), (200, seen + 1), "HD-019 {answer:?}");
    drop(stream);
    let ends = stage.good_for("POST", PATH).field("Transfer-Encoding", "chunked").body("5\nhello\n0\n\n");
    let (answer, ended) = stage.send(&ends, true).await;
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 400) && ended, "HD-019 {answer:?}");
}
