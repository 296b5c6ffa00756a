//! HTTP/2 frame by frame: what a well-behaved client can't even say (HD-035, HD-036, HD-040, HD-041, TL-022).

use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Answered with this status.
    Status(u16),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code, which is an error.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// A connection that sends whatever it is told.
struct Wire {
    stream: TlsStream<TcpStream>,
    next: u32,
}

impl Wire {
    async fn to(stage: &Stage) -> Wire {
        let mut client = stage.anonymous();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let mut stream = stage.connect(&client).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // SETTINGS_HEADER_TABLE_SIZE 0: every status comes in full.
        stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x01\0\0\0\0").await.unwrap();
        Wire { stream, next: 1 }
    }

    /// A request without a body, its fields in this order and spelling.
    async fn ask(&mut self, fields: &[(&str, &str)]) -> Outcome {
        let id = self.next;
        self.next += 2;
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let (length, id_bytes) = (u32::try_from(block.len()).unwrap().to_be_bytes(), id.to_be_bytes());
        // HEADERS with END_STREAM and END_HEADERS
        let frame = [&length[1..], &[1, 5], &id_bytes, &block].concat();
        let _ = self.stream.write_all(&frame).await;
        tokio::time::timeout(PATIENCE, self.outcome(id)).await.expect("an outcome")
    }

    async fn outcome(&mut self, id: u32) -> Outcome {
        let mut head = [0; 9];
        while self.stream.read_exact(&mut head).await.is_ok() {
            let mut payload =
                vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
            if self.stream.read_exact(&mut payload).await.is_err() {
                break;
            }
            let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            let ours = u32::from_be_bytes(head[5..].try_into().unwrap()) == id;
            match head[3] {
                1 if ours => return Outcome::Status(status(&payload)),
                3 if ours => return Outcome::Reset(number(0)),
                7 if number(4) != 0 => return Outcome::GoAway(number(4)),
                _ => {}
            }
        }
        Outcome::Closed
    }
}

/// A literal field without indexing and without Huffman coding (RFC 7541 section 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// The status at the head of a field block (RFC 7541 section 6 and appendix B, as far as digits go).
fn status(block: &[u8]) -> u16 {
    let block = &block[block.iter().take_while(|byte| *byte & 0xe0 == 0x20).count()..];
    if block[0] & 0x80 != 0 {
        return [200, 204, 206, 304, 400, 404, 500][usize::from(block[0] & 0x7f) - 8];
    }
    assert_eq!(block[0] & 0x0f, 8, "a literal :status: {block:?}");
    let text = &block[2..2 + usize::from(block[1] & 0x7f)];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits = text.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * text.len());
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let (short, long) = ((bits << at) >> 27, (bits << at) >> 26);
        let (digit, length) = if short < 3 { (short, 5) } else { (long - 22, 6) };
        status = status * 10 + u16::try_from(digit).unwrap();
        at += length;
    }
    status
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "https");
const AUTHORITY: (&str, &str) = (":authority", "api.example.com");
const PATH: (&str, &str) = (":path", "/open/1");

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

/// HD-035, HD-036, HD-041, H2-01, H2-02, H2-03, H2-05, HTTP-31: well-formed to hyper, and doubtful all the same.
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
    assert_eq!(stage.service.received().len(), 1);
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
    wire.stream.write_all(b"\0\0\x01\0\0\0\0\0\x07x").await.unwrap();
    let outcome = tokio::time::timeout(PATIENCE, wire.outcome(7)).await.expect("an outcome");
    assert!(matches!(outcome, Outcome::GoAway(_)), "{outcome:?}");
    let line = "clinch_unreadable_requests_total{reason=\"http2_protocol\"}";
    let counted = async || (stage.metric(line).await == 1).then_some(());
    eventually("the connection to be counted", counted).await;
    let told = |line: &str| line.contains("http2_protocol").then_some(());
    stage.clinch.program.hear("the connection in the log", told).await;
}

