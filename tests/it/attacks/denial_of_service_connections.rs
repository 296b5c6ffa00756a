//! Connections without end: silent, slow, half-open, idle, or more than there are descriptors, or is memory, for.

use super::bystander::{ATTACKER, Bystander, handshake, limited, tcp};
use crate::support::clinch::finish;
use crate::support::frames::{AUTHORITY, METHOD, Outcome, SCHEME, Wire};
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::wire::{converse, get};
use crate::support::{PATIENCE, eventually};
use futures_util::future::join_all;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Waits until the other side has ended it.
async fn closed(mut stream: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed in time"));
}

/// DS-003: those that are idle go after `idle_timeout`, and an address has no more than its share.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_have_a_share_and_an_end() {
    let stage = limited("idle_timeout: 8s, header_timeout: 8s, connections_per_peer: 20").await;
    let bystander = Bystander::of(&stage);
    let attack = async {
        let mut idle = join_all((0..20).map(|_| handshake(&stage, ATTACKER))).await;
        for stream in &mut idle {
            let stream = stream.as_mut().expect("within the share");
            let asked = b"GET /open/1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
            assert_eq!(converse(stream, asked, false).await.expect("an answer").status, 200);
        }
        let began = Instant::now();
        let excess = join_all((0..80).map(|_| tcp(&stage, ATTACKER))).await;
        join_all(excess.into_iter().map(closed)).await;
        assert!(began.elapsed() < Duration::from_secs(8), "at once: {:?}", began.elapsed());
        join_all(idle.into_iter().map(|stream| closed(stream.unwrap()))).await;
    };
    bystander.is_served_during(&stage, attack).await;
    let refused = stage.metric("clinch_connections_refused_total{reason=\"connections_per_peer\"}").await;
    assert_eq!(refused, 80);
    assert!(handshake(&stage, ATTACKER).await.is_ok(), "its share is free again");
}

/// Half-open connections, handshakes that stop, and header sections that never end (slowloris): each is over after
/// `header_timeout`, and none of them takes a place among the handshakes from those who wait for longer than a moment.
/// DS-002, DS-003
#[tokio::test(flavor = "multi_thread")]
async fn slow_beginnings_have_an_end_and_keep_nobody_out() {
    let stage = limited("header_timeout: 6s, handshakes: 40").await;
    let bystander = Bystander::of(&stage);
    let attack = async {
        let silent = join_all((0..100).map(|_| tcp(&stage, ATTACKER))).await;
        let mut stuck = join_all((0..100).map(|_| tcp(&stage, ATTACKER))).await;
        for stream in &mut stuck {
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
        }
        let mut slow = Vec::new();
        for _ in 0..10 {
            slow.push(bystander.connects(&stage).await);
        }
        let dripping = slow.into_iter().map(|mut stream| async move {
            let began = Instant::now();
            let head =
                b"GET /open/1 HTTP/1.1\r\nHost: api.example.com\r\nX: ".iter().chain([b'x'; 1000].iter());
            for byte in head {
                if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(began.elapsed() < PATIENCE, "a head may take as long as it likes");
            }
        });
        join_all(dripping).await;
        join_all(silent.into_iter().chain(stuck).map(closed)).await;
    };
    bystander.is_served_during(&stage, attack).await;
    let counted = async || {
        let crowded = stage.metric("clinch_tls_handshake_failures_total{reason=\"crowded_out\"}").await;
        let late = stage.metric("clinch_tls_handshake_failures_total{reason=\"timeout\"}").await;
        (crowded > 0 && crowded + late >= 200).then_some(())
    };
    eventually("all to be counted as crowded out or late", counted).await;
    let under_way = async || (stage.metric("clinch_tls_handshakes_in_flight").await == 0).then_some(());
    eventually("no handshake to be under way", under_way).await;
}

/// DS-003: an address that has all connections, or a long queue of handshakes, keeps another one waiting for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_from_one_address_makes_room_for_another() {
    let moment = Duration::from_secs(15);
    let stage = limited("header_timeout: 60s, connections: 60").await;
    let silent = join_all((0..300).map(|_| tcp(&stage, ATTACKER))).await;
    timeout(moment, Bystander::of(&stage).is_served(&stage)).await.expect("a place among the connections");
    drop(silent);
    let crowded = stage.metric("clinch_connections_refused_total{reason=\"crowded_out\"}").await;
    assert!(crowded > 0, "{crowded}");

    let stage = limited("header_timeout: 60s, handshakes: 4").await;
    let mut stuck = join_all((0..400).map(|_| tcp(&stage, ATTACKER))).await;
    for stream in &mut stuck {
        stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    }
    timeout(moment, Bystander::of(&stage).is_served(&stage)).await.expect("a turn among the handshakes");
}

