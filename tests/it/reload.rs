//! A configuration that changes under a running sidecar: what takes effect, on whom, and that nobody loses a request.

use crate::support::authority::{Authority, Shown};
use crate::support::load::{Plan, Traffic};
use crate::support::pki::Pki;
use crate::support::proof::ProofKey;
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::wire::{converse, get};
use crate::support::{PATIENCE, eventually};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

const ROUTE: &str = "routes:\n";
const ANOTHER_ROUTE: &str = "routes:\n  - { path: '/later', danger_unprotected: true }\n";

async fn reloads(stage: &Stage, result: &str) -> u64 {
    stage.metric(&format!("clinch_config_reloads_total{{result=\"{result}\"}}")).await
}

/// Waits for one more reload that ended so.
async fn reloaded(stage: &Stage, result: &str, change: impl FnOnce()) {
    let before = reloads(stage, result).await;
    change();
    eventually("a reload", async || (reloads(stage, result).await > before).then_some(())).await;
}

/// A request on a connection that stays open; its status, and its body.
async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> (u16, String, bool) {
    let request = get(path, &[]).replace("Connection: close\r\n", "");
    let answer = converse(stream, request.as_bytes(), false).await.expect("an answer");
    let closes = answer.all("connection").contains(&"close");
    (answer.status, answer.body, closes)
}

/// CF-005, CF-006
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_takes_effect_on_connections_that_are_open() {
    let mut stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
    assert_eq!(ask(&mut stream, "/later").await.0, 403);
    let first = stage.config();

    reloaded(&stage, "applied", || stage.configure(&first.replace(ROUTE, ANOTHER_ROUTE))).await;
    assert_eq!(ask(&mut stream, "/later").await.0, 200, "by the file alone");

    reloaded(&stage, "refused", || stage.configure(&first.replace(ROUTE, "routs:\n"))).await;
    assert_eq!(ask(&mut stream, "/later").await.0, 200, "a bad file changes nothing");
    assert_eq!(stage.metric("clinch_config_pending").await, 1);
    assert_eq!(stage.clinch.ready().await.unwrap().status, 200);
    let told = |line: &str| line.contains("unknown key `routs`").then_some(());
    stage.clinch.program.hear("what is wrong with it", told).await;

    stage.configure(&first);
    reloaded(&stage, "applied", || stage.clinch.program.signal("HUP")).await;
    eventually("the first configuration", async || (ask(&mut stream, "/later").await.0 == 403).then_some(()))
        .await;
    assert_eq!(stage.metric("clinch_config_pending").await, 0);

    let elsewhere =
        first.replace("drain: 20s", "drain: 20s\n  reuse_port: true").replace(ROUTE, ANOTHER_ROUTE);
    reloaded(&stage, "in_part", || stage.configure(&elsewhere)).await;
    assert_eq!(ask(&mut stream, "/later").await.0, 200, "what can be applied is");
    assert_eq!(stage.metric("clinch_config_pending").await, 1);
    let told = |line: &str| line.contains("listen.reuse_port").then_some(());
    stage.clinch.program.hear("which key needs a restart", told).await;
    reloaded(&stage, "in_part", || stage.configure(&elsewhere.replace("/later", "/last"))).await;
    assert_eq!(stage.metric("clinch_config_pending").await, 1, "until the next start, whatever else changes");
    reloaded(&stage, "applied", || stage.configure(&first)).await;
    assert_eq!(stage.metric("clinch_config_pending").await, 0);
}

/// CF-005: the time that connections have is that of now, for those that are open, too.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_has_the_time_that_is_written_now() {
    let listen = "limits: { idle_timeout: 120s }".to_owned();
    let stage = Stage::set(Setting { tls: VERIFIED, listen, ..Setting::default() }).await;
    let mut before = stage.connect(&stage.anonymous()).await.unwrap();
    let mut after = stage.connect(&stage.anonymous()).await.unwrap();
    assert_eq!((ask(&mut before, "/open/1").await.0, ask(&mut after, "/open/1").await.0), (200, 200));
    let shorter = stage.config().replace("idle_timeout: 120s", "idle_timeout: 6s");
    reloaded(&stage, "applied", || stage.configure(&shorter)).await;
    // One has a request more. The other is idle, and moves no more.
    let again = ask(&mut after, "/open/1").await.0;
    for mut stream in [before, after] {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok() && rest.is_empty(), "it is idle for longer than 6 s: {ended:?} {rest:?}");
    }
    assert_eq!(again, 200);
}

