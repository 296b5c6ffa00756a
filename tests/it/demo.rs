//! `clinch demo` as a newcomer meets it: the shipped binary, its verdicts, its exit code, its command lines.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

fn clinch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinch"));
    command.arg("demo").stdin(Stdio::null());
    command
}

fn played(arguments: &[&str]) -> Output {
    clinch().args(arguments).output().expect("the binary runs")
}

fn document(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON document; stderr: {error}"))
}

/// What each step came to, as the document has it.
fn verdicts(document: &Value) -> Vec<String> {
    let steps = document["steps"].as_array().expect("steps");
    let seen = |step: &Value| {
        let end = match step["seen"]["subject"].as_str() {
            Some(subject) => format!("as {subject}"),
            None => step["seen"]["reason"].as_str().unwrap_or("?").to_owned(),
        };
        format!("{} {end}", step["seen"]["status"])
    };
    steps.iter().map(seen).collect()
}

#[test]
fn every_verdict_is_the_right_one_and_it_ends_with_0() {
    let output = played(&["--json"]);
    let document = document(&output);
    let expected = [
        "200 as alice",
        "401 token_bound_as_bearer",
        "401 key_mismatch",
        "401 proof_replayed",
        "401 proof_target",
        "200 as payroll-job",
        "401 certificate_missing",
        "200 as alice",
        "403 scope_insufficient",
        "401 token_revoked",
    ];
    assert_eq!(verdicts(&document), expected);
    assert!(document["steps"].as_array().expect("steps").iter().all(|step| step["ok"] == true));
    assert!(document["steps"][9]["delay_ms"].as_f64().expect("a measured delay") > 0.0);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn each_verdict_can_be_wrong_and_then_it_ends_with_1() {
    for step in 1..=10 {
        let output = played(&["--json", "--sabotage", &step.to_string()]);
        let document = document(&output);
        let wrong = document["steps"].as_array().expect("steps").iter().filter(|step| step["ok"] == false);
        let wrong: Vec<u64> = wrong.filter_map(|step| step["step"].as_u64()).collect();
        // If step 1 was refused, step 4 has nothing to replay.
        let expected = if step == 1 { vec![1, 4] } else { vec![step] };
        assert_eq!(wrong, expected, "{document:#}");
        assert_eq!(document["ok"], false);
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn what_is_piped_has_no_colour_and_no_whole_token() {
    for arguments in [&[][..], &["--json"]] {
        let output = played(arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!text.contains('\u{1b}'), "{text}");
        let secret = text.split(|c: char| !c.is_ascii_graphic()).find(|word| word.matches("eyJ").count() > 1);
        assert_eq!(secret, None);
        assert!(text.contains("DPoP eyJ…"), "{text}");
        let wide = text.lines().find(|line| line.chars().count() > 80 && !arguments.contains(&"--json"));
        assert_eq!(wide, None);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_reason_to_complain() {
    let mut demo = clinch().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    drop(demo.stdout.take());
    let output = demo.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), ""));
}

#[test]
fn a_step_that_is_none_is_wrong_usage() {
    assert_eq!(played(&["--sabotage", "11"]).status.code(), Some(64));
}

#[test]
fn while_it_stays_its_lines_work_as_they_are_and_nothing_is_left_behind() {
    let mut demo =
        Staying(clinch().args(["--stay", "--json"]).stdout(Stdio::piped()).spawn().expect("it runs"));
    let document = demo.document();
    let lines: Vec<&str> = document["try"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(|line| line["command"].as_str())
        .collect();
    let [caller, bare, thief, machine, uncertified, revoke, watch] = lines[..] else { panic!("{lines:#?}") };

    let caller_sees = || shell(caller);
    assert!(caller_sees().contains("clinch-subject"), "{}", caller_sees());
    assert!(shell(bare).contains("token_bound_as_bearer"));
    assert!(shell(thief).contains("key_mismatch"));
    assert!(shell(machine).contains("payroll-job"));
    assert!(shell(uncertified).contains("certificate_missing"));
    let metrics = shell(&watch.replace("less", "cat"));
    assert!(metrics.contains("200") && metrics.contains("# EOF"), "{metrics}");
    shell(revoke);
    let revoked = (0..200).any(|_| caller_sees().contains("token_revoked"));
    assert!(revoked, "still: {}", caller_sees());

    let directory =
        caller.split("--cacert ").nth(1).and_then(|rest| rest.split("/ca.crt").next()).expect("a path");
    assert!(std::path::Path::new(directory).exists());
    assert_eq!(demo.stop(), Some(0));
    assert!(!std::path::Path::new(directory).exists());
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn an_interrupted_demo_says_so_and_ends_with_1() {
    // The whole story takes some 20 ms: now and then it is told before the signal arrives.
    let interrupted = (0..50).map(|_| interrupt()).find(|output| output.status.code() != Some(0));
    let output = interrupted.expect("a demo that hears the signal in time");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "clinch demo: interrupted\n");
}

fn interrupt() -> Output {
    let mut demo = clinch().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut heard = BufReader::new(demo.stdout.take().expect("a pipe"));
    // Its first line: from then on it listens to signals.
    while heard.read_line(&mut String::new()).expect("UTF-8") == 1 {}
    let asked = Command::new("kill").args(["-s", "INT", &demo.id().to_string()]).status().expect("kill");
    assert!(asked.success());
    std::io::copy(&mut heard, &mut std::io::sink()).expect("it can be read");
    demo.wait_with_output().expect("it ends")
}

/// A demo that stays; killed if the test fails.
struct Staying(Child);

impl Staying {
    /// The document, read up to its last line, because the demo goes on running.
    fn document(&mut self) -> Value {
        let mut text = String::new();
        for line in BufReader::new(self.0.stdout.take().expect("a pipe")).lines() {
            let line = line.expect("UTF-8");
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON document: {text}"))
    }

    /// Asks it to end, and waits for it.
    fn stop(&mut self) -> Option<i32> {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill");
        assert!(asked.success());
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
