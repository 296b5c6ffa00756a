//! What a client that has nothing to do with an attack notices of it: its latency at a fixed rate, in calm and right after
//! under each attack, and what clinch holds in memory.

use crate::account::cpu_nanos;
use crate::attacker::{ATTACKS, FORGED, ONE_CLIENT};
use crate::load::connect;
use crate::scene::{Credential, Scene, TAKING_TURNS, nice_role};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsConnector;

/// How many, if the environment does not say so.
fn rounds_wanted() -> usize {
    std::env::var("ROUNDS").ok().map_or(5, |rounds| rounds.parse().expect("ROUNDS"))
}

pub(crate) async fn report() {
    let wanted = rounds_wanted();
    let scene = Scene::with(LIMITS, "").await;
    println!(
        "{RATE} DPoP requests/s of others, {wanted} rounds of {} s in calm and {} s under each attack right after; limits: {LIMITS}",
        MEASURED.as_secs(),
        MEASURED.as_secs()
    );
    println!(
        "medians of the rounds; the ratio is that of the p99 under attack to the one in calm right before"
    );
    println!(
        "| attack | rate | p50 ms: calm, attack | p99 ms: calm, attack | p99 ratio (least to most) | not served | clinch CPU: calm, attack | attacker CPU | RSS before, peak, after MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    LocalSet::new().run_until(rounds(&scene, wanted)).await;
}

async fn rounds(scene: &Scene, wanted: usize) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let ca = folder.join("attacks-ca.der");
    std::fs::write(&ca, scene.ca()).unwrap();
    drop(measure(scene, None).await);
    let mut outcomes: Vec<Vec<Outcome>> = ATTACKS.iter().map(|_| Vec::new()).collect();
    for _ in 0..wanted {
        for (attack, outcomes) in ATTACKS.iter().zip(&mut outcomes) {
            outcomes.push(under(scene, attack.name, &folder, &ca).await);
        }
    }
    let bad: Vec<&str> = ATTACKS
        .iter()
        .zip(&outcomes)
        .filter_map(|(attack, outcomes)| (!print(attack.name, outcomes)).then_some(attack.name))
        .collect();
    assert!(bad.is_empty(), "others went without an answer, or clinch took {MOST_MEMORY} MB: {bad:?}");
}

/// One round of one attack.
async fn under(scene: &Scene, name: &str, folder: &Path, ca: &Path) -> Outcome {
    let requests = folder.join("attacks-requests");
    std::fs::write(&requests, requests_of(scene, name)).unwrap();
    let calm = measure(scene, None).await;
    let address = scene.clinch.address.to_string();
    let role = ["attacker", name, &address, text(ca), text(&requests)];
    let mut attacker = nice_role("15", &role).spawn().unwrap();
    sleep(WARM_UP).await;
    let (before, began) = (done(&requests), Instant::now());
    let attacked = measure(scene, Some(&attacker)).await;
    let rate = (done(&requests) - before) as f64 / began.elapsed().as_secs_f64();
    attacker.kill().unwrap();
    attacker.wait().unwrap();
    sleep(PAUSE).await;
    Outcome { calm, attacked, rate }
}

/// What one round showed.
struct Outcome {
    calm: Row,
    attacked: Row,
    rate: f64,
}

/// Whether it did no harm, but for latency: that is for who knows how quiet the machine was to judge.
fn print(name: &str, outcomes: &[Outcome]) -> bool {
    let of = |figure: &dyn Fn(&Outcome) -> f64| {
        let mut figures: Vec<f64> = outcomes.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures
    };
    let median = |figure: &dyn Fn(&Outcome) -> f64| of(figure)[outcomes.len() / 2];
    let ratios = of(&|o| o.attacked.at(990) / o.calm.at(990));
    let failed: usize = outcomes.iter().map(|o| o.calm.failed + o.attacked.failed).sum();
    let memory = |which: usize| median(&|o| o.attacked.memory[which] as f64 / 1024.0);
    println!(
        "| {name} | {:.0}/s | {:.2}, {:.2} | {:.2}, {:.2} | {:.2} ({:.2} to {:.2}) | {failed} | {:.0} %, {:.0} % | {:.0} % | {:.0}, {:.0}, {:.0} |",
        median(&|o| o.rate),
        median(&|o| o.calm.at(500)),
        median(&|o| o.attacked.at(500)),
        median(&|o| o.calm.at(990)),
        median(&|o| o.attacked.at(990)),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
        median(&|o| o.calm.clinch),
        median(&|o| o.attacked.clinch),
        median(&|o| o.attacked.attacker),
        memory(0),
        memory(1),
        memory(2)
    );
    failed == 0 && memory(1) < MOST_MEMORY
}