/// CF-007, TL-020: an issuer that is taken away is gone for connections that are open, and so are its cached tokens.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_taken_away_is_trusted_no_longer() {
    let stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let key = ProofKey::new();
    let traffic = Traffic::of(plan(&stage, &key), 1);
    traffic.flows(5).await;
    let other = stage
        .config()
        .replace("audiences: [https://api.example.com]", "audiences: [https://else.example.com]");
    reloaded(&stage, "applied", || stage.configure(&other)).await;
    let refused =
        "clinch_requests_total{route=\"/either/{*rest}\",verdict=\"refused\",reason=\"token_audience\"}";
    eventually("refusals", async || (stage.metric(refused).await >= 2).then_some(())).await;
    let tally = traffic.end().await;
    assert!(tally.failed.iter().all(|why| why.contains("token_audience")), "{:?}", tally.failed);
}

/// CF-007, TL-020: who connected with a certificate is judged anew by the authorities and lists of now.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_welcome_no_longer_ends_its_connection() {
    let (root, other) = (Authority::root("clients"), Authority::root("others"));
    let tls = "client_certificate: optional\n    client_ca: [clients.crt]";
    let stage =
        Stage::set(Setting { tls, files: vec![("clients.crt", root.pem())], ..Setting::default() }).await;
    let shown: Shown = root.client();
    let client = shown.by(stage.pki.roots(), &rustls::version::TLS13);
    let mut known = stage.connect(&client).await.unwrap();
    let mut anonymous = stage.connect(&stage.anonymous()).await.unwrap();
    assert_eq!((ask(&mut known, "/open/1").await.0, ask(&mut anonymous, "/open/1").await.0), (200, 200));

    reloaded(&stage, "applied", || stage.write("clients.crt", &(root.pem() + &other.pem()))).await;
    assert_eq!(ask(&mut known, "/open/2").await.0, 200, "the authority is still there");

    reloaded(&stage, "applied", || stage.write("clients.crt", &other.pem())).await;
    let (code, body, closes) = ask(&mut known, "/open/3").await;
    assert!(code == 421 && body.contains("certificate_unwelcome") && closes, "{code} {body} {closes}");
    assert_eq!(ask(&mut anonymous, "/open/3").await.0, 200, "nobody else is concerned");
    assert_eq!(
        status(stage.ask(&client, &get("/open/4", &[])).await.as_deref()),
        None,
        "no handshake either"
    );
}

/// CF-007, TL-020: a fault of the configuration keeps no list of revoked certificates waiting.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_is_out_while_the_configuration_is_at_fault() {
    let root = Authority::root("clients");
    let tls = "client_certificate: optional\n    client_ca: [clients.crt]\n    client_crl: [clients.crl]";
    let files = vec![("clients.crt", root.pem()), ("clients.crl", root.revokes(&[], 2040))];
    let stage = Stage::set(Setting { tls, files, ..Setting::default() }).await;
    let client = root.issue(|params| params.serial_number = Some(rcgen::SerialNumber::from(7_u64)));
    let client = client.by(stage.pki.roots(), &rustls::version::TLS13);
    let sound = stage.config();
    reloaded(&stage, "refused", || stage.configure(&sound.replace(ROUTE, "routs:\n"))).await;
    assert_eq!(status(stage.ask(&client, &get("/open/1", &[])).await.as_deref()), Some(200));

    reloaded(&stage, "renewed", || stage.write("clients.crl", &root.revokes(&[7], 2040))).await;
    assert_eq!(status(stage.ask(&client, &get("/open/2", &[])).await.as_deref()), None, "no handshake");
    assert_eq!(
        stage.metric("clinch_config_pending").await,
        1,
        "what is written is not in force all the same"
    );

    reloaded(&stage, "applied", || stage.configure(&sound)).await;
    assert_eq!(
        status(stage.ask(&client, &get("/open/3", &[])).await.as_deref()),
        None,
        "nor when it is mended"
    );
}

