//! WebSockets over HTTP/2 whose client does not take the last of them.

use crate::support::frames::{AUTHORITY, Outcome, SCHEME, Wire, frame, literal};
use crate::support::sockets::Sockets;
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::{PATIENCE, eventually};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const STREAMS: u32 = 20;
const REFUSED: Outcome = Outcome::Status(403);

/// A client that gives its streams no window, with so many WebSockets of a service that speaks first, and that has ended them.
async fn ended(stage: &Stage) -> Wire {
    let no_table_and_no_window = b"\0\x01\0\0\0\0\0\x04\0\0\0\0";
    let mut wire = Wire::with_settings(stage, no_table_and_no_window).await;
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        SCHEME,
        AUTHORITY,
        (":path", "/open/chatty"),
        ("sec-websocket-version", "13"),
    ];
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    for _ in 0..STREAMS {
        assert_eq!(wire.begin(&block).await, Outcome::Status(200));
    }
    assert_eq!(held(stage).await, u64::from(STREAMS));
    let ends: Vec<u8> = (0..STREAMS).flat_map(|n| frame(0, 1, 2 * n + 1, &[])).collect();
    assert!(wire.send(&ends).await);
    wire
}

async fn held(stage: &Stage) -> u64 {
    stage.metric("clinch_in_flight").await
}

/// A sign of life, with nothing to take in its answer but the head.
async fn asks(wire: &mut Wire) -> Outcome {
    wire.ask(&[(":method", "HEAD"), SCHEME, AUTHORITY, (":path", "/nowhere")]).await
}

async fn stage(limits: &str) -> Stage {
    let (listen, service) = (format!("limits: {{ {limits} }}"), Some(Sockets::start().await.address));
    Stage::set(Setting { tls: VERIFIED, listen, service, ..Setting::default() }).await
}

/// DS-010: as long as anything of them is in memory they have their shares, and that is not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn websockets_that_nobody_reads_keep_their_shares_and_end_their_connection() {
    let stage = stage("idle_timeout: 2s, in_flight: 60, in_flight_per_key: 30").await;
    let mut wire = ended(&stage).await;
    let lasts = async {
        loop {
            let held = held(&stage).await;
            if asks(&mut wire).await != REFUSED {
                break;
            }
            assert!(held >= u64::from(STREAMS), "{held} have a share");
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE * 2, lasts).await.expect("an end");
    eventually("the shares to be free", async || (held(&stage).await == 0).then_some(())).await;
}

/// One that takes it after all keeps its connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_gives_the_shares_back() {
    let stage = stage("idle_timeout: 15s, in_flight: 60, in_flight_per_key: 30").await;
    let mut wire = ended(&stage).await;
    let began = std::time::Instant::now();
    // The service has ended its half, too, and what it said before waits.
    while began.elapsed() < Duration::from_secs(8) {
        assert_eq!(asks(&mut wire).await, REFUSED);
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(held(&stage).await, u64::from(STREAMS));
    let window = (64_u32 << 20).to_be_bytes();
    let windows: Vec<u8> = (0..STREAMS).flat_map(|n| frame(8, 0, 2 * n + 1, &window)).collect();
    assert!(wire.send(&frame(8, 0, 0, &window)).await && wire.send(&windows).await);
    let free = async || {
        assert_eq!(asks(&mut wire).await, REFUSED);
        (held(&stage).await == 0).then_some(())
    };
    eventually("the shares to be free", free).await;
    assert_eq!(asks(&mut wire).await, REFUSED, "on the same connection");
}
