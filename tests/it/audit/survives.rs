//! What it survives: crashes under load, files that make way, a second process.

use super::{Audited, kinds, of_kind};
use crate::support::clinch::Clinch;
use crate::support::free_port;
use crate::support::load::{Plan, Traffic};
use crate::support::proof::ProofKey;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// What was answered is in the log, whenever the process was killed: a grant waits for its record.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_under_load_cost_no_record_of_what_was_answered() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listen = format!("address: {address}");
    let mut audited =
        Audited::stage("sync: always", |text| text.replacen("address: 127.0.0.1:0", &listen, 1)).await;
    audited.stage.restart().await;
    let key = ProofKey::new();
    let plan = Plan {
        address,
        tls: audited.stage.anonymous(),
        token: audited.stage.token(&json!({ "jkt": key.thumbprint() })),
        key,
        path: "/either/1",
        pause: Duration::from_millis(2),
    };
    let traffic = Traffic::of(plan, 4);
    for _ in 0..CRASHES {
        traffic.flows(60).await;
        audited.stage.clinch.program.kill();
        audited.stage.restart().await;
    }
    traffic.flows(60).await;
    let tally = traffic.end().await;
    audited.end().await;
    let records = audited.records();
    let decisions = of_kind(&records, "decision");
    let granted = decisions.iter().filter(|one| one["verdict"] == "granted").count() as u64;
    assert!(
        granted >= tally.good && tally.good >= 60 * CRASHES,
        "{granted} granted, {} answered",
        tally.good
    );
    assert_eq!(of_kind(&records, "start").len() as u64, CRASHES + 1);
    assert_eq!(of_kind(&records, "stop").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_make_way_under_load_and_nothing_is_lost() {
    let mut audited = Audited::start("rotate_size: 1MiB").await;
    audited.flood(FLOOD).await;
    audited.end().await;
    let files = audited.files();
    assert!(files.len() >= 4, "{files:?}");
    let records = audited.records();
    assert_eq!(of_kind(&records, "decision").len(), FLOOD);
    assert_eq!(of_kind(&records, "rotated").len(), files.len() - 1);
    assert_eq!(kinds(&records)[records.len() - 2..], ["stop", "checkpoint"]);
    for closed in &files[..files.len() - 1] {
        let size = std::fs::metadata(closed).unwrap().len();
        assert!((1 << 20..3 << 20).contains(&size), "{size} bytes in {}", closed.display());
    }
    // Somebody archives all but the closed ones; the chain goes on all the same.
    std::fs::remove_file(files.last().unwrap()).unwrap();
    let before = audited.follow(&files[..files.len() - 1]).len();
    audited.stage.restart().await;
    audited.end().await;
    assert!(kinds(&audited.records())[before..].starts_with(&["start"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_does_not_mix_with_the_first() {
    let mut audited = Audited::start("sync: always").await;
    let mut second = Clinch::start(&audited.stage.config_file()).await;
    audited.flood(8).await;
    second.program.terminate();
    assert!(second.program.ended().await.success());
    assert!(second.program.output().contains("this one has a log of its own"), "{}", second.program.output());
    audited.end().await;
    assert_eq!(of_kind(&audited.records(), "decision").len(), 8);
    let beside = audited.stage.folder().join(format!("audit.{}.jsonl", second.program.id()));
    let records = audited.follow(&[beside]);
    assert!(records[0]["kind"] == "start" && of_kind(&records, "decision").is_empty());
    assert_eq!(kinds(&records)[records.len() - 2..], ["stop", "checkpoint"]);
}

const CRASHES: u64 = 4;
const FLOOD: usize = 2000;
