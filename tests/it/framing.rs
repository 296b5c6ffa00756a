//! What is on the wire before and behind a request: heads that are none, expectations, upgrades, bodies nobody reads.

use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::{PATIENCE, eventually};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOST: &str = "Host: api.example.com";

async fn stage() -> Stage {
    Stage::set(Setting {
        tls: VERIFIED,
        listen: "limits: { header_timeout: 5s }".to_owned(),
        ..Setting::default()
    })
    .await
}

async fn ask(stage: &Stage, request: &str) -> String {
    stage.ask(&stage.anonymous(), request).await.unwrap_or_default()
}

/// How often something unreadable was counted and logged for this reason.
async fn recorded(stage: &Stage, reason: &str) -> (u64, usize) {
    let counted = stage.metric(&format!("clinch_unreadable_requests_total{{reason=\"{reason}\"}}")).await;
    let output = stage.clinch.program.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = |line: &Value| {
        let fields = line.get("fields").unwrap_or(line);
        fields["message"] == "request not readable"
            && fields["reason"] == reason
            && fields["peer"].is_string()
    };
    (counted, lines.filter(ours).count())
}

/// HD-016, HD-017, HD-021, HD-022, HD-027, HTTP-04, HTTP-17, HTTP-18, HTTP-19, HTTP-21, HTTP-22, HTTP-23, HTTP-24, HTTP-25: hyper refuses these before there is a request; each is recorded once.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_none_is_refused_and_recorded_once() {
    let stage = stage().await;
    let get = "GET /open/1 HTTP/1.1";
    let long = format!("X: {}", "x".repeat(40 * 1024));
    let many = "X: y\r\n".repeat(200);
    let (bad, large) = (("request_malformed", 400), ("header_too_large", 431));
    let cases = [
        ("GET  /open/1 HTTP/1.1", "", bad),
        ("GET /open/1 HTTP/1.2", "", bad),
        ("GET /open/1 http/1.1", "", bad),
        ("GET /open/1", "", bad),
        ("GET /open/ 1 HTTP/1.1", "", bad),
        (get, "X : y", bad),
        (get, "X: y\r\n z", bad),
        (get, "X: a\rb", bad),
        (get, "X: a\0b", bad),
        (get, "X y", bad),
        (get, "Content-Length: +1", bad),
        (get, "Content-Length: 1, 1", bad),
        (get, "Content-Length: 0x1", bad),
        (get, "Content-Length: 1\r\nContent-Length: 2", bad),
        (get, "Transfer-Encoding: gzip", bad),
        (get, "Transfer-Encoding: chunked, gzip", bad),
        ("GET /open/1 HTTP/1.0", "Transfer-Encoding: chunked", bad),
        (get, &*long, large),
        (get, &*many, large),
    ];
    let (mut malformed, mut oversize) = (0, 0);
    for (line, fields, (reason, expected)) in cases {
        let answer = ask(&stage, &format!("{line}\r\n{HOST}\r\n{fields}\r\n\r\n")).await;
        assert_eq!(status(Some(&answer)), Some(expected), "{line} {fields:.20}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        let count = if expected == 400 { &mut malformed } else { &mut oversize };
        *count += 1;
        let once = async || {
            (recorded(&stage, reason).await == (*count, usize::try_from(*count).unwrap())).then_some(())
        };
        eventually(&format!("the record of {line} {fields:.20}"), once).await;
    }
    let leading = ask(&stage, &format!("GET /open/1 HTTP/1.1\r\n X: y\r\n{HOST}\r\n\r\n")).await;
    assert_eq!(status(Some(&leading)), Some(400), "{leading}");
    assert!(stage.service.received().is_empty());
}

/// A head that does not come to its end gets no answer, and is recorded as late or as broken off (HTTP-27).
#[tokio::test(flavor = "multi_thread")]
async fn half_a_head_is_recorded_once() {
    let stage = stage().await;
    let half = format!("GET /open/1 HTTP/1.1\r\n{HOST}\r\nX: y");
    assert_eq!(ask(&stage, &half).await, "", "no answer to half a question");
    let late = async || (recorded(&stage, "header_timeout").await == (1, 1)).then_some(());
    eventually("the late head to be recorded", late).await;

    let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // At `info` those who go away are counted, and no more.
    let gone = async || (recorded(&stage, "broken_off").await == (1, 0)).then_some(());
    eventually("the broken head to be recorded", gone).await;

    // Who never asks, or asks and goes, did nothing wrong.
    drop(stage.connect(&stage.anonymous()).await.unwrap());
    assert_eq!(ask(&stage, "").await, "");
    let whole = format!("GET /open/1 HTTP/1.1\r\n{HOST}\r\nConnection: close\r\n\r\n");
    assert_eq!(status(Some(&ask(&stage, &whole).await)), Some(200));
    assert_eq!(recorded(&stage, "header_timeout").await, (1, 1));
    assert_eq!(recorded(&stage, "broken_off").await, (1, 0));
}

/// HD-031, HD-034, HTTP-14: a refusal comes before the body, which is never read: not as a body, not as a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_not_waited_for_and_never_executed() {
    let stage = stage().await;
    let inner = format!("GET /open/inner HTTP/1.1\r\n{HOST}\r\n\r\n");
    let token =
        format!("Authorization: Bearer {}", stage.token(&serde_json::json!({ "x5t#S256": "A".repeat(43) })));
    for framing in [
        "Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".to_owned(),
        format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Content-Length: {}\r\n\r\n{inner}{inner}", inner.len()),
        format!("Content-Length: {}\r\n\r\n{inner}", inner.len() + 10),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n{inner}", inner.len()),
    ] {
        let request = format!("POST /certified/1 HTTP/1.1\r\n{HOST}\r\n{token}\r\n{framing}");
        let answer = ask(&stage, &request).await;
        assert_eq!(status(Some(&answer)), Some(401), "{framing}: {answer}");
        assert!(answer.contains("connection: close"), "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{framing}: {answer}");
    }
    assert!(stage.service.received().is_empty(), "{:?}", stage.service.received());
}

