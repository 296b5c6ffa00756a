//! Clients that ask and do not read, and those that keep what they were given: what they hold is bounded, and theirs alone.

use super::bystander::{ATTACKER, Bystander, handshake};
use crate::support::frames::{AUTHORITY, METHOD, Outcome, SCHEME, Wire, frame, literal};
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::{PATIENCE, eventually};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// An error code (RFC 9113 section 7).
const CANCEL: u32 = 8;

/// Streams of one attacker, and how many responses that makes.
const STREAMS: u32 = 200;
const CONNECTIONS: u32 = 5;
const UNREAD: u64 = (CONNECTIONS * STREAMS) as u64;

/// What a response that nobody reads may keep, in bytes: a piece of 32 KiB in the queue, one on its way there, and
/// what else an open request is made of, in this build.
const KEPT: u64 = 100 << 10;

/// A service that answers with as much as is taken, with small events, or with `ok`, as the request asks for.
async fn generous() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(gives(stream));
        }
    });
    address
}

async fn gives(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut head) = (String::new(), String::new());
        while stream.read_line(&mut line).await.ok()? > 2 {
            head.push_str(&line);
            line.clear();
        }
        let wants = |what: &str| head.contains(what);
        if wants("/large") || wants("/events") || wants("x-hold: 1") {
            let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(begun).await.ok()?;
            let (piece, pause) = if wants("/large") {
                ([b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat(), Duration::ZERO)
            } else {
                (b"6\r\ndata\n\n\r\n".to_vec(), Duration::from_millis(50))
            };
            loop {
                stream.write_all(&piece).await.ok()?;
                sleep(pause).await;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(if head.is_empty() { return None } else { answer }).await.ok()?;
    }
}

async fn stage(limits: &str) -> Stage {
    let (listen, service) = (format!("limits: {{ {limits} }}"), Some(generous().await));
    Stage::set(Setting { tls: VERIFIED, listen, service, ..Setting::default() }).await
}

fn asks(path: &str, id: u32) -> Vec<u8> {
    let fields = [METHOD, SCHEME, AUTHORITY, (":path", path)];
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    frame(HEADERS, END_HEADERS | END_STREAM, id, &block)
}

/// SETTINGS_HEADER_TABLE_SIZE 0 and SETTINGS_INITIAL_WINDOW_SIZE, and as wide a window of the connection as there is.
async fn wire(stage: &Stage, window: u32) -> Wire {
    let settings = [&[0, 1, 0, 0, 0, 0, 0, 4][..], &window.to_be_bytes()].concat();
    let mut wire = Wire::with_settings(stage, &settings).await;
    let most = (WIDEST - 65_535).to_be_bytes();
    assert!(wire.send(&frame(WINDOW_UPDATE, 0, 0, &most)).await);
    wire
}

const WIDEST: u32 = 0x7fff_ffff;

/// The most memory that is seen while nothing of many responses is read, and until it stands still.
async fn peak(stage: &Stage) -> u64 {
    let (mut most, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        let now = stage.memory();
        if now > most + (1 << 20) {
            since = Instant::now();
        }
        most = most.max(now);
        sleep(Duration::from_millis(100)).await;
    }
    most
}

/// DS-009, DS-010: connections that open every window, ask for as much as they may, be it large or in small pieces, and read
/// nothing: a bound for each response, and so for all of them, and the next ones use the same memory again.
#[tokio::test(flavor = "multi_thread")]
async fn responses_that_nobody_reads_hold_little() {
    let stage = stage(&format!("in_flight: {}, in_flight_per_key: {UNREAD}", UNREAD + 100)).await;
    let bystander = Bystander::of(&stage);
    bystander.is_served(&stage).await;
    let before = stage.memory();
    let mut peaks = Vec::new();
    for (path, connections) in
        [("/open/large", CONNECTIONS), ("/open/events", 1), ("/open/large", CONNECTIONS)]
    {
        let mut unread = Vec::new();
        for _ in 0..connections {
            let mut wire = wire(&stage, WIDEST).await;
            let all: Vec<u8> = (0..STREAMS).flat_map(|n| asks(path, 2 * n + 1)).collect();
            assert!(wire.send(&all).await);
            unread.push(wire);
        }
        // The service has a second to answer, in which a busy machine does not get round to all of them.
        let most = u64::from(connections * STREAMS) / 2;
        let open = async || (stage.metric("clinch_in_flight").await >= most).then_some(());
        eventually("most of them to be open", open).await;
        peaks.push(peak(&stage).await.saturating_sub(before));
        let served = async || {
            let answer = bystander.asks(&stage, &bystander.request()).await;
            (status(Some(&answer)) == Some(200)).then_some(())
        };
        eventually("the bystander to be served meanwhile", served).await;
        drop(unread);
        let gone = async || (stage.metric("clinch_in_flight").await == 0).then_some(());
        eventually("nothing to be in flight", gone).await;
    }
    let after = stage.memory().saturating_sub(before);
    let told = format!("bytes more: {peaks:?} at most, {after} after it, for {UNREAD} responses");
    println!("{told}");
    assert!(peaks.iter().all(|peak| *peak < UNREAD * KEPT), "{told}");
    // The allocator keeps what it had, for pieces of other sizes as well; it is used again.
    assert!(peaks[2] < peaks[0] + peaks[1], "nothing adds up: {told}");
}

/// DS-010: what is not read holds up nobody: a stream that is read goes on beside many that are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_read_goes_on_beside_those_that_are_not() {
    let stage = stage("in_flight: 500, in_flight_per_key: 500").await;
    for path in ["/open/large", "/open/events"] {
        let mut wire = wire(&stage, 20_000).await;
        for n in 0..STREAMS - 1 {
            assert!(wire.send(&asks("/open/large", 2 * n + 1)).await);
        }
        let id = 2 * STREAMS - 1;
        assert!(wire.send(&asks(path, id)).await);
        assert!(wire.send(&frame(WINDOW_UPDATE, 0, id, &(64_u32 << 20).to_be_bytes())).await);
        let enough = if path == "/open/large" { 16 << 20 } else { 600 };
        timeout(PATIENCE, wire.data(id, enough)).await.expect("as much as is read");
    }
}

