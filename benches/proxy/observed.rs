//! What being watched costs: nothing exported and nothing kept, beside traces, metrics and an audit log.
//!
//! Three of clinch under the same requests, in one run. The CPU of the exporter's and the audit log's threads is in it.

use crate::account::Series;
use crate::instructions;
use crate::load::{Load, Protocol, side_by_side};
use crate::pki::Files;
use crate::scene::{Core, Credential, Proxy, Scene, own_role};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// How much is looked at.
const LEVELS: [(&str, &str); 2] = [("traces of 1 %", "0.01"), ("traces of all", "1.0")];

/// CPU per request, in rounds.
pub(crate) async fn report() {
    let scene = Scene::start("").await;
    let collector = Proxy::announced(own_role(Core::Load, &["service"]));
    let watched = watched(&scene, &collector, &[]).await;
    println!(
        "CPU per request in us, {ROUNDS} interleaved rounds of {REQUESTS} requests: median (least to most)"
    );
    for credential in [Credential::Dpop, Credential::Certificate] {
        let name = |how: &str| Series::new(&format!("h1 {} {how}", credential.name()));
        let mut off = name("nothing but metrics at /metrics");
        let mut on = LEVELS.map(|(what, _)| name(&format!("audit log, metrics, {what}")));
        for _ in 0..ROUNDS {
            let load = || Load::new(&scene, Protocol::Http1, credential, REQUESTS);
            let proxies = [&scene.clinch, &watched[0], &watched[1]];
            let micros = side_by_side(proxies.map(|proxy| (load(), proxy)).into()).await;
            let series = std::iter::once(&mut off).chain(&mut on);
            series.zip(micros).for_each(|(series, micros)| series.push(micros));
        }
        off.print();
        for series in &on {
            series.print();
            let ratio = series.over(&off, None);
            println!(
                "    over nothing: {:5.3} ({:.3} to {:.3})",
                ratio.median(),
                ratio.least(),
                ratio.most()
            );
        }
    }
}

/// Instructions per request in user space, of all threads and with all cryptography.
pub(crate) async fn count() {
    let tool = instructions::callgrind();
    let scene = Scene::under(&tool).await;
    let collector = Proxy::announced(own_role(Core::Load, &["service"]));
    let watched = watched(&scene, &collector, &tool).await;
    for credential in [Credential::Dpop, Credential::Certificate] {
        let mut of_none = 0;
        for (what, proxy) in
            [("nothing", &scene.clinch), (LEVELS[0].0, &watched[0]), (LEVELS[1].0, &watched[1])]
        {
            let load = Load::new(&scene, Protocol::Http1, credential, instructions::REQUESTS);
            let label = format!("h1 {} {what}", credential.name());
            let file = instructions::measured(load, proxy, &label).await;
            let count = instructions::everything(&file) / instructions::REQUESTS as u64;
            of_none = if of_none == 0 { count } else { of_none };
            println!("  {label:<30} {count:8}   {:5.3} of nothing", count as f64 / of_none as f64);
        }
    }
}

async fn watched(scene: &Scene, collector: &Proxy, tool: &[String]) -> [Proxy; 2] {
    let key = Files::directory().join("audit.pem");
    write_key(&key);
    let mut proxies = Vec::new();
    for (number, (_, sample)) in LEVELS.iter().enumerate() {
        let file = Files::directory().join(format!("audit-{number}.jsonl"));
        let _ = std::fs::remove_file(&file);
        let (key, file, address) = (key.display(), file.display(), collector.address);
        let telemetry = format!(
            "telemetry: {{ otlp: \"http://{address}\", otlp_metrics: 10s, sample: {sample}, log: {{ level: warn }} }}"
        );
        let audit = format!("audit: {{ file: \"{file}\", sign_key_file: \"{key}\" }}");
        let change =
            |text: &str| text.replace("telemetry: { log: { level: warn } }", &telemetry) + &audit + "\n";
        proxies.push(scene.beside(&format!("watched-{number}"), tool, change).await);
    }
    proxies.try_into().unwrap_or_else(|_| unreachable!())
}

fn write_key(path: &Path) {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(key));
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

const ROUNDS: usize = 9;
const REQUESTS: usize = 5000;
