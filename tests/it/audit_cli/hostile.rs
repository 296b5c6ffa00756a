//! Logs that strangers had their hands on, or put words into, and more files than may be open.

use super::*;

/// No byte that a terminal would take for a command.
fn is_tame(output: &Output) -> bool {
    let tame = |bytes: &[u8]| text(bytes).chars().all(|c| c == '\n' || !c.is_control());
    tame(&output.stdout) && tame(&output.stderr)
}

#[test]
fn nothing_of_a_file_commands_the_terminal() {
    let mut log = Log::new("terminal");
    let hash = *b"\x1b[2J\x1b]0;owned\x07aaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    log.end = End { sequence: 16, hash };
    let first = log.record("feed", "");
    let path = log.path("evil\u{1b}[31m\u{9b}.jsonl");
    std::fs::write(&path, first).expect("a file");
    for arguments in [
        &["verify", "--partial", &path][..],
        &["verify", "--json", &path],
        &["verify", &format!("{path}x")],
        &["export", "--format", "ecs", &format!("{path}x")],
        &["tail", "--file", &format!("{path}x")],
        &["tail", "--file", &path, "--request", "none"],
        &["verify", "--key", &path, &path],
    ] {
        let output = log.run(arguments);
        assert!(is_tame(&output), "{arguments:?}: {output:?}");
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_start_makes_no_forged_log_good() {
    let mut log = Log::new("restart");
    let signer = log.signer.take();
    log.end = NOTHING;
    let mut forged = vec![log.record("start", "")];
    forged.extend((0..30).map(|_| log.decision("00f067aa0ba902b7", "granted", "evil")));
    log.signer = signer;
    forged.push(log.record("start", r#","unsigned":31"#));
    for kind in ["checkpoint", "stop", "checkpoint"] {
        forged.push(log.record(kind, ""));
    }
    std::fs::remove_file(log.path("audit.000000000001.jsonl")).expect("the file");
    std::fs::write(log.path("audit.jsonl"), forged.concat()).expect("a file");
    let verify = |arguments: &[&str]| {
        let output = log.run(&[&["verify", "--closed", &log.path("audit.jsonl")], arguments].concat());
        (output.status.code(), text(&output.stdout))
    };
    let (code, told) = verify(&["--key", &log.path("sign.pub")]);
    assert!(
        code == Some(1)
            && told.contains("from record 1 on requests were decided by a process that signed nothing"),
        "{told}"
    );
    assert!(told.contains("no record of it is in order"), "{told}");
    assert_eq!(verify(&[]).0, Some(0), "without a key nothing can be said");
}

#[test]
fn no_value_looks_like_another_field() {
    let mut log = Log::new("spoof");
    let line = log.record(
        "decision",
        r#","host":"evil client=bank","method":"GET","verdict":"refused","reason":"host_unknown""#,
    );
    log.change("audit.jsonl", |bytes| bytes.extend_from_slice(&line));
    let told = log.run(&["tail", "--file", &log.path("audit.jsonl"), "-n", "1"]);
    assert_eq!(
        text(&told.stdout),
        "2026-11-21T09:00:13.000000Z refused GET \"evil client=bank\" reason=host_unknown\n"
    );
}

#[test]
fn there_may_be_more_files_than_may_be_open() {
    let mut log = Log::new("many");
    let mut files = vec![log.path("audit.000000000001.jsonl"), log.path("audit.000000000008.jsonl")];
    std::fs::rename(log.path("audit.jsonl"), &files[1]).expect("another name");
    for at in 0..40 {
        files.push(log.path(&format!("audit.{:012}.jsonl", log.end.sequence + 1)));
        let line = log.record(if at == 0 { "start" } else { "feed" }, "");
        std::fs::write(&files[files.len() - 1], line).expect("a file");
    }
    let open = log.path("audit.jsonl");
    std::fs::write(&open, log.record("feed", r#","state":"stale""#)).expect("a file");
    files.push(open.clone());
    let run = |arguments: &[&str]| {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 20; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_clinch"), "audit"])
            .args(arguments)
            .output()
            .expect("the shell runs");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).lines().count()
    };
    assert_eq!(run(&["tail", "--file", &open, "--since", "2026-11-21T09:00:00Z"]), 54);
    assert!(run(&["tail", "--file", &open, "--request", "00f067aa0ba902b7"]) > 5);
    let mut all = vec!["verify"];
    all.extend(files.iter().map(String::as_str));
    assert!(run(&all) > 3);
}

#[test]
fn records_are_exported_as_a_siem_takes_them() {
    let log = Log::new("export");
    let [open, rotated] = log.files();
    let export = |format: &str, files: &[&str]| {
        let output = log.run(&[&["export", "--format", format], files].concat());
        let events =
            text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (output.status.code(), events)
    };
    let (code, events): (_, Vec<Value>) = export("ocsf", &[&rotated, &open]);
    assert_eq!((code, events.len()), (Some(0), 13));
    assert_eq!((&events[3]["class_uid"], &events[0]["class_uid"]), (&6003.into(), &6002.into()));
    log.change("audit.jsonl", |bytes| bytes.splice(0..0, *b"nonsense\n").for_each(drop));
    let (code, events) = export("ecs", &[&open]);
    assert_eq!((code, events.len()), (Some(1), 6), "what is no record is left out and said");
    assert_eq!(events[0]["event"]["outcome"], "failure");
    assert_eq!(export("csv", &[&open]).0, Some(64));
}
