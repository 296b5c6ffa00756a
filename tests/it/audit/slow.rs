//! A disk that takes its time: who waits for it is told how long everybody does.

use super::Audited;
use crate::support::clinch::{Clinch, command};
use crate::support::eventually;
use crate::support::program::Program;
use crate::support::stage::status;
use crate::support::wire::{get, plain_get};
use std::process::Command;
use std::time::{Duration, Instant};

/// As `fdatasync` is on a disk that is busy. It goes in front of the C library's.
const BUSY: &str = r#"
unsafe extern "C" { fn usleep(microseconds: u32) -> i32; fn fsync(file: i32) -> i32; }
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: i32) -> i32 { unsafe { usleep(300_000); fsync(file) } }
"#;

impl Audited {
    /// The same sidecar with a busy disk.
    async fn start_on_a_busy_disk(more: &str) -> Audited {
        let mut audited = Audited::stage(more, |text| text).await;
        let (source, library) =
            (audited.stage.folder().join("busy.rs"), audited.stage.folder().join("libbusy.so"));
        std::fs::write(&source, BUSY).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(&library).arg(&source);
        assert!(rustc.status().expect("rustc comes with cargo: rustup").success());
        let mut clinch = command();
        clinch.args(["run", "--config"]).arg(audited.stage.config_file());
        clinch.env("STATE_DIRECTORY", audited.stage.folder()).env("LD_PRELOAD", library);
        audited.stage.clinch = Clinch::of(Program::start(&mut clinch)).await;
        audited
    }

    async fn seconds(&self, line: &str) -> f64 {
        let page = plain_get(self.stage.clinch.admin, "/metrics").await.expect("metrics").body;
        page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_the_disk_is_part_of_the_decision() {
    let audited = Audited::start_on_a_busy_disk("sync: always").await;
    let since = Instant::now();
    let answer = audited.stage.ask(&audited.stage.anonymous(), &get("/open/1", &[])).await;
    assert!(status(answer.as_deref()) == Some(200) && since.elapsed() >= Duration::from_millis(300));
    let decided = audited.seconds("clinch_decision_seconds_sum").await;
    assert!(decided >= 0.25, "{decided} seconds, by its own account");
    // One in eight is timed.
    let timed = async || {
        let client = audited.stage.anonymous();
        let request = get("/open/2", &[]);
        futures_util::future::join_all((0..16).map(|_| audited.stage.ask(&client, &request))).await;
        (audited.seconds("clinch_step_seconds_count{step=\"audit\"}").await > 0.0).then_some(())
    };
    eventually("one to be timed", timed).await;
    let waited = audited.seconds("clinch_step_seconds_sum{step=\"audit\"}").await;
    assert!(waited >= 0.05, "{waited} seconds of it waiting");
}
