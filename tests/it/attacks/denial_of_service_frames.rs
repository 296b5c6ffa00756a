//! Floods of HTTP/2 frames: what costs a client nothing and us something ends its connection (RFC 9113 section 10.5),
//! and nobody else notices.

use super::bystander::{Bystander, limited};
use crate::support::PATIENCE;
use crate::support::frames::{AUTHORITY, METHOD, Outcome, PATH, SCHEME, Wire, frame, literal};
use crate::support::stage::Stage;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const LIMITS: &str = "header_timeout: 5s, idle_timeout: 5s";
/// Where it is these that end a connection, eight times.
const SHORT: &str = "header_timeout: 2s, idle_timeout: 2s";
const CALM: Outcome = Outcome::GoAway(11);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn request(method: (&'static str, &'static str), path: (&'static str, &'static str)) -> Vec<u8> {
    [method, SCHEME, AUTHORITY, path].iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// What comes of a connection that sends all this, while the bystander is served.
async fn outcome(stage: &Stage, bystander: &Bystander, flood: &[u8]) -> Outcome {
    let attack = async {
        let mut wire = Wire::to(stage).await;
        for part in flood.chunks(16 * 1024) {
            if !wire.send(part).await {
                break;
            }
        }
        timeout(PATIENCE, wire.outcome(0)).await.expect("an outcome")
    };
    bystander.is_served_during(stage, attack).await
}

/// H2-08, DS-006, DS-008: streams that are opened and reset (CVE-2023-44487), streams that we are made to reset
/// (CVE-2025-8671), a field section that has no end (CVE-2024-27316), DATA frames without data (CVE-2019-9518).
#[tokio::test(flavor = "multi_thread")]
async fn floods_that_are_none_but_floods_end_their_connection() {
    let stage = limited(LIMITS).await;
    let bystander = Bystander::of(&stage);
    let (get, post) = (request(METHOD, PATH), request((":method", "POST"), PATH));
    let cancel = [0, 0, 0, 8];
    let resets: Vec<u8> = (0..2000)
        .flat_map(|n| {
            [frame(HEADERS, END_HEADERS, 2 * n + 1, &get), frame(RST_STREAM, 0, 2 * n + 1, &cancel)].concat()
        })
        .collect();
    // A window that overflows: the stream is ours to reset, again and again.
    let overflow = 0x7fff_ffff_u32.to_be_bytes();
    let made: Vec<u8> = (0..2000)
        .flat_map(|n| {
            let opened = frame(HEADERS, END_HEADERS, 2 * n + 1, &post);
            [opened, frame(WINDOW_UPDATE, 0, 2 * n + 1, &overflow)].concat()
        })
        .collect();
    let endless = (0..5000).flat_map(|_| frame(CONTINUATION, 0, 1, &literal("x", "y")));
    let endless: Vec<u8> = frame(HEADERS, END_STREAM, 1, &get).into_iter().chain(endless).collect();
    let empty = (0..50_000).flat_map(|_| frame(DATA, 0, 1, &[]));
    let empty: Vec<u8> = frame(HEADERS, END_HEADERS, 1, &post).into_iter().chain(empty).collect();
    for (what, flood) in
        [("resets", resets), ("resets of ours", made), ("continuations", endless), ("empty frames", empty)]
    {
        assert_eq!(outcome(&stage, &bystander, &flood).await, CALM, "{what}");
    }
    let answer = bystander.asks(&stage, &bystander.request()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// DS-009: frames that are allowed, and ask for nothing: the time for the first request, or to the next one, runs on
/// under them, whether or not the answers are read.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_ask_for_nothing_buy_no_time() {
    let stage = limited(SHORT).await;
    let bystander = Bystander::of(&stage);
    let before = stage.memory();
    for (what, one) in [
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("PRIORITY", frame(PRIORITY, 0, 1001, &[0, 0, 0, 3, 1])),
        ("unknown", frame(0xee, 0, 0, &[1; 64])),
    ] {
        let lot = one.repeat(16 * 1024 / one.len());
        for asks_first in [false, true] {
            let attack = async {
                let mut wire = Wire::to(&stage).await;
                if asks_first {
                    assert_eq!(wire.ask(&[METHOD, SCHEME, AUTHORITY, PATH]).await, Outcome::Status(200));
                }
                let began = Instant::now();
                // Nothing is read: our answers have nowhere to go.
                while timeout(PATIENCE, wire.send(&lot)).await.is_ok_and(|sent| sent) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    assert!(began.elapsed() < PATIENCE, "{what}: the connection is open after {PATIENCE:?}");
                }
            };
            bystander.is_served_during(&stage, attack).await;
        }
    }
    let grown = stage.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more in memory");
}

/// DS-009: a client that takes a byte at a time, and then none, gives its place back.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_one_byte_holds_nothing_for_long() {
    let stage = limited(&format!("{LIMITS}, in_flight: 1")).await;
    // SETTINGS_HEADER_TABLE_SIZE 0, SETTINGS_INITIAL_WINDOW_SIZE 1
    let mut wire = Wire::with_settings(&stage, &[0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]).await;
    assert_eq!(wire.ask(&[METHOD, SCHEME, AUTHORITY, PATH]).await, Outcome::Status(200));
    let ended = timeout(PATIENCE, wire.outcome(1)).await.expect("an end");
    assert!(matches!(ended, Outcome::Reset(_) | Outcome::GoAway(_) | Outcome::Closed), "{ended:?}");
    Bystander::of(&stage).is_served(&stage).await;
}

/// DS-009, DS-015: a few kilobytes that unfold to megabytes are measured as they unfold.
#[tokio::test(flavor = "multi_thread")]
async fn fields_count_as_long_as_they_are() {
    let stage = limited(LIMITS).await;
    let bystander = Bystander::of(&stage);
    // A field of 3 KiB that goes into the dynamic table (RFC 7541 section 6.2.1), and a reference to it: one byte each.
    let length = [0x7f, 0x81, 0x17]; // 3072 in a prefix of seven bits
    for name in ["x-bomb", "cookie"] {
        let named =
            [&[0x40, u8::try_from(name.len()).unwrap()], name.as_bytes(), &length, &[b'a'; 3072]].concat();
        let block = [request(METHOD, PATH), named, vec![0x80 | 62; 4000]].concat();
        let attack = async {
            let mut wire = Wire::to(&stage).await;
            assert!(wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await);
            timeout(PATIENCE, wire.outcome(1)).await.expect("an outcome")
        };
        let outcome = bystander.is_served_during(&stage, attack).await;
        assert_eq!(outcome, CALM, "{name}: 4000 times 3 KiB");
    }
    let seen = stage.service.received();
    assert!(seen.iter().all(|request| request.target == "/either/1"), "the service saw the bystander alone");
}

/// DS-010: ten thousand streams on one connection: no more than `streams` of them are anything to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_are_as_many_as_are_allowed() {
    let stage = limited(&format!("{LIMITS}, streams: 50, in_flight: 1000")).await;
    let bystander = Bystander::of(&stage);
    let held = request(METHOD, (":path", "/open/held"));
    let streams: Vec<u8> =
        (0..10_000).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &held)).collect();
    let outcome = outcome(&stage, &bystander, &streams).await;
    assert!(matches!(outcome, Outcome::GoAway(_) | Outcome::Closed), "{outcome:?}");
    let held = stage.service.received().iter().filter(|request| request.target == "/open/held").count();
    assert!(held <= 50, "{held} at the service");
}
