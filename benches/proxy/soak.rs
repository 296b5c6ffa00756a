//! A long time under everything at once: a load of 70 % of what clinch can do, reloads, new certificates, revocations and
//! attacks; what the load notices, and whether memory and descriptors stay where they are.

use crate::attacker::{ATTACKS, FORGED, ONE_CLIENT};
use crate::attacks::{memory, requests_of, text};
use crate::bus::Bus;
use crate::load::connect;
use crate::scene::{Credential, Scene, nice_role, now};
use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_rustls::TlsConnector;

pub(crate) async fn report() {
    let minutes: u64 = std::env::var("MINUTES").ok().map_or(20, |minutes| minutes.parse().expect("MINUTES"));
    let mut bus = Bus::start("nats").await;
    let scene = Rc::new(Scene::with(LIMITS, &bus.config()).await);
    let good = LocalSet::new().run_until(soak(&scene, &mut bus, Duration::from_secs(60 * minutes))).await;
    assert!(good, "the soak found something");
}

async fn soak(scene: &Rc<Scene>, bus: &mut Bus, time: Duration) -> bool {
    let capacity = load(scene, None, CALIBRATION).await;
    let capacity = capacity.statuses.values().sum::<usize>() as f64 / CALIBRATION.as_secs_f64();
    let rate = capacity * 0.7;
    println!(
        "{} min of {rate:.0} DPoP requests/s, 70 % of {capacity:.0}/s, half over h1 and half over h2",
        time.as_secs() / 60
    );
    let until = Instant::now() + time;
    let load = spawn_local({
        let scene = Rc::clone(scene);
        async move { load(&scene, Some(rate), time).await }
    });
    let changes = spawn_local(change(Rc::clone(scene), until));
    let attacks = spawn_local(attack(Rc::clone(scene), until));
    let samples = spawn_local(sample(scene.clinch.process(), until));
    let revoked = revoke(scene, bus, until).await;
    let (load, changes) = (load.await.unwrap(), changes.await.unwrap());
    let (attacks, samples) = (attacks.await.unwrap(), samples.await.unwrap());
    let good = load.print() & samples.print();
    println!("{changes} reloads, every fourth with a new certificate; {attacks} attacks of 20 s each");
    println!(
        "{} revocations published, {} tried: each refused within {} ms",
        revoked.0, revoked.1, revoked.2
    );
    good
}

/// What the load noticed.
#[derive(Default)]
struct Noticed {
    statuses: BTreeMap<u16, usize>,
    broken: Vec<String>,
    micros: Vec<u32>,
}

impl Noticed {
    fn print(mut self) -> bool {
        self.micros.sort_unstable();
        let at =
            |part: f64| f64::from(self.micros[((self.micros.len() - 1) as f64 * part) as usize]) / 1000.0;
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        println!("statuses {:?}, p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms", self.statuses);
        println!("broken off: {}", self.broken.len());
        self.broken.iter().take(10).for_each(|why| println!("  {why}"));
        self.broken.is_empty() && self.statuses.keys().eq([&200])
    }
}

