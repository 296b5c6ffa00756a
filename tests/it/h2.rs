//! HTTP/2 frame by frame: what a well-behaved client can't even say (HD-035, HD-036, HD-040, HD-041, TL-022).

use crate::support::frames::{AUTHORITY, METHOD, Outcome, PATH, SCHEME, Wire, frame, literal};
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::{PATIENCE, eventually};

async fn stage() -> Stage {
    Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await
}

async fn once(stage: &Stage, fields: &[(&str, &str)]) -> Outcome {
    Wire::to(stage).await.ask(fields).await
}

/// HD-040, HD-022, H2-04, H2-05, H2-06, H2-07: malformed by RFC 9113 section 8, and over before there is a request.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_fields_are_no_request() {
    let stage = stage().await;
    let good = [METHOD, SCHEME, AUTHORITY, PATH];
    assert_eq!(once(&stage, &good).await, Outcome::Status(200));
    assert_eq!(once(&stage, &[&good[..], &[("te", "trailers")]].concat()).await, Outcome::Status(200));
    for more in [
        METHOD,
        SCHEME,
        AUTHORITY,
        PATH,
        (":x", "y"),
        (":status", "200"),
        (":protocol", "websocket"),
        ("X-Upper", "y"),
        ("x y", "z"),
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("content-length", "5"),
    ] {
        let outcome = once(&stage, &[&good[..], &[more]].concat()).await;
        assert!(matches!(outcome, Outcome::Reset(_) | Outcome::GoAway(_)), "{more:?}: {outcome:?}");
    }
    for (what, fields) in [
        ("no method", &[SCHEME, AUTHORITY, PATH][..]),
        ("no path", &[METHOD, SCHEME, AUTHORITY]),
        ("no scheme", &[METHOD, AUTHORITY, PATH]),
        ("an empty path", &[METHOD, SCHEME, AUTHORITY, (":path", "")]),
        ("a method that is none", &[(":method", "G T"), SCHEME, AUTHORITY, PATH]),
        ("a pseudo-header field behind another", &[METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH]),
    ] {
        let outcome = once(&stage, fields).await;
        assert!(matches!(outcome, Outcome::Reset(_) | Outcome::GoAway(_)), "{what}: {outcome:?}");
    }
    assert_eq!(stage.service.received().len(), 2);
}

/// HD-017, HD-035, HD-036, HD-041, H2-01, H2-02, H2-03, H2-05, HTTP-31: well-formed to hyper, and doubtful all the same.
#[tokio::test(flavor = "multi_thread")]
async fn doubtful_fields_are_refused() {
    let stage = stage().await;
    let good = [METHOD, SCHEME, AUTHORITY, PATH];
    let and = |more: (&'static str, &'static str)| [&good[..], &[more]].concat();
    let but = |name: &'static str, value: &'static str| {
        good.map(|field| if field.0 == name { (name, value) } else { field }).to_vec()
    };
    let bare = vec![METHOD, SCHEME, PATH];
    for (what, fields, expected) in [
        ("the same host", and(("host", "api.example.com")), 200),
        ("a length", and(("content-length", "0")), 200),
        ("it twice", [&and(("content-length", "0"))[..], &[("content-length", "0")]].concat(), 400),
        ("another host", and(("host", "evil.example.com")), 400),
        ("an empty host", and(("host", "")), 400),
        ("neither", bare.clone(), 400),
        ("another host alone", [&bare[..], &[("host", "evil.example.com")]].concat(), 421),
        ("an authority with a user", but(":authority", "root@api.example.com"), 400),
        ("plain http", but(":scheme", "http"), 400),
        ("an asterisk", but(":path", "*"), 400),
        ("two slashes", but(":path", "//open/1"), 400),
        ("CONNECT", vec![(":method", "CONNECT"), (":authority", "api.example.com:443")], 501),
        ("a space before", and(("authorization", " Bearer x")), 400),
        ("a space behind", and(("authorization", "Bearer x ")), 400),
        ("a tab before", and(("dpop", "\tx")), 400),
        ("a tab behind", and(("dpop", "x\t")), 400),
        ("a space before another", and(("clinch-subject", " root")), 400),
        ("a space behind another", and(("x", "y ")), 400),
    ] {
        let outcome = once(&stage, &fields).await;
        assert_eq!(outcome, Outcome::Status(expected), "{what}");
    }
    assert_eq!(stage.service.received().len(), 2);
}