/// DS-010: a stream that is not read ends its connection, whose other streams have as long as a stop would leave them,
/// and no longer than they need.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_cuts_no_other_off() {
    let mut stage = stage("idle_timeout: 2s").await;
    let text = stage.config_with_service("response_timeout: 20s");
    for (drain, leaves) in [("60s", true), ("2s", false)] {
        stage.clinch.program.kill();
        stage.configure(&text.replace("drain: 20s", &format!("drain: {drain}")));
        stage.restart().await;
        let mut wire = wire(&stage, 20_000).await;
        assert!(wire.send(&[asks("/open/events", 1), asks("/open/large", 3)].concat()).await);
        assert!(wire.send(&frame(WINDOW_UPDATE, 0, 1, &(64_u32 << 20).to_be_bytes())).await);
        let told = async {
            loop {
                let (kind, ..) = wire.next_frame().await.expect("a connection that is still there");
                if kind == GOAWAY {
                    break;
                }
            }
        };
        timeout(PATIENCE, told).await.expect("GOAWAY in time");
        if leaves {
            // Five seconds of it.
            timeout(PATIENCE, wire.data(1, 600)).await.expect("as much as is read");
            assert!(wire.send(&frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())).await);
        }
        timeout(PATIENCE, async { while wire.next_frame().await.is_some() {} }).await.expect("an end");
    }
}