/// At a rate, in an open loop, or as fast as it goes.
async fn load(scene: &Rc<Scene>, rate: Option<f64>, time: Duration) -> Noticed {
    let noticed = Rc::<RefCell<Noticed>>::default();
    let began = Instant::now();
    let workers = (0..CONNECTIONS).map(|number| {
        let (scene, noticed) = (Rc::clone(scene), Rc::clone(&noticed));
        let every = rate.map(|rate| Duration::from_secs_f64(CONNECTIONS as f64 / rate));
        spawn_local(async move {
            let mut sender = None;
            for turn in 0_u32.. {
                let due = every.map_or_else(Instant::now, |every| began + every * turn);
                if due > began + time {
                    return;
                }
                sleep_until(due).await;
                let asked = ask(&scene, &mut sender, number, turn as usize * CONNECTIONS + number).await;
                let mut noticed = noticed.borrow_mut();
                match asked {
                    Ok(status) => *noticed.statuses.entry(status.as_u16()).or_default() += 1,
                    Err(why) => {
                        noticed.broken.push(format!("{:.1} s: {why}", began.elapsed().as_secs_f64()));
                        sender = None;
                    }
                }
                noticed.micros.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    noticed.take()
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

async fn ask(
    scene: &Scene,
    sender: &mut Option<Sender>,
    worker: usize,
    number: usize,
) -> Result<StatusCode, String> {
    let is_http2 = worker.is_multiple_of(2);
    if sender.is_none() {
        *sender = Some(open(scene, is_http2).await?);
    }
    let mut request = scene.request(Credential::Dpop, number);
    let sent = match sender.as_mut().expect("made above") {
        Sender::Http1(sender) => {
            *request.uri_mut() = request.uri().path().parse().unwrap();
            sender.ready().await.map_err(|e| e.to_string())?;
            sender.send_request(request).await
        }
        Sender::Http2(sender) => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(http::header::HOST);
            sender.ready().await.map_err(|e| e.to_string())?;
            sender.send_request(request).await
        }
    };
    let response = sent.map_err(|e| e.to_string())?;
    let status = response.status();
    response.into_body().collect().await.map_err(|e| e.to_string())?;
    Ok(status)
}

async fn open(scene: &Scene, is_http2: bool) -> Result<Sender, String> {
    let mut tls = scene.client_tls(Credential::Dpop);
    tls.alpn_protocols = vec![if is_http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let io = TokioIo::new(connect(&TlsConnector::from(Arc::new(tls)), &scene.clinch).await);
    if is_http2 {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), io).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        return Ok(Sender::Http2(sender));
    }
    let (sender, connection) = http1::handshake(io).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

/// Another configuration every 15 seconds, and every fourth time another certificate, too.
async fn change(scene: Rc<Scene>, until: Instant) -> usize {
    let mut changes = 0;
    while Instant::now() + CHANGE < until {
        sleep(CHANGE).await;
        changes += 1;
        let route = format!("routes:\n  - {{ path: '/soak/{changes}', danger_unprotected: true }}\n");
        if changes % 4 == 0 {
            scene.renew_certificate();
        }
        scene.configure(&scene.config.1.replace("routes:\n", &route));
    }
    changes
}

/// One attack after the other.
async fn attack(scene: Rc<Scene>, until: Instant) -> usize {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (ca, requests) = (folder.join("soak-ca.der"), folder.join("soak-requests"));
    std::fs::write(&ca, scene.ca()).unwrap();
    let mut attacks = 0;
    for attack in ATTACKS.iter().filter(|attack| attack.name != ONE_CLIENT).cycle() {
        if Instant::now() + ATTACK > until {
            break;
        }
        let lines = if attack.name == FORGED { requests_of(&scene, FORGED) } else { String::new() };
        std::fs::write(&requests, lines).unwrap();
        let address = scene.clinch.address.to_string();
        let mut attacker = nice_role("15", &["attacker", attack.name, &address, text(&ca), text(&requests)])
            .spawn()
            .unwrap();
        sleep(ATTACK).await;
        attacker.kill().unwrap();
        attacker.wait().unwrap();
        attacks += 1;
    }
    attacks
}

/// Events that concern nobody all the time, and now and then one that does: how many, how many of these, and how long
/// they took at most, in milliseconds.
async fn revoke(scene: &Rc<Scene>, bus: &mut Bus, until: Instant) -> (usize, usize, u128) {
    let (mut published, mut tried, mut longest) = (0, 0, 0);
    let mut pace = interval(Duration::from_millis(20));
    let tls = TlsConnector::from(Arc::new(scene.client_tls(Credential::Certificate)));
    let refused = Rc::<Cell<u128>>::default();
    while Instant::now() < until {
        pace.tick().await;
        published += 1;
        let concerns = published % 500 == 0;
        let token = if concerns { format!("token-{published}") } else { format!("nobody-{published}") };
        let at = now().as_secs();
        let event = format!(
            r#"{{"id":"{published}","iss":"{}","revoke":{{"jti":"{token}"}},"at":{at},"until":{}}}"#,
            scene.issuer,
            at + 120
        );
        bus.publish(event).await;
        if concerns {
            tried += 1;
            let began = Instant::now();
            let io = TokioIo::new(connect(&tls, &scene.clinch).await);
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            let mut request: Request<Empty<Bytes>> = scene.request_with(&scene.certificate_bound(published));
            *request.uri_mut() = request.uri().path().parse().unwrap();
            while sender.send_request(request.clone()).await.unwrap().status() != StatusCode::UNAUTHORIZED {
                assert!(began.elapsed() < Duration::from_secs(10), "event {published} never came");
                sender.ready().await.unwrap();
            }
            refused.set(refused.get().max(began.elapsed().as_millis()));
            longest = refused.get();
        }
    }
    (published, tried, longest)
}

/// Memory and descriptors over time.
struct Samples(Vec<(f64, f64, usize)>);

async fn sample(process: u32, until: Instant) -> Samples {
    let (began, mut samples) = (Instant::now(), Vec::new());
    while Instant::now() < until {
        sleep(Duration::from_secs(5)).await;
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        samples.push((began.elapsed().as_secs_f64() / 60.0, memory(process, "VmRSS:") as f64, descriptors));
    }
    Samples(samples)
}

impl Samples {
    /// The slope is that of the second half: by then all that is remembered for a minute or two has been forgotten.
    fn print(&self) -> bool {
        let half = &self.0[self.0.len() / 2..];
        let count = half.len() as f64;
        let mean = |of: fn(&(f64, f64, usize)) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (time, memory) = (mean(|s| s.0), mean(|s| s.1));
        let covariance: f64 = half.iter().map(|s| (s.0 - time) * (s.1 - memory)).sum();
        let variance: f64 = half.iter().map(|s| (s.0 - time).powi(2)).sum();
        let slope = covariance / variance;
        let mega = |kib: f64| kib / 1024.0;
        let most = self.0.iter().map(|s| s.1).fold(0.0, f64::max);
        let descriptors = |samples: &[(f64, f64, usize)]| {
            let all = samples.iter().map(|s| s.2);
            (all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
        };
        println!(
            "resident: {:.1} MB after 5 s, at most {:.1}, {:.1} at the end; slope of the second half {slope:+.1} KiB/min",
            mega(self.0[0].1),
            mega(most),
            mega(half[half.len() - 1].1)
        );
        println!(
            "descriptors, least and most: {:?}, second half {:?}",
            descriptors(&self.0),
            descriptors(half)
        );
        // What leaks is there in calm moments, too.
        let least = |quarter: usize| {
            let quarters = self.0.len() / 4;
            descriptors(&self.0[quarter * quarters..(quarter + 1) * quarters]).0
        };
        let leaked = least(3).saturating_sub(least(1));
        println!("descriptors at least, last quarter over second: {leaked}");
        slope * count * 5.0 / 60.0 < memory * 0.05 && leaked <= LEAKED
    }
}

/// Descriptors that may be more: connections come and go while they are counted.
const LEAKED: usize = 4;
const LIMITS: &str = "header_timeout: 5s, idle_timeout: 10s";
const CONNECTIONS: usize = 16;
const CALIBRATION: Duration = Duration::from_secs(10);
const CHANGE: Duration = Duration::from_secs(15);
const ATTACK: Duration = Duration::from_secs(20);