/// TL-022, H2-10, HTTP-06: a connection for one name asks for another (RFC 9113 section 9.1.1): only what is served here is, and by
/// the same rules, for there are no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_good_for_the_names_that_are_served_here() {
    let stage = stage().await;
    let mut wire = Wire::to(&stage).await;
    for (authority, path, expected) in [
        ("api.example.com", "/open/1", 200),
        ("internal.example.com", "/open/1", 421),
        ("other.example.com", "/open/1", 200),
        ("other.example.com", "/certified/1", 401),
        ("api.example.com.", "/open/1", 421),
        ("api.example.com:8443", "/open/1", 421),
        ("api.example.com", "/open/1", 200),
    ] {
        let outcome = wire.ask(&[METHOD, SCHEME, (":authority", authority), (":path", path)]).await;
        assert_eq!(outcome, Outcome::Status(expected), "{authority}{path}");
    }
    assert_eq!(stage.service.received().len(), 3);
}

/// A connection that breaks the protocol is told, counted and closed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_2_is_recorded_once() {
    let mut stage = stage().await;
    let mut wire = Wire::to(&stage).await;
    // DATA on a stream that was never opened
    assert!(wire.send(b"\0\0\x01\0\0\0\0\0\x07x").await);
    let outcome = tokio::time::timeout(PATIENCE, wire.outcome(7)).await.expect("an outcome");
    assert!(matches!(outcome, Outcome::GoAway(_)), "{outcome:?}");
    let line = "clinch_unreadable_requests_total{reason=\"http2_protocol\"}";
    let counted = async || (stage.metric(line).await == 1).then_some(());
    eventually("the connection to be counted", counted).await;
    let told = |line: &str| line.contains("http2_protocol").then_some(());
    stage.clinch.program.hear("the connection in the log", told).await;
}

/// H2-06, H2-08: frames that no client may send end the connection with an error (RFC 9113 sections 5 and 6). h2 calls
/// some PROTOCOL_ERROR that have a code of their own there: half a frame, a window too large, fields it can't unpack.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_end_their_connection() {
    const PROTOCOL: u32 = 1;
    const FLOW_CONTROL: u32 = 3;
    const FRAME_SIZE: u32 = 6;
    let stage = stage().await;
    let good = [METHOD, SCHEME, AUTHORITY, PATH];
    let block: Vec<u8> = good.iter().flat_map(|(name, value)| literal(name, value)).collect();
    let mut wrong = Vec::new();
    let setting = |id: u8, value: u32| [&[0, id][..], &value.to_be_bytes()].concat();
    for (what, frames, expected) in [
        ("DATA of no stream", frame(0, 0, 0, b"x"), PROTOCOL),
        ("HEADERS of no stream", frame(1, 5, 0, &block), PROTOCOL),
        ("a stream of the server's", frame(1, 5, 2, &block), PROTOCOL),
        ("a number that has passed", [frame(1, 5, 5, &block), frame(1, 5, 3, &block)].concat(), PROTOCOL),
        ("fields that nobody can unpack", frame(1, 5, 1, &[0x80]), PROTOCOL),
        ("padding longer than its frame", frame(1, 13, 1, &[&[255], &block[..]].concat()), PROTOCOL),
        ("CONTINUATION of nothing", frame(9, 4, 1, &block), PROTOCOL),
        ("fields with DATA in between", [frame(1, 1, 1, &block), frame(0, 0, 1, b"x")].concat(), PROTOCOL),
        ("the reset of no stream", frame(3, 0, 1, &[0; 4]), PROTOCOL),
        ("a promise of the client's", frame(5, 4, 1, &[&[0, 0, 0, 2], &block[..]].concat()), PROTOCOL),
        ("settings of a stream", frame(4, 0, 1, &[]), PROTOCOL),
        ("half a setting", frame(4, 0, 0, &[0; 5]), PROTOCOL),
        ("agreement with more", frame(4, 1, 0, &[0; 6]), PROTOCOL),
        ("pushes, perhaps", frame(4, 0, 0, &setting(2, 2)), PROTOCOL),
        ("too large a window", frame(4, 0, 0, &setting(4, 1 << 31)), PROTOCOL),
        ("too small a frame", frame(4, 0, 0, &setting(5, 100)), PROTOCOL),
        ("half a ping", frame(6, 0, 0, &[0; 7]), PROTOCOL),
        ("a window no larger", frame(8, 0, 0, &[0; 4]), PROTOCOL),
        ("a window that overflows", frame(8, 0, 0, &[0x7f, 255, 255, 255]), FLOW_CONTROL),
        ("too large a frame", frame(0, 0, 1, &[0; 16_385]), FRAME_SIZE),
    ] {
        let mut wire = Wire::to(&stage).await;
        wire.send(&frames).await;
        let outcome = tokio::time::timeout(PATIENCE, wire.outcome(0)).await.expect("an outcome");
        if outcome != Outcome::GoAway(expected) {
            wrong.push(format!("{what}: {outcome:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(once(&stage, &good).await, Outcome::Status(200), "others are served");
}
