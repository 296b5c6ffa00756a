//! When others have their hands on the open file.

use super::{Audited, of_kind};
use crate::support::clinch::{command, finish};
use crate::support::eventually;

impl Audited {
    async fn verified(&self) -> (Option<i32>, String) {
        let mut verify = command();
        verify.args(["audit", "verify", "--key"]).arg(self.stage.folder().join("audit.key"));
        let verified = finish(verify.args(self.files())).await;
        (verified.status.code(), String::from_utf8(verified.stdout).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_emptied_while_it_is_written_is_told_and_the_loss_is_named() {
    let mut audited = Audited::start("sync: always").await;
    audited.flood(8).await;
    let open = audited.stage.folder().join("audit.jsonl");
    // Who is refused does not wait for the disk.
    let decisions = || std::fs::read_to_string(&open).unwrap().matches(r#""kind":"decision""#).count();
    eventually("all to be written", async || (decisions() == 8).then_some(())).await;
    std::fs::OpenOptions::new().write(true).open(&open).unwrap().set_len(0).unwrap();
    // Also where nothing is asked for: it looks by itself.
    let seen = async || (audited.stage.metric("clinch_audit_touched_total").await == 1).then_some(());
    eventually("it to be seen", seen).await;
    audited.flood(4).await;
    audited.stage.clinch.program.terminate();
    assert!(audited.stage.clinch.program.ended().await.success());
    let rest = std::fs::read_to_string(&open).unwrap();
    let first: serde_json::Value = serde_json::from_str(rest.lines().next().unwrap()).unwrap();
    assert_eq!((&first["kind"], &first["what"]), (&"touched".into(), &"shortened".into()), "{first}");
    let before = first["seq"].as_u64().unwrap() - 1;
    let log = audited.stage.clinch.program.output();
    assert!(log.contains("others have changed the file of the audit log") && log.contains("ERROR"), "{log}");
    let (code, told) = audited.verified().await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&format!("records 1 to {before} are missing")), "{told}");
    assert_eq!(decisions(), 4, "what came after it is there");
    // The next process sees what is missing, too.
    audited.stage.restart().await;
    assert_eq!(audited.stage.metric("clinch_audit_touched_total").await, 1);
    let log = audited.stage.clinch.program.output();
    assert!(log.contains("what was before is missing"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_while_nothing_runs_is_missed() {
    let mut audited = Audited::start("rotate_size: 1MiB").await;
    audited.flood(800).await;
    audited.end().await;
    let files = audited.files();
    assert!(files.len() > 1, "{files:?}");
    std::fs::remove_file(files.last().unwrap()).unwrap();
    let mut verify = command();
    let verified = finish(verify.args(["audit", "verify"]).args(&files[..files.len() - 1])).await;
    let told = String::from_utf8(verified.stdout).unwrap();
    assert_eq!(verified.status.code(), Some(1), "{told}");
    assert!(told.contains("this file goes on in another, which was not given"), "{told}");
    audited.stage.restart().await;
    assert_eq!(audited.stage.metric("clinch_audit_touched_total").await, 1);
    audited.end().await;
    let records = audited.records();
    assert_eq!(of_kind(&records, "touched")[0]["what"], "no_open_file");
}

/// With one key for all, a log that was brought from another replica is in order: only its records say whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_another_replica_is_remarked_on_when_it_is_gone_on_with() {
    let mut audited = Audited::start("sync: always").await;
    audited.end().await;
    audited.stage.restart().await;
    let warning = "the audit log was written by another replica";
    assert!(!audited.stage.clinch.program.output().contains(warning));
    audited.end().await;
    audited.stage.configure(&audited.stage.config().replace("replica: one", "replica: two"));
    audited.stage.restart().await;
    let log = audited.stage.clinch.program.output();
    assert!(log.contains(warning), "{log}");
    audited.end().await;
    let (_, told) = audited.verified().await;
    assert!(told.contains("written by one") && told.contains("on written by two"), "{told}");
}
