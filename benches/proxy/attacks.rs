//! What a client that has nothing to do with an attack notices of it: its latency at a fixed rate, calm and under each
//! attack, and what clinch holds in memory.

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

pub(crate) async fn report() {
    let scene = Scene::with(LIMITS, "").await;
    println!(
        "{RATE} DPoP requests/s of others for {} s under each attack; limits: {LIMITS}",
        MEASURED.as_secs()
    );
    println!(
        "| attack | rate | p50 ms | p99 ms | of calm | not served | clinch CPU | attacker CPU | RSS before, peak, after MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    LocalSet::new().run_until(rows(&scene)).await;
}

async fn rows(scene: &Scene) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let ca = folder.join("attacks-ca.der");
    std::fs::write(&ca, scene.ca()).unwrap();
    drop(measure(scene, None).await);
    let calm = measure(scene, None).await;
    calm.print("calm", "", &calm);
    for attack in &ATTACKS {
        let requests = folder.join("attacks-requests");
        std::fs::write(&requests, requests_of(scene, attack.name)).unwrap();
        let address = scene.clinch.address.to_string();
        let role = ["attacker", attack.name, &address, text(&ca), text(&requests)];
        let mut attacker = nice_role("15", &role).spawn().unwrap();
        sleep(WARM_UP).await;
        let (done, began) = (done(&requests), Instant::now());
        let row = measure(scene, Some(&attacker)).await;
        let rate = (self::done(&requests) - done) as f64 / began.elapsed().as_secs_f64();
        attacker.kill().unwrap();
        attacker.wait().unwrap();
        row.print(attack.name, &format!("{rate:.0}/s"), &calm);
        sleep(PAUSE).await;
    }
    measure(scene, None).await.print("calm again", "", &calm);
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
    fn print(&self, name: &str, rate: &str, calm: &Row) {
        let [before, peak, after] = self.memory.map(|kib| kib as f64 / 1024.0);
        println!(
            "| {name} | {rate} | {:.2} | {:.2} | {:.1} | {} | {:.0} % | {:.0} % | {before:.0}, {peak:.0}, {after:.0} |",
            self.at(500),
            self.at(990),
            self.at(990) / calm.at(990),
            self.failed,
            self.clinch,
            self.attacker
        );
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
const MEASURED: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(2);
const LIMITS: &str = "header_timeout: 5s, idle_timeout: 10s, requests_per_key: { per_second: 50 }";