/// DS-003: whoever has all connections, and keeps each with a request that is refused, keeps nobody out; who is known there
/// stays.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_do_nothing_make_room() {
    let stage = limited("header_timeout: 60s, idle_timeout: 300s, connections: 40").await;
    let known = Bystander::at(&stage, Ipv4Addr::LOCALHOST);
    let mut open = known.connects(&stage).await;
    known.is_served_on(&mut open).await;
    let (mut streams, mut wires) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut stream = handshake(&stage, ATTACKER).await.unwrap();
        let asked = b"GET /nowhere HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
        assert_eq!(converse(&mut stream, asked, false).await.expect("an answer").status, 403);
        streams.push(stream);
    }
    for _ in 0..19 {
        let mut wire = Wire::to(&stage).await;
        let refused = wire.ask(&[METHOD, SCHEME, AUTHORITY, (":path", "/nowhere")]).await;
        assert_eq!(refused, Outcome::Status(403));
        wires.push(wire);
    }
    let bystander = Bystander::of(&stage);
    let mut others = Vec::new();
    for _ in 0..12 {
        let mut other = bystander.connects(&stage).await;
        bystander.is_served_on(&mut other).await;
        others.push(other);
    }
    let made_room = stage.metric("clinch_connections_refused_total{reason=\"idle\"}").await;
    assert!((12..39).contains(&made_room), "{made_room}");
    known.is_served_on(&mut open).await;
    for other in &mut others {
        bystander.is_served_on(other).await;
    }
}

/// Whole handshakes, one after the other, as fast as one client makes them: work, but for one connection at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_is_taken_in_turn() {
    let stage = limited("handshakes: 2").await;
    let bystander = Bystander::of(&stage);
    let attack = async {
        for _ in 0..10 {
            for stream in join_all((0..20).map(|_| handshake(&stage, ATTACKER))).await {
                drop(stream.expect("nobody is turned away"));
            }
        }
    };
    bystander.is_served_during(&stage, attack).await;
}

/// DS-021: with no descriptor left, accepting rests instead of spinning; what is open is served, and what comes
/// later is, once there are descriptors again.
#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_nothing_spins_and_nothing_is_lost() {
    let mut stage = limited("idle_timeout: 60s, header_timeout: 60s").await;
    let bystander = Bystander::at(&stage, Ipv4Addr::LOCALHOST);
    let mut open = bystander.connects(&stage).await;
    bystander.is_served_on(&mut open).await;
    let pid = stage.clinch.program.id().to_string();
    let used = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = |count: usize| {
        let limit = format!("--nofile={count}:");
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(status.expect("prlimit is part of util-linux").success());
    };
    let since = Instant::now();
    limit(used + 10);
    let flood = join_all((0..50).map(|_| tcp(&stage, ATTACKER))).await;
    let told = |line: &str| line.contains("can't accept connections").then_some(());
    stage.clinch.program.hear("the failure in the log", told).await;
    let (spent, began) = (cpu(&pid), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        bystander.is_served_on(&mut open).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lines = stage.clinch.program.output().matches("can't accept connections").count();
    let took = since.elapsed();
    assert!(lines as u64 <= 20 + 10 * took.as_secs(), "{lines} failures in {took:?}");
    let spent = cpu(&pid) - spent;
    assert!(spent < 100, "{spent} hundredths of a second of CPU in two seconds");
    limit(1024);
    drop(flood);
    bystander.is_served(&stage).await;
}

/// Where there is no memory to start with, it does not start. Where memory runs out, an allocation fails, and then
/// Rust ends the process: which one it is can't be known, and so this asks only that the end is a failure, that no
/// request passes unchecked before it, and that the next one serves.
#[tokio::test(flavor = "multi_thread")]
async fn memory_that_runs_out_ends_the_process_and_lets_nothing_through() {
    let mut stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let mut starved = Command::new("prlimit");
    starved.args(["--data=1000000", env!("CARGO_BIN_EXE_clinch"), "run", "--config"]);
    starved.arg(stage.config_file()).env("STATE_DIRECTORY", stage.folder());
    let starved = finish(&mut starved).await;
    assert!(!starved.status.success(), "{starved:?}");
    let pid = stage.clinch.program.id().to_string();
    let said = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let held = said.lines().find_map(|line| line.strip_prefix("VmData:")?.strip_suffix(" kB")).unwrap();
    let held: u64 = held.trim().parse().unwrap();
    let limit = format!("--data={}", held * 1024);
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    let (client, mut open) = (stage.anonymous(), Vec::new());
    let unfinished = format!("GET /open/1 HTTP/1.1\r\nX: {}", "x".repeat(20_000));
    while !stage.clinch.program.has_ended() {
        assert!(open.len() < 2000, "it needs no memory: {limit}");
        open.push(stage.connect(&client).await);
        if let Some(Ok(stream)) = open.last_mut() {
            let _ = stream.write_all(unfinished.as_bytes()).await;
        }
        let unproven = stage.ask(&client, &get("/either/1", &[])).await;
        assert!(matches!(status(unproven.as_deref()), None | Some(401 | 503)), "{unproven:?}");
    }
    assert!(!stage.clinch.program.ended().await.success(), "{}", stage.clinch.program.output());
    assert_eq!(stage.service.count(), 0);
    stage.restart().await;
    assert_eq!(status(stage.ask(&client, &get("/open/1", &[])).await.as_deref()), Some(200));
}

/// What a process has used, in clock ticks (proc(5): utime and stime).
fn cpu(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
