//! A disk that is slow: whoever waits for it is seen to wait.

use super::Audited;
use crate::support::clinch::{Clinch, command};
use crate::support::program::Program;
use crate::support::stage::status;
use crate::support::wire::{get, plain_get};
use std::process::Command;
use std::sync::Arc;

/// An `fdatasync` that takes a tenth of a second.
const SLOW: &str = "
#include <time.h>
#include <unistd.h>
int fdatasync(int file) {
  struct timespec tenth = { 0, 100000000 };
  nanosleep(&tenth, 0);
  return fsync(file);
}
";

impl Audited {
    async fn start_on_a_slow_disk() -> Audited {
        let mut audited = Audited::stage("sync: always", |text| text).await;
        let (source, library) =
            (audited.stage.folder().join("slow.c"), audited.stage.folder().join("slow.so"));
        std::fs::write(&source, SLOW).unwrap();
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(made.expect("cc is missing: run `make test-tools`").success());
        let mut clinch = command();
        clinch.env("STATE_DIRECTORY", audited.stage.folder()).env("LD_PRELOAD", library);
        clinch.args(["run", "--config"]).arg(audited.stage.config_file());
        audited.stage.clinch = Clinch::of(Program::start(&mut clinch)).await;
        audited
    }

    async fn seconds(&self, series: &str) -> f64 {
        let page = plain_get(self.stage.clinch.admin, "/metrics").await.unwrap().body;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in\n{page}"))
    }
}

/// The objective of latency is about what callers wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_takes_as_long_as_its_caller_waits_for_the_disk() {
    let audited = Arc::new(Audited::start_on_a_slow_disk().await);
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        let audited = Arc::clone(&audited);
        callers.spawn(async move {
            let request = get(&format!("/open/{number}"), &[]);
            let answer = audited.stage.ask(&audited.stage.anonymous(), &request).await;
            assert_eq!(status(answer.as_deref()), Some(200));
        });
    }
    callers.join_all().await;
    let decisions = audited.seconds("clinch_decision_seconds_sum").await;
    assert!(decisions >= 0.09 * f64::from(CALLERS), "{decisions} s for {CALLERS} decisions");
    // One in eight is timed: it would be one run in a million where none was.
    let step = audited.seconds("clinch_step_seconds_sum{step=\"audit\"}").await;
    assert!(step >= 0.09, "{step} s");
}

const CALLERS: u32 = 100;
