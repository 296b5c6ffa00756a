//! Logs that strangers had their hands on, or put words into, and more files than may be open.

use super::*;
use crate::support::temporary::Folder;
use crate::support::tool;

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

/// What the schema of OCSF's own site says of records of every kind, of any method, of text from strangers.
#[test]
fn every_event_is_valid_by_the_schema_of_ocsf() {
    let folder = Folder::new();
    let decision =
        r#""request":"1","peer":"127.0.0.1:4711","verdict":"granted","generation":3,"trace":"4bf92f35""#;
    let known = r#""target":"https://a.example/x","route":"/{*rest}","issuer":"https://as","subject":"s","client":"c""#;
    let hostile =
        r#""method":"\u0000\"}","host":"\u202e","reason":"not_a_request","rule":"r","position":"0:17""#;
    let mut kinds: Vec<(String, String)> = vec![
        ("decision".into(), decision.to_owned()),
        ("decision".into(), format!("{decision},{hostile}")),
        ("something new".into(), hostile.to_owned()),
    ];
    for method in ["GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
        kinds.push(("decision".into(), format!(r#"{decision},"method":"{method}",{known}"#)));
    }
    for verdict in ["refused", "observed", "news"] {
        kinds.push(("decision".into(), decision.replace("granted", verdict)));
    }
    let plain = [
        "start",
        "stop",
        "config",
        "keys",
        "feed",
        "certificate",
        "checkpoint",
        "rotated",
        "lost",
        "unsynced",
        "recovered",
    ];
    for result in ["applied", "refused"] {
        let more =
            |kind: &&str| (kind.to_string(), format!(r#""result":"{result}","version":"1","records":1"#));
        kinds.extend(plain.iter().map(more));
    }
    let line = |(kind, more): &(String, String)| {
        format!(
            r#"{{"seq":1,"time":"2026-11-21T09:00:00.000001Z","kind":"{kind}","replica":"r",{more},"prev":"p","hash":"h"}}"#
        ) + "\n"
    };
    let file = folder.write("records.jsonl", &kinds.iter().map(line).collect::<String>());
    let exported = Command::new(env!("CARGO_BIN_EXE_clinch"))
        .args(["audit", "export", "--format", "ocsf"])
        .arg(file)
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    let (fine, said) = validated(&exported.stdout);
    assert!(fine, "{said}");
    assert_eq!(said.trim(), format!("{} events, 0 faults", kinds.len()));

    let event = text(&exported.stdout).lines().next().unwrap().to_owned();
    for (right, wrong) in [
        (r#""severity_id":1"#, r#""severity_id":"1""#),
        (r#""class_name":"API Activity""#, r#""class_name":"API""#),
        (r#""src_endpoint":{"#, r#""source":{"#),
        (r#""type_uid":600300"#, r#""type_uid":600302"#),
    ] {
        assert!(event.contains(right), "{right} is not in {event}");
        let (fine, said) = validated(event.replace(right, wrong).as_bytes());
        assert!(!fine && said.contains("1 events, "), "{wrong} was found to be in order: {said}");
    }
}

/// Whether all events are, and what is said of them.
fn validated(events: &[u8]) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ocsf/validate.py");
    let folder = Folder::new();
    let file = folder.at("events.jsonl");
    std::fs::write(&file, events).unwrap();
    let input = std::fs::File::open(file).unwrap();
    let output = Command::new(tool("venv/bin/python")).arg(script).stdin(input).output().unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
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