/// DS-010, DS-012: an address that proves nothing, and a key, have no more than a share of `in_flight`, so there is
/// room for others, those behind the same address included; and the metric says who is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_a_share_of_what_is_in_flight() {
    let stage = stage("in_flight: 40").await;
    let hold = |request: &str| request.replacen("\r\nConnection: close", "\r\nx-hold: 1", 1);
    let open = "GET /open/events HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n";
    let (held_key, other) = (Bystander::of(&stage), Bystander::at(&stage, std::net::Ipv4Addr::LOCALHOST));
    let mut held = Vec::new();
    for is_key in [false, true] {
        for n in 0..=10 {
            let request = hold(&if is_key { held_key.request() } else { open.to_owned() });
            let mut stream = match is_key {
                true => held_key.connects(&stage).await,
                false => handshake(&stage, ATTACKER).await.unwrap(),
            };
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 1024];
            let read = timeout(PATIENCE, stream.read(&mut answer)).await.expect("an answer").unwrap();
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            assert_eq!(status(Some(&answer)), Some(if n < 10 { 200 } else { 429 }), "{n}: {answer}");
            if n == 10 {
                assert!(answer.to_lowercase().contains("retry-after: "), "{answer}");
                assert!(!answer.to_lowercase().contains("www-authenticate"), "{answer}");
            } else {
                held.push(stream);
            }
        }
        other.is_served(&stage).await;
    }
    let refused =
        "clinch_requests_total{route=\"/either/{*rest}\",verdict=\"refused\",reason=\"too_many_in_flight\"}";
    assert_eq!(stage.metric(refused).await, 1);
    assert_eq!(stage.metric("clinch_in_flight").await, 20);
    drop(held);
    let gone = async || (stage.metric("clinch_in_flight").await == 0).then_some(());
    eventually("nothing to be in flight", gone).await;
    held_key.is_served(&stage).await;
}

/// DS-002: a header section that does not end ends its connection, whatever was asked before, or is still open there.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_section_has_its_time_whatever_else_is_open() {
    let stage = stage("header_timeout: 2s, idle_timeout: 60s").await;
    for path in ["/open/1", "/open/events"] {
        let mut wire = wire(&stage, WIDEST).await;
        assert!(wire.send(&asks(path, 1)).await);
        assert_eq!(wire.outcome(1).await, Outcome::Status(200), "{path}");
        let mut part = asks(path, 3);
        // Without END_HEADERS.
        part[4] = END_STREAM;
        assert!(wire.send(&part).await);
        let began = Instant::now();
        timeout(PATIENCE, wire.outcome(3)).await.expect("an end");
        assert!(began.elapsed() < Duration::from_secs(12), "{path}: {:?}", began.elapsed());
    }
    let late = "clinch_unreadable_requests_total{reason=\"header_timeout\"}";
    let counted = async || (stage.metric(late).await == 2).then_some(());
    eventually("both to be counted", counted).await;
}

/// What a client does not take waits for `idle_timeout`, and the kernel does not end the connection before.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_waits_as_long_as_idle_timeout() {
    for (limits, millis) in [("idle_timeout: 75s", 120_000), ("idle_timeout: 600s", 600_000)] {
        let stage = stage(limits).await;
        let client = stage.connect(&stage.anonymous()).await.unwrap();
        let ours = client.get_ref().0.local_addr().unwrap();
        assert_eq!(
            rustix::net::sockopt::tcp_user_timeout(accepted(&stage, ours)).unwrap(),
            millis,
            "{limits}"
        );
    }
}

/// The sidecar's end of this client's connection.
#[cfg(target_os = "linux")]
fn accepted(stage: &Stage, client: SocketAddr) -> std::os::fd::OwnedFd {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let pid = stage.clinch.program.id();
    let process = pidfd_open(Pid::from_raw(pid.try_into().unwrap()).unwrap(), PidfdFlags::empty()).unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open = open.map(|one| one.unwrap().file_name().to_str().unwrap().parse().unwrap());
    let is_it = |fd: &std::os::fd::OwnedFd| {
        rustix::net::getpeername(fd).is_ok_and(|peer| peer.is_some_and(|peer| peer.try_into() == Ok(client)))
    };
    open.filter_map(|fd| pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok())
        .find(is_it)
        .expect("its end")
}