/// HD-033, HTTP-14: what is expected besides 100-continue, or in HTTP/1.0, is not, and the service never hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn other_expectations_are_ignored_and_removed() {
    let stage = stage().await;
    let ask = async |version: &str, expect: &str| {
        let fields = format!("{HOST}\r\nConnection: close\r\nContent-Length: 5\r\n{expect}");
        ask(&stage, &format!("POST /open/1 HTTP/{version}\r\n{fields}\r\n\r\nhello")).await
    };
    let continued = ask("1.1", "Expect: 100-continue").await;
    assert!(continued.starts_with("HTTP/1.1 100 ") && continued.contains("HTTP/1.1 200 OK"), "{continued}");
    for (version, expect) in [
        ("1.1", "Expect: y"),
        ("1.1", "Expect: 100-continue, x"),
        ("1.1", "Expect: 100-continue=1"),
        ("1.1", "Expect: 100-continue\r\nExpect: x"),
        ("1.0", "Expect: 100-continue"),
        ("1.0", "Expect: y"),
    ] {
        let answer = ask(version, expect).await;
        assert!(answer.starts_with(&format!("HTTP/{version} 200")), "{version} {expect}: {answer}");
        assert!(!answer.contains(" 100 "), "{version} {expect}: {answer}");
    }
    let received = stage.service.received();
    assert_eq!(received.len(), 7);
    assert!(received.iter().all(|r| r.header("expect").is_none() && &r.body[..] == b"hello"), "{received:?}");
}

/// HD-028, HTTP-15: the only upgrade there is is a whole handshake of a WebSocket, so what comes behind another wish is the
/// next request, or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_an_upgrade_never_reach_the_service() {
    let stage = stage().await;
    let inner = format!("GET /certified/inner HTTP/1.1\r\n{HOST}\r\nConnection: close\r\n\r\n");
    for (version, wish, behind, statuses) in [
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket", "\u{1}\u{5}hello", &[200, 400][..]),
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket", &*inner, &[200, 401]),
        (
            "1.1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
            &*inner,
            &[200, 401],
        ),
        ("1.0", "Connection: Upgrade\r\nUpgrade: websocket", &*inner, &[200]),
    ] {
        let answer =
            ask(&stage, &format!("GET /open/1 HTTP/{version}\r\n{HOST}\r\n{wish}\r\n\r\n{behind}")).await;
        let said: Vec<u16> = answer
            .match_indices("HTTP/1.")
            .filter_map(|(at, _)| answer.get(at + 9..at + 12)?.parse().ok())
            .collect();
        assert_eq!(said, statuses, "HTTP/{version} {wish} {behind:?}: {answer}");
    }
    let received = stage.service.received();
    assert_eq!(received.len(), 4);
    for request in received {
        assert_eq!((request.target.as_str(), request.body.len()), ("/open/1", 0));
        assert!(
            ["upgrade", "http2-settings"].iter().all(|name| request.header(name).is_none()),
            "{request:?}"
        );
    }
}

/// HD-013, HTTP-16: hyper takes a length beside chunked away before anybody sees it, so it can't be refused. The service gets one
/// request with one framing, and the connection ends with its answer: there is no next request to disagree on.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_chunked_is_one_clean_request_and_the_end_of_the_connection() {
    let stage = stage().await;
    let inner = format!("GET /open/inner HTTP/1.1\r\n{HOST}\r\n\r\n");
    for framing in
        ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3"]
    {
        let before = stage.service.received().len();
        let request =
            format!("POST /open/1 HTTP/1.1\r\n{HOST}\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{inner}");
        let answer = ask(&stage, &request).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{framing}: {answer}");
        let received = stage.service.received();
        assert_eq!(received.len(), before + 1, "{framing}: {received:?}");
        let last = &received[before];
        assert_eq!((last.target.as_str(), &last.body[..]), ("/open/1", &b"hello"[..]));
        assert_eq!(last.header("content-length"), None);
        assert_eq!(last.header("transfer-encoding"), Some("chunked"));
    }
}

/// HD-018, HTTP-20: a chunk that is none comes after the decision: the request is broken off on both sides.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_none_breaks_the_request_off() {
    let stage = stage().await;
    let endless = format!("5;{}", "x".repeat(1 << 20));
    for (number, chunk) in
        ["ffffffffffffffff1", "0x5", "5;ext=\n", "+5", "5 5", &endless].into_iter().enumerate()
    {
        let request = format!(
            "POST /open/1 HTTP/1.1\r\n{HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}\r\nhello\r\n0\r\n\r\n"
        );
        let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let mut answer = Vec::new();
        let write = async {
            let _ = writer.write_all(request.as_bytes()).await;
            std::future::pending::<()>().await;
        };
        let talk = async {
            tokio::select! { _ = reader.read_to_end(&mut answer) => {}, () = write => {} }
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("the connection ends");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(status(Some(&answer)), Some(400), "{chunk:.20}: {answer}");
        let aborted = stage.metric("clinch_upstream_failures_total{reason=\"request_aborted\"}").await;
        assert_eq!(aborted, number as u64 + 1, "{chunk:.20}");
    }
    // The service may see a head; a body in full it does not.
    assert!(stage.service.received().iter().all(|r| r.body.is_empty()));
}