/// How often the attacker has done it.
fn done(requests: &Path) -> u64 {
    let told = std::fs::read_to_string(requests.with_extension("done")).unwrap_or_default();
    told.parse().unwrap_or_default()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the attacker asks for, where it asks: each request on a line, tabs for its line ends.
pub(crate) fn requests_of(scene: &Scene, name: &str) -> String {
    let count = match name {
        FORGED => 2000,
        // Each proof is good once.
        ONE_CLIENT => 500 * (MEASURED + WARM_UP).as_secs() as usize,
        _ => 0,
    };
    let requests = (0..count).map(|_| {
        let mut request = scene.request_of(TAKING_TURNS);
        if name == FORGED {
            let token = request.headers()[header::AUTHORIZATION].to_str().unwrap();
            let forged = format!("{}AAAA", &token[..token.len() - 4]);
            request.headers_mut().insert(header::AUTHORIZATION, forged.parse().unwrap());
        }
        let fields =
            request.headers().iter().map(|(name, value)| format!("{name}: {}\t", value.to_str().unwrap()));
        let fields: String = fields.collect();
        format!("GET {} HTTP/1.1\t{fields}\t\n", request.uri().path())
    });
    requests.collect()
}

/// One row.
struct Row {
    micros: Vec<u128>,
    failed: usize,
    clinch: f64,
    attacker: f64,
    memory: [u64; 3],
}

impl Row {
    fn at(&self, thousandths: usize) -> f64 {
        self.micros[(self.micros.len() - 1) * thousandths / 1000] as f64 / 1000.0
    }
}

/// An open loop: each request has its time, and what it waits for its turn counts.
async fn measure(scene: &Scene, attacker: Option<&Child>) -> Row {
    let count = RATE * MEASURED.as_secs() as usize;
    let mut requests: Vec<_> = (0..count).map(|number| scene.request(Credential::Dpop, number)).collect();
    let (process, attacker) = (scene.clinch.process(), attacker.map(Child::id));
    let before = memory(process, "VmRSS:");
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
    let cpu = || (cpu_nanos(process), attacker.map_or(0, cpu_nanos));
    let (began, spent) = (Instant::now() + Duration::from_millis(50), cpu());
    let lots = (0..CONNECTIONS).map(|number| {
        let at =
            |turn: usize| began + Duration::from_secs(1) * (turn * CONNECTIONS + number) as u32 / RATE as u32;
        let lot = requests.split_off(requests.len() - count / CONNECTIONS);
        let lot = lot.into_iter().enumerate().map(|(turn, request)| (at(turn), request)).collect::<Vec<_>>();
        (lot, TlsConnector::from(Arc::new(scene.client_tls(Credential::Dpop))))
    });
    let mut lots: Vec<_> = lots.collect();
    let mut workers = Vec::new();
    for (lot, tls) in lots.drain(..) {
        let client = open(scene, &tls).await;
        workers.push(spawn_local(work(client, lot)));
    }
    let (mut micros, mut failed) = (Vec::new(), 0);
    for worker in workers {
        let (times, lost) = worker.await.unwrap();
        micros.extend(times);
        failed += lost;
    }
    let (now, seconds) = (cpu(), began.elapsed().as_nanos() as f64);
    micros.sort_unstable();
    let share = |now: u64, before: u64| (now - before) as f64 / seconds * 100.0;
    let memory = [before, memory(process, "VmHWM:"), memory(process, "VmRSS:")];
    Row { micros, failed, clinch: share(now.0, spent.0), attacker: share(now.1, spent.1), memory }
}

async fn open(scene: &Scene, tls: &TlsConnector) -> SendRequest<Empty<Bytes>> {
    let (client, connection) = handshake(TokioIo::new(connect(tls, &scene.clinch).await)).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn work(
    mut client: SendRequest<Empty<Bytes>>,
    lot: Vec<(Instant, Request<Empty<Bytes>>)>,
) -> (Vec<u128>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    for (at, mut request) in lot {
        *request.uri_mut() = request.uri().path().parse().unwrap();
        sleep_until(at).await;
        client.ready().await.unwrap();
        let response = client.send_request(request).await.unwrap();
        if response.status() != StatusCode::OK {
            failed += 1;
        }
        response.into_body().collect().await.unwrap();
        times.push(at.elapsed().as_micros());
    }
    (times, failed)
}

/// Kibibytes (proc(5)).
pub(crate) fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const RATE: usize = 200;
const CONNECTIONS: usize = 8;
const MEASURED: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(1);
/// MB that clinch may hold while it is attacked.
const MOST_MEMORY: f64 = 64.0;
const LIMITS: &str = "header_timeout: 5s, idle_timeout: 10s, requests_per_key: { per_second: 50 }";
