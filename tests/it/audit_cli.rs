//! `clinch audit` as a shell uses it, on files that were sealed as clinch seals them.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clinch::state::audit::chain::{End, NOTHING};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

mod documents;
mod hostile;

/// A directory of this test's own with a log in it, removed when dropped.
struct Log {
    directory: PathBuf,
    end: End,
    signer: Option<Ed25519KeyPair>,
}

impl Log {
    /// Two files: one rotated, one open. 13 records.
    fn new(name: &str) -> Log {
        let directory = std::env::temp_dir().join(format!("clinch-audit-{}-{name}", std::process::id()));
        std::fs::create_dir(&directory).expect("a new directory");
        let mut log = Log { directory, end: NOTHING, signer: None };
        let key = log.run(&["key", "--new-key", &log.path("sign.pem")]);
        assert_eq!(key.status.code(), Some(0), "{}", text(&key.stderr));
        std::fs::write(log.path("sign.pub"), &key.stdout).expect("a file");
        let pem = std::fs::read_to_string(log.path("sign.pem")).expect("the key");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair =
            Ed25519KeyPair::from_pkcs8(&STANDARD.decode(body).expect("base64")).expect("an Ed25519 key");
        log.signer = Some(pair);
        let rotated = [
            log.record("start", r#","version":"0.1.0","generation":1,"log":"L1""#),
            log.record("feed", r#","state":"current""#),
            log.record("config", r#","generation":2,"result":"applied""#),
            log.decision("00f067aa0ba902b7", "granted", "app"),
            log.decision("00f067aa0ba902b8", "refused", "\\u001b[31mevil\\u202e"),
            log.record("rotated", r#","next":"audit.jsonl""#),
            log.record("checkpoint", r#","records":7"#),
        ];
        let open = [
            log.decision("00f067aa0ba902b9", "refused", "app"),
            log.decision("00f067aa0ba902ba", "granted", "app"),
            log.decision("00f067aa0ba902bb", "granted", "other"),
            log.decision("00f067aa0ba902bc", "granted", "app"),
            log.record("stop", ""),
            log.record("checkpoint", r#","records":13"#),
        ];
        std::fs::write(log.path("audit.000000000001.jsonl"), rotated.concat()).expect("a file");
        std::fs::write(log.path("audit.jsonl"), open.concat()).expect("a file");
        log
    }

    fn record(&mut self, kind: &str, members: &str) -> Vec<u8> {
        let time = format!("09:00:{:02}", self.end.sequence);
        self.record_of("r1", &time, kind, members)
    }

    fn record_of(&mut self, replica: &str, time: &str, kind: &str, members: &str) -> Vec<u8> {
        let mut line = Vec::new();
        self.end.begin(&mut line);
        let time = format!("2026-11-21T{time}.000000Z");
        write!(line, r#","time":"{time}","kind":"{kind}","replica":"{replica}"{members}"#).expect("memory");
        let signer = self.signer.as_ref().filter(|_| kind == "checkpoint");
        let sign = |text: &[u8]| signer.expect("a key").sign(text).as_ref().try_into().expect("64 bytes");
        self.end.seal(&mut line, 0, if signer.is_some() { Some(&sign) } else { None });
        line
    }

    fn decision(&mut self, request: &str, verdict: &str, client: &str) -> Vec<u8> {
        let members = format!(
            r#","request":"{request}","peer":"10.0.0.1:4711","method":"GET","target":"https://api.example.com/accounts/7","route":"/accounts/{{*rest}}","scheme":"DPoP","client":"{client}","verdict":"{verdict}","reason":"proof_url_mismatch","rule":"RFC 9449 section 4.3, check 9","expected":"https://api.example.com/accounts/7","found":"https://api.example.com/","trace":"4bf92f3577b34da6a3ce929d0e0e4736","generation":2"#
        );
        self.record("decision", &members)
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Both files, the later first.
    fn files(&self) -> [String; 2] {
        [self.path("audit.jsonl"), self.path("audit.000000000001.jsonl")]
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_clinch"))
            .arg("audit")
            .args(arguments)
            .output()
            .expect("the binary runs")
    }

    /// `clinch audit verify` on both files: exit code and standard output.
    fn verify(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let [open, rotated] = self.files();
        let output = self.run(&[&["verify", &open, &rotated], arguments].concat());
        (output.status.code(), text(&output.stdout))
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path(name)).expect("the file");
        change(&mut bytes);
        std::fs::write(self.path(name), bytes).expect("the file");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_log_in_order_verifies_with_either_half_of_the_key() {
    let log = Log::new("fine");
    let anchor = format!("13:{}", text(&log.end.hash));
    for key in ["sign.pub", "sign.pem"] {
        let (code, told) = log.verify(&["--key", &log.path(key), "--closed", "--anchor", &anchor]);
        assert_eq!(code, Some(0), "{told}");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "log L1: 2 files",
                "  records 1 to 13, 2026-11-21T09:00:00.000000Z to 2026-11-21T09:00:12.000000Z",
                "  signed up to record 13",
                "  written by r1",
                "  closed: it ends with a stop and a checkpoint; whether more came after them can't be told from it",
                &format!("  last in order: {anchor}"),
                "in order",
            ]
        );
    }
    let (code, told) = log.verify(&[]);
    assert!(code == Some(0) && told.contains("signatures were not checked: no --key"), "{told}");
}

#[test]
fn the_first_bad_record_is_named() {
    let log = Log::new("bad");
    log.change("audit.jsonl", |bytes| {
        let at = bytes.windows(7).position(|part| part == b"granted").expect("it is there");
        bytes[at..at + 7].copy_from_slice(b"refused");
    });
    let (code, told) = log.verify(&[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("audit.jsonl, line 2: record 9 was changed"), "{told}");
    assert!(told.ends_with("NOT in order\n"), "{told}");
    let (code, told) = log.verify(&["--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let fault = &told["logs"][0]["fault"];
    assert_eq!((code, &told["fine"], &told["signatures_checked"]), (Some(1), &false.into(), &false.into()));
    assert_eq!((&fault["line"], &fault["from"], &fault["to"]), (&2.into(), &9.into(), &9.into()));
    assert_eq!(fault["what"], "record 9 was changed");
}

#[test]
fn what_is_cut_off_is_seen_against_an_anchor_or_a_closed_end() {
    let log = Log::new("cut");
    log.change("audit.jsonl", |bytes| {
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("a line");
        bytes.truncate(end + 1);
    });
    let anchor = format!("13:{}", text(&log.end.hash));
    let key = log.path("sign.pub");
    let (code, told) = log.verify(&["--key", &key]);
    assert!(code == Some(0) && told.contains("signed up to record 7; 1 record is not yet signed"), "{told}");
    assert!(
        told.contains("open: whether it was cut off after the last record can't be told from it"),
        "{told}"
    );
    let (code, told) = log.verify(&["--closed"]);
    assert!(code == Some(1) && told.contains("the log does not end in order"), "{told}");
    let (code, told) = log.verify(&["--anchor", &anchor]);
    assert!(code == Some(1) && told.contains("the log was cut off before record 9"), "{told}");
    log.change("audit.jsonl", |bytes| bytes.truncate(100));
    let (code, told) = log.verify(&[]);
    assert!(code == Some(0) && told.contains("incomplete: 100 bytes of record 8 are there"), "{told}");
}

#[test]
fn a_wrong_command_line_is_told_from_a_bad_log() {
    let log = Log::new("usage");
    let code = |arguments: &[&str]| log.run(arguments).status.code();
    let open = log.path("audit.jsonl");
    assert_eq!(code(&["verify"]), Some(64));
    assert_eq!(code(&["verify", &open, "--anchor", "13:short"]), Some(64));
    assert_eq!(code(&["verify", &open, "--key", &open]), Some(64), "that is no key");
    assert_eq!(code(&["verify", &log.path("nothing.jsonl")]), Some(1));
    assert_eq!(code(&["verify", &open]), Some(1), "it begins at record 8");
    assert_eq!(code(&["verify", &open, "--partial"]), Some(0));
    let again = log.run(&["key", "--new-key", &log.path("sign.pem")]);
    assert_eq!((again.status.code(), again.stdout.len()), (Some(64), 0), "no key is written over");
    let mode = std::fs::metadata(log.path("sign.pem")).expect("the key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = log.run(&["key", "--key", &log.path("sign.pem")]);
    assert_eq!(public.stdout, std::fs::read(log.path("sign.pub")).expect("the key"));
}

#[test]
fn the_last_records_are_readable_and_filtered() {
    let log = Log::new("tail");
    let [open, _] = log.files();
    let tail = |arguments: &[&str]| {
        let output = log.run(&[&["tail", "--file", &open], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(!output.stdout.contains(&0x1b), "colour, or worse, in a pipe");
        text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tail(&[]).len(), 6, "without --since the open file only");
    assert_eq!(
        tail(&["--verdict", "refused"]),
        ["2026-11-21T09:00:07.000000Z refused GET https://api.example.com/accounts/7 client=app \
          reason=proof_url_mismatch request=00f067aa0ba902b9"]
    );
    assert_eq!(tail(&["-n", "1", "--client", "app"]).len(), 1);
    let evil = tail(&["--since", "2026-11-21T09:00:01Z", "--verdict", "refused"]);
    assert_eq!(evil.len(), 2);
    assert!(evil[0].contains(r"client=\u{1b}[31mevil\u{202e}"), "{}", evil[0]);
    let json = tail(&["--json", "-n", "2"]);
    assert!(json.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{json:?}");
    assert_eq!(tail(&["--since", "2026-11-21T09:00:01Z"]).len(), 12);
}

#[test]
fn one_request_is_told_with_what_was_before_it() {
    let log = Log::new("request");
    let [open, rotated] = log.files();
    let told = log.run(&["tail", "--file", &open, "--request", "00f067aa0ba902b9"]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let told = text(&told.stdout);
    for part in [
        "request 00f067aa0ba902b9  refused",
        "  asked      GET https://api.example.com/accounts/7",
        "  rule       RFC 9449 section 4.3, check 9",
        "  expected   https://api.example.com/accounts/7",
        "  found      https://api.example.com/",
        "  trace      4bf92f3577b34da6a3ce929d0e0e4736",
        "  by         configuration generation 2 of r1",
        "  2026-11-21T09:00:01.000000Z feed state=current",
        "  2026-11-21T09:00:02.000000Z config generation=2 result=applied",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
    let older = log.run(&["tail", "--file", &open, "--request", "00f067aa0ba902b7"]);
    assert!(text(&older.stdout).contains(&format!("4 in {rotated}")), "{}", text(&older.stdout));
    assert_eq!(log.run(&["tail", "--file", &open, "--request", "00f067aa0ba90000"]).status.code(), Some(1));
}

/// Killed when dropped.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn records_are_shown_as_they_come_and_over_a_rotation() {
    let mut log = Log::new("follow");
    let [open, _] = log.files();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinch"));
    command.args(["audit", "tail", "-f", "-n", "1", "--json", "--file", &open]).stdout(Stdio::piped());
    let mut following = Following(command.spawn().expect("the binary runs"));
    let mut lines = BufReader::new(following.0.stdout.take().expect("a pipe")).lines();
    let mut next = || {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str::<Value>(&line).expect("JSON")["seq"].as_u64().expect("a number")
    };
    assert_eq!(next(), 13);
    let append = |text: &[u8]| {
        let mut file = std::fs::File::options().create(true).append(true).open(&open).expect("the file");
        file.write_all(text).expect("the file");
    };
    let record = log.record("feed", r#","state":"stale""#);
    append(&record[..50]);
    append(&record[50..]);
    assert_eq!(next(), 14);
    std::fs::rename(&open, log.path("audit.000000000008.jsonl")).expect("a new name");
    append(&log.record("feed", r#","state":"current""#));
    assert_eq!(next(), 15);
}