/// H2-06, H2-08: frames that no client may send end the connection with a code that says why (RFC 9113 sections 5 and 6).
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_end_their_connection() {
    const PROTOCOL: u32 = 1;
    const FLOW_CONTROL: u32 = 3;
    const FRAME_SIZE: u32 = 6;
    const COMPRESSION: u32 = 9;
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
        ("fields that nobody can unpack", frame(1, 5, 1, &[0x80]), COMPRESSION),
        ("padding longer than its frame", frame(1, 13, 1, &[&[255], &block[..]].concat()), PROTOCOL),
        ("CONTINUATION of nothing", frame(9, 4, 1, &block), PROTOCOL),
        ("fields with DATA in between", [frame(1, 1, 1, &block), frame(0, 0, 1, b"x")].concat(), PROTOCOL),
        ("the reset of no stream", frame(3, 0, 1, &[0; 4]), PROTOCOL),
        ("a promise of the client's", frame(5, 4, 1, &[&[0, 0, 0, 2], &block[..]].concat()), PROTOCOL),
        ("settings of a stream", frame(4, 0, 1, &[]), PROTOCOL),
        ("half a setting", frame(4, 0, 0, &[0; 5]), FRAME_SIZE),
        ("agreement with more", frame(4, 1, 0, &[0; 6]), FRAME_SIZE),
        ("pushes, perhaps", frame(4, 0, 0, &setting(2, 2)), PROTOCOL),
        ("too large a window", frame(4, 0, 0, &setting(4, 1 << 31)), FLOW_CONTROL),
        ("too small a frame", frame(4, 0, 0, &setting(5, 100)), PROTOCOL),
        ("half a ping", frame(6, 0, 0, &[0; 7]), FRAME_SIZE),
        ("a window no larger", frame(8, 0, 0, &[0; 4]), PROTOCOL),
        ("a window that overflows", frame(8, 0, 0, &[0x7f, 255, 255, 255]), FLOW_CONTROL),
        ("too large a frame", frame(0, 0, 1, &[0; 16_385]), FRAME_SIZE),
    ] {
        let mut wire = Wire::to(&stage).await;
        let _ = wire.stream.write_all(&frames).await;
        let outcome = tokio::time::timeout(PATIENCE, wire.outcome(0)).await.expect("an outcome");
        if outcome != Outcome::GoAway(expected) {
            wrong.push(format!("{what}: {outcome:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(once(&stage, &good).await, Outcome::Status(200), "others are served");
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

/// H2-08: what costs a client nothing and us something ends the connection (RFC 9113 section 10.5).
#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_connection() {
    const ENHANCE_YOUR_CALM: u32 = 11;
    let stage = stage().await;
    let block: Vec<u8> =
        [METHOD, SCHEME, AUTHORITY, PATH].iter().flat_map(|(name, value)| literal(name, value)).collect();
    // Streams that are opened and reset at once (CVE-2023-44487).
    let reset = |id| [frame(1, 4, id, &block), frame(3, 0, id, &[0, 0, 0, 8])].concat();
    let resets: Vec<u8> = (0..200).flat_map(|at| reset(2 * at + 1)).collect();
    // A field section that has no end (CVE-2024-27316).
    let endless = (0..2000).flat_map(|_| frame(9, 0, 1, &literal("x", "y")));
    let endless: Vec<u8> = frame(1, 1, 1, &block).into_iter().chain(endless).collect();
    for (what, flood) in [("resets", resets), ("continuations", endless)] {
        let mut wire = Wire::to(&stage).await;
        let _ = wire.stream.write_all(&flood).await;
        let outcome = tokio::time::timeout(PATIENCE, wire.outcome(0)).await.expect("an outcome");
        assert_eq!(outcome, Outcome::GoAway(ENHANCE_YOUR_CALM), "{what}");
    }
    let good = [METHOD, SCHEME, AUTHORITY, PATH];
    assert_eq!(once(&stage, &good).await, Outcome::Status(200), "others are served");
}
