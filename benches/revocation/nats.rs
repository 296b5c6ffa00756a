//! A replica on a real nats-server: how long it takes to catch up, and how long an event takes to count.

use crate::percentile;
use async_nats::jetstream;
use clinch::config::Nats;
use clinch::pop::Timestamp;
use clinch::state::revocation::event::Fact;
use clinch::state::revocation::measured::{ISSUER, Token, follow, refuses};
use clinch::state::revocation::{FeedStatus, Revocations};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Runtime;

const BACKLOG: u64 = 1_000_000;
const EVENTS: u64 = 1_000;
const STREAM: &str = "CLINCH_REVOCATIONS";
const SUBJECT: &str = "clinch.revocations.plain";

pub(crate) fn catch_up() {
    let server = Server::start();
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    // The first replica makes the stream.
    let first = server.replica();
    runtime.block_on(first.ready());
    drop(first);
    runtime.block_on(fill(&server));
    let mut times: Vec<f64> = (0..3)
        .map(|_| {
            let started = Instant::now();
            let replica = server.replica();
            runtime.block_on(replica.ready());
            let took = started.elapsed().as_secs_f64();
            assert_eq!((replica.entries() as u64, replica.status()), (BACKLOG, FeedStatus::Current));
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("catch-up of {BACKLOG} retained events over NATS");
    println!("  ready     median {:.2} s of 3, {:.2} to {:.2} (budget 5)", times[1], times[0], times[2]);
}

async fn fill(server: &Server) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = jetstream::new(client.clone()).get_stream(STREAM).await.unwrap();
    for n in 0..BACKLOG {
        client.publish(SUBJECT, event(n).into()).await.unwrap();
        // Waits for the stream now and then, so that the server never drops any.
        if n % 10_000 == 9_999 {
            while stream.get_info().await.unwrap().state.messages < n + 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

pub(crate) fn propagation() {
    let server = Server::start();
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let replica = server.replica();
    runtime.block_on(replica.ready());
    let client = runtime.block_on(async_nats::connect(server.url())).unwrap();
    let mut times: Vec<u64> = (0..EVENTS).map(|n| propagate(&runtime, &client, &replica, n)).collect();
    times.sort_unstable();
    println!("propagation over NATS, from publish to the first refusal, {EVENTS} events");
    println!(
        "  refused   p50 {} us, p99 {} us (budget 10000), p99.9 {} us, max {} us",
        percentile(&times, 500),
        percentile(&times, 990),
        percentile(&times, 999),
        percentile(&times, 1000),
    );
}

/// Publishes one event and asks until it counts; microseconds.
fn propagate(runtime: &Runtime, client: &async_nats::Client, replica: &Revocations, n: u64) -> u64 {
    let (token, event) = (token(n), event(n));
    assert!(!refuses(replica, &token));
    let started = Instant::now();
    runtime.block_on(client.publish(SUBJECT, event.into())).unwrap();
    while !refuses(replica, &token) {
        assert!(started.elapsed() < Duration::from_secs(10), "event {n} never came");
        // Requests don't ask all the time either: the one core left is for whoever carries the event.
        std::thread::sleep(Duration::from_micros(20));
    }
    started.elapsed().as_micros() as u64
}

fn event(n: u64) -> String {
    let at = Timestamp::from_system(SystemTime::now()).as_secs();
    format!(r#"{{"id":"{n}","iss":"{ISSUER}","revoke":{{"jti":"{}"}},"at":{at}}}"#, value(n))
}

fn token(n: u64) -> Token {
    let issued_at = Timestamp::from_system(SystemTime::now());
    Token { issued_at, facts: vec![(Fact::TokenId, value(n)), (Fact::Subject, "alice".to_owned())] }
}

fn value(n: u64) -> String {
    format!("5e2b9a1c-7d4f-4c1b-8a6e-{n:012x}")
}

/// A nats-server with JetStream in a directory of its own; both go with it.
struct Server {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Server {
    fn start() -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("clinch-bench-{}-{port}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/bin/nats-server");
        let binary = std::env::var("CLINCH_NATS_SERVER").unwrap_or_else(|_| tools.to_owned());
        let child = Command::new(binary)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is needed: `make test-tools` installs it");
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "nats-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Server { child, port, directory }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn replica(&self) -> std::sync::Arc<Revocations> {
        let subject = "clinch.revocations.>".to_owned();
        let nats = Nats { url: self.url(), stream: STREAM.to_owned(), subject, ..Nats::default() };
        follow(nats, 2 * BACKLOG as usize).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