/// CF-006: a Kubernetes volume changes by one link, so that certificate and key are never read from two versions.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_rotations_and_a_hundred_reloads_cost_no_request() {
    let stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let key = ProofKey::new();
    // The clients trust both authorities: the certificate changes from one to the other.
    let other = Pki::new();
    let mut plan = plan(&stage, &key);
    let mut roots = stage.pki.roots();
    roots.roots.extend(other.roots().roots);
    plan.tls = crate::support::stage::client(&rustls::version::TLS13)
        .with_root_certificates(roots)
        .with_no_client_auth();
    let traffic = Traffic::of(plan, 4);
    traffic.flows(20).await;
    let first = stage.config();
    for round in 0..20 {
        let server = if round % 2 == 0 { &other.server } else { &stage.pki.server };
        let pair = [("server.crt", &server.certificate), ("server.key", &server.key)];
        reloaded(&stage, "applied", || stage.swap(&pair, round)).await;
        for change in 0..4 {
            let routes = if change % 2 == 0 { ANOTHER_ROUTE } else { ROUTE };
            stage.configure(&first.replace(ROUTE, routes));
            reloaded(&stage, "applied", || stage.clinch.program.signal("HUP")).await;
        }
        traffic.flows(8).await;
    }
    let tally = traffic.end().await;
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert_eq!(tally.connections, 8, "no connection was closed: {tally:?}");
    assert_eq!(reloads(&stage, "refused").await, 0);
    assert!(stage.metric("clinch_config_generation").await > 100);
    println!("{} requests over 100 reloads, 20 of them with another certificate: none failed", tally.good);
    assert_eq!(tally.challenged, 0, "used proofs are remembered over reloads");
}

fn plan(stage: &Stage, key: &ProofKey) -> Plan {
    Plan {
        address: stage.clinch.address,
        tls: stage.anonymous(),
        token: stage.token(&json!({ "jkt": key.thumbprint() })),
        key: key.clone(),
        path: "/either/1",
        pause: Duration::from_millis(5),
    }
}

/// Whoever is with the service keeps its place, and counts, whatever else is said of the service.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_gives_out_no_place_a_second_time() {
    let listen = "limits: { in_flight_per_key: 50 }".to_owned();
    let mut stage = Stage::set(Setting { tls: VERIFIED, listen, ..Setting::default() }).await;
    let text = stage.config_with_service("SERVICE");
    let of = |settings: &str| text.replace("SERVICE", settings);
    let (two, later, three) = (
        "response_timeout: 30s, in_flight: 2, queue: 0",
        "response_timeout: 31s, in_flight: 2, queue: 0",
        "response_timeout: 31s, in_flight: 3, queue: 0",
    );
    #[allow(clippy::async_yields_async, reason = "the request goes on")]
    let held = async |stage: &mut Stage| {
        let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
        let asked = tokio::spawn(async move { ask(&mut stream, "/open/held").await.0 });
        stage.service.held().await;
        asked
    };
    let refused = async |stage: &Stage| {
        let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
        let (code, body, _) = ask(&mut stream, "/open/1").await;
        assert!(code == 503 && body.contains("upstream_busy"), "{code} {body}");
    };
    // The first of them came when there was no limit.
    reloaded(&stage, "applied", || stage.configure(&of("response_timeout: 30s"))).await;
    let mut there = vec![held(&mut stage).await];
    reloaded(&stage, "applied", || stage.configure(&of(two))).await;
    there.push(held(&mut stage).await);
    refused(&stage).await;
    reloaded(&stage, "applied", || stage.configure(&of(later))).await;
    refused(&stage).await;
    reloaded(&stage, "applied", || stage.configure(&of(three))).await;
    there.push(held(&mut stage).await);
    reloaded(&stage, "applied", || stage.configure(&of(two))).await;
    refused(&stage).await;
    for asked in there {
        stage.service.release();
        assert_eq!(asked.await.unwrap(), 200);
    }
    let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
    assert_eq!(ask(&mut stream, "/open/1").await.0, 200);
}
