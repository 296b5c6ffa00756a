//! What an operator relies on: faults are told before anything is bound, a stop loses no request, and the logs
//! can be handed to anyone.

use crate::support::clinch::{Clinch, command, finish};
use crate::support::echo::Echo;
use crate::support::eventually;
use crate::support::pki::Pki;
use crate::support::program::Program;
use crate::support::proof::Proof;
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::temporary::Folder;
use crate::support::wire::{Caller, get, plain_get};
use crate::support::world::{World, config, url, write};
use serde_json::Value;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An issuer that nobody listens for: enough where no token is looked at.
const NO_ISSUER: &str = "https://localhost:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_config_ends_with_64_before_a_port_is_bound() {
    let (pki, folder) = (Pki::new(), Folder::new());
    // The port is taken: had it been bound first, the end would be 1.
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap();
    let text = config(NO_ISSUER, "127.0.0.1:9").replace("127.0.0.1:0\n", &format!("{taken}\n"));
    let text = text.replace("  drain: 10s", "  drain: soon\n  surprise: 1");
    let file = write(&folder, &pki, &text);
    for subcommand in ["run", "check"] {
        let output = finish(command().arg(subcommand).arg("--config").arg(&file)).await;
        let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(64), "{subcommand}: {told}");
        assert!(told.contains("surprise") && told.contains("soon"), "not every fault is told: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_ends_with_1() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let text =
        config(NO_ISSUER, "127.0.0.1:9").replace("address: 127.0.0.1:0\n", &format!("address: {taken}\n"));
    let output = finish(command().args(["run", "--config"]).arg(write(&folder, &pki, &text))).await;
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&taken), "which port is it? {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_requests_in_flight_finish() {
    let (pki, folder, service) = (Pki::new(), Folder::new(), Echo::start().await);
    let text = config(NO_ISSUER, &service.address.to_string()).replace("/healthz", "/healthz/held");
    let mut clinch = Clinch::start_unready(&write(&folder, &pki, &text)).await;
    let caller = Caller::new(clinch.address, &pki, None);
    let in_flight = tokio::spawn(async move { caller.send(&get("/healthz/held", &[])).await });
    service.held().await;

    clinch.program.terminate();
    let address = clinch.address;
    let closed = async || TcpStream::connect(address).await.is_err().then_some(());
    eventually("clinch to stop accepting", closed).await;
    assert!(!clinch.program.has_ended(), "it left a request behind:\n{}", clinch.program.output());
    service.release();
    assert_eq!(in_flight.await.unwrap().status, 200);
    assert_eq!(clinch.program.ended().await.code(), Some(0), "{}", clinch.program.output());
}

