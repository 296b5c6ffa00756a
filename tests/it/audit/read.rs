//! What the sidecar wrote, read by the command line: verified, shown and exported, also after a crash and over files.

use super::{Audited, of_kind};
use crate::support::eventually;
use serde_json::Value;
use std::process::{Command, Output};

fn audit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clinch")).arg("audit").args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

impl Audited {
    fn verify(&self, more: &[&str]) -> (Option<i32>, String) {
        let key = self.stage.folder().join("audit.key").display().to_string();
        let files: Vec<String> = self.files().iter().rev().map(|path| path.display().to_string()).collect();
        let files = files.iter().map(String::as_str);
        let arguments: Vec<&str> =
            ["verify", "--key", &key].into_iter().chain(files).chain(more.iter().copied()).collect();
        let output = audit(&arguments);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_verifies_and_can_be_read() {
    let mut audited = Audited::start("rotate_size: 1MiB").await;
    audited.flood(800).await;
    audited.end().await;
    let (code, told) = audited.verify(&["--closed"]);
    assert!(code == Some(0) && audited.files().len() > 1, "{told}");
    audited.stage.restart().await;
    let decisions = |audited: &Audited| of_kind(&audited.records(), "decision").len();
    let before = decisions(&audited);
    audited.flood(8).await;
    // A refusal does not wait for the disk.
    let there = async || (decisions(&audited) == before + 8).then_some(());
    eventually("the refusals to be in the file", there).await;
    audited.stage.clinch.program.kill();
    let (code, told) = audited.verify(&[]);
    assert!(code == Some(0) && told.contains("not yet signed"), "a crash is no fault: {told}");
    assert_eq!(audited.verify(&["--closed"]).0, Some(1), "but no orderly end");
    audited.stage.restart().await;
    audited.end().await;
    let (code, told) = audited.verify(&["--closed"]);
    assert_eq!(code, Some(0), "{told}");

    let records = audited.records();
    let refused = records.iter().rfind(|record| record["verdict"] == "refused").expect("one was refused");
    let (request, config) =
        (refused["request"].as_str().unwrap(), audited.stage.config_file().display().to_string());
    let told = audit(&["tail", "--config", &config, "--request", request]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let told = text(&told.stdout);
    for part in ["route_unknown", "before it", " start ", refused["peer"].as_str().unwrap()] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let files: Vec<String> = audited.files().iter().map(|path| path.display().to_string()).collect();
    for format in ["ocsf", "ecs"] {
        let arguments = ["export", "--format", format].into_iter().chain(files.iter().map(String::as_str));
        let exported = audit(&arguments.collect::<Vec<_>>());
        assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
        let events = text(&exported.stdout);
        assert_eq!(events.lines().count(), records.len());
        assert!(events.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}