/// The log line with this message.
fn message(text: &'static str) -> impl Fn(&str) -> Option<Value> {
    move |line| serde_json::from_str(line).ok().filter(|line: &Value| line["message"] == text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_ends_nothing_and_says_that_it_reloads() {
    let (pki, folder, service) = (Pki::new(), Folder::new(), Echo::start().await);
    let text = config(NO_ISSUER, &service.address.to_string());
    let mut clinch = Clinch::start_unready(&write(&folder, &pki, &text)).await;
    clinch.program.signal("HUP");
    let told = message("the configuration was reloaded");
    let line = clinch.program.hear("the line on SIGHUP", told).await;
    assert_eq!((&line["level"], &line["generation"]), (&"INFO".into(), &2.into()));
    let caller = Caller::new(clinch.address, &pki, None);
    assert_eq!(caller.send(&get("/healthz", &[])).await.status, 200);
    clinch.program.terminate();
    assert_eq!(clinch.program.ended().await.code(), Some(0), "{}", clinch.program.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_until_it_is_ready() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let file = write(&folder, &pki, &config(NO_ISSUER, "127.0.0.1:9"));
    let mut clinch = Clinch::start_unready(&file).await;
    let line = clinch.program.hear("what is missing", message("not ready yet")).await;
    assert_eq!(
        (&line["level"], &line["missing"]),
        (&"WARN".into(), &"the keys of https://localhost:1".into())
    );
    let metrics = plain_get(clinch.admin, "/metrics").await.unwrap().body;
    let none = "clinch_jwks_fetches_total{issuer=\"https://localhost:1\",result=\"ok\"} 0\n";
    assert!(metrics.contains(none) && !metrics.contains("clinch_jwks_age_seconds{"), "{metrics}");

    let mut world = World::start().await;
    let line = world.clinch.program.hear("the line on readiness", message("ready")).await;
    assert!(line["took_ms"].is_u64(), "{line}");
    let late = line["took_ms"].as_u64() >= Some(3000);
    assert!(late || !world.clinch.program.output().contains("not ready yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_backlog_is_one_line_and_labels_are_no_sentences() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let mut text = config(NO_ISSUER, "127.0.0.1:9");
    text.push_str("\nrevocation:\n  feed: { kind: file, path: journal }\n  accept_plain: true\n");
    let file = write(&folder, &pki, &text);
    let stranger = r#"{"id":"1","iss":"https://stranger.example","revoke":{"jti":"t"},"at":1}"#;
    std::fs::write(file.with_file_name("journal"), format!("{stranger}\n").repeat(500) + "garbage\n")
        .unwrap();
    let mut clinch = Clinch::start_unready(&file).await;
    let told = message("the backlog holds revocation events that were rejected");
    let line = clinch.program.hear("the line on the backlog", told).await;
    assert_eq!((&line["level"], &line["rejected"]), (&"WARN".into(), &501.into()));
    assert_eq!(line["reasons"], "not_an_object=1 issuer_unknown=500");
    assert_eq!(clinch.program.output().matches("rejected").count(), 2, "{}", clinch.program.output());
    let metrics = plain_get(clinch.admin, "/metrics").await.unwrap().body;
    let count = "clinch_revocation_rejected_total{reason=\"issuer_unknown\"} 500\n";
    assert!(metrics.contains(count), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_turns_stale_is_told_once_and_its_recovery_too() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let mut text = config(NO_ISSUER, "127.0.0.1:9");
    text.push_str(
        "\nrevocation:\n  feed: { kind: file, path: journal }\n  accept_plain: true\n  max_staleness: 5s\n",
    );
    let file = write(&folder, &pki, &text);
    let mut clinch = Clinch::start_unready(&file).await;
    std::fs::remove_file(file.with_file_name("journal")).unwrap();
    let line = clinch.program.hear("stale", message("the revocation feed is stale")).await;
    assert_eq!((&line["level"], &line["max_staleness_s"]), (&"WARN".into(), &5.into()));
    std::fs::write(file.with_file_name("journal"), "").unwrap();
    let line = clinch.program.hear("recovery", message("the revocation feed is current again")).await;
    assert_eq!(line["level"], "WARN");
    let output = clinch.program.output();
    assert_eq!(output.matches("the revocation feed is stale").count(), 1, "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_the_logs() {
    let mut world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let proof = Proof::new(&key, "GET", &url("/accounts/1"), &token).sign(&key);
    let (bearer, garbled) = (format!("Bearer {token}"), format!("DPoP {token} {token}"));
    let refused = [
        get("/accounts/1", &[("Authorization", &bearer)]),
        get("/accounts/1", &[("Authorization", &garbled), ("DPoP", &proof)]),
        get("/accounts/1", &[("Authorization", &bearer), ("DPoP", &proof)]),
        get(&format!("/accounts/1?access_token={token}"), &[]),
        get(&format!("/accounts/1%00?access_token={token}"), &[]),
    ];
    assert_eq!(world.get_with_proof("/accounts/1", &token, &proof).await.status, 200);
    assert_eq!(world.get_with_proof("/accounts/1", &token, &proof).await.status, 401);
    for request in &refused {
        assert_ne!(world.caller(None).send(request).await.status, 200);
    }
    world.clinch.program.terminate();
    world.clinch.program.ended().await;
    let log = world.clinch.program.output();
    assert!(log.contains("proof_replayed"), "the log is not where this test looks: {log}");
    // Header and claims of a token name people; its signature is what a thief needs. None of them belongs there.
    for part in token.split('.').chain(proof.split('.')) {
        assert!(!log.contains(part), "a part of a token or proof was logged: {part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_found_by_what_its_caller_has() {
    let mut world = World::start().await;
    let (token, key) = world.dpop_token("accounts.read").await;
    let proof = Proof::new(&key, "GET", &url("/accounts/2"), &token).sign(&key);
    let answer = world.get_with_proof("/accounts/1", &token, &proof).await;
    let id = answer.one("clinch-request-id").to_owned();
    let line = |line: &str| serde_json::from_str(line).ok().filter(|line: &Value| line["request"] == *id);
    let line = world.clinch.program.hear("the line on the refusal", line).await;
    assert_eq!(line["reason"], "proof_target");
    assert_eq!(line["rule"], "RFC 9449 section 4.3, check 9: `htu` is another URI.");
    assert_eq!((&line["expected"], &line["found"]), (&url("/accounts/1").into(), &url("/accounts/2").into()));
    let body = &answer.body;
    assert!(!body.contains("/accounts/2"), "the caller learns no more than before: {body}");
    let other = world.get_with_proof("/accounts/1", &token, &proof).await;
    assert_ne!(other.one("clinch-request-id"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faults_of_a_first_day_are_named() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap(); // closed again at once
    let mut clinch =
        Clinch::start_unready(&write(&folder, &pki, &config(NO_ISSUER, &gone.to_string()))).await;
    let caller = Caller::new(clinch.address, &pki, None);

    let elsewhere = "GET /healthz HTTP/1.1\r\nHost: api.example.org\r\nConnection: close\r\n\r\n";
    assert_eq!(caller.send(elsewhere).await.status, 421);
    assert_eq!(caller.send(&get("/healthz", &[])).await.status, 502);
    let mut plain = TcpStream::connect(clinch.address).await.unwrap();
    plain.write_all(elsewhere.as_bytes()).await.unwrap();
    plain.read_to_end(&mut Vec::new()).await.unwrap(); // a TLS alert, and the end

    for sample in [
        r#"clinch_upstream_failures_total{reason="upstream_unreachable"} 1"#,
        r#"clinch_tls_handshake_failures_total{reason="not_tls"} 1"#,
    ] {
        let counted = async || {
            let metrics = plain_get(clinch.admin, "/metrics").await.unwrap().body;
            metrics.contains(sample).then_some(())
        };
        eventually(sample, counted).await;
    }
    clinch.program.terminate();
    clinch.program.ended().await;
    let log = clinch.program.output();
    let line = |reason: &str| log.lines().find(|line| line.contains(reason)).unwrap_or_default().to_owned();
    assert!(line("host_unknown").contains("\"host\":\"api.example.org\""), "{log}");
    let unreachable = line("upstream_unreachable");
    assert!(
        unreachable.contains("\"route\":\"/healthz\"") && unreachable.contains("\"method\":\"GET\""),
        "{log}"
    );
    assert!(line("not_tls").contains("\"peer\""), "{log}");
}

/// `runtime.worker_threads`, and without it the processors there are: where that is one, the main thread does it all.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_threads_serve_as_are_asked_for_or_as_there_are_processors() {
    let mut stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let (plain, all) = (stage.config(), std::fs::read_to_string("/proc/self/status").unwrap());
    let all = all.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let one = all.split(['-', ',']).next().unwrap();
    let asked = |threads: u8| format!("{plain}runtime: {{ worker_threads: {threads} }}\n");
    for (processors, config, alone) in
        [(all, asked(1), true), (one, plain.clone(), true), (one, asked(3), false)]
    {
        stage.configure(&config);
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", processors, env!("CARGO_BIN_EXE_clinch"), "run", "--config"]);
        pinned.arg(stage.config_file()).env("STATE_DIRECTORY", stage.folder());
        stage.clinch = Clinch::of(Program::start(&mut pinned)).await;
        let pid = stage.clinch.program.id();
        let spent = || (ticks(&format!("{pid}/task/{pid}")), ticks(&pid.to_string()));
        let before = spent();
        while spent().1 < before.1 + 20 {
            let answer = stage.ask(&stage.anonymous(), &get("/open/1", &[])).await;
            assert_eq!(status(answer.as_deref()), Some(200));
        }
        let (main, all) = (spent().0 - before.0, spent().1 - before.1);
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
        let expected = if alone { main * 5 > all * 4 } else { main * 5 < all && threads > 3 };
        assert!(expected, "{processors}: {main} of {all} by the main one of {threads} threads: {config}");
    }
}

/// What a process or one of its threads has used, in clock ticks (proc(5): utime and stime).
fn ticks(task: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{task}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}
