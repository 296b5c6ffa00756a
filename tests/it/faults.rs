//! Faults around a running sidecar, of real processes: a service that is killed or stands still, a clock that jumps. Each
//! ends in a clear answer, and nothing passes unchecked meanwhile.

use crate::support::clinch::{Clinch, command};
use crate::support::front::Front;
use crate::support::program::Program;
use crate::support::proof::{Proof, now};
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::wire::{Answer, Caller, H2, get, plain_get, rest};
use crate::support::world::url;
use crate::support::{PATIENCE, eventually, tool};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// A service in a process of its own, which names each path that it is asked for.
struct Service {
    address: SocketAddr,
    program: Program,
}

/// Answers whose second half never comes.
const HALVES: [&str; 2] = ["/open/length", "/open/chunked"];
const SERVICE: &str = r"
const half = 'x'.repeat(500);
const halves = {
  '/open/length': `Content-Length: 1000\r\n\r\n${half}`,
  '/open/chunked': `Transfer-Encoding: chunked\r\n\r\n1f4\r\n${half}\r\n`,
};
const server = require('net').createServer((socket) => socket.on('error', () => {}).on('data', (head) => {
  const path = String(head).split(' ')[1];
  console.log(`asked for ${path}`);
  socket.write(`HTTP/1.1 200 OK\r\n${halves[path] ?? 'Content-Length: 4\r\n\r\ngood'}`);
}));
const [, host, port] = process.argv;
server.listen(Number(port), host, () => console.log(`at ${host}:${server.address().port}`));
";
/// Nobody else's address, so that the port is still free after the service was killed.
const SERVICE_HOST: &str = "127.0.0.9";

impl Service {
    async fn start(port: u16) -> Service {
        let mut node = Command::new(tool("bin/node"));
        let mut program = Program::start(node.args(["-e", SERVICE, SERVICE_HOST, &port.to_string()]));
        let listening = |line: &str| line.strip_prefix("at ")?.parse().ok();
        let address = program.hear("the service to listen", listening).await;
        Service { address, program }
    }

    /// Stops it where it stands (SIGSTOP): the kernel still takes connections for it.
    async fn stop(&self) {
        self.program.signal("STOP");
        let stat = format!("/proc/{}/stat", self.program.id());
        let stopped = async || std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(());
        eventually("the service to stand still", stopped).await;
    }

    fn saw_nothing_unchecked(&self) {
        assert!(!self.program.output().contains("/either"), "{}", self.program.output());
    }
}

/// Clients of both versions.
#[derive(Clone)]
struct Clients {
    one: Caller,
    two: H2,
}

impl Clients {
    async fn are_told(&self, path: &str, status: u16, what: &str) {
        let request = get(path, &[]);
        let (one, two) = tokio::join!(self.one.send(&request), async {
            let response = begin(&self.two, path).await;
            let status = response.status().as_u16();
            let body = timeout(PATIENCE, response.collect()).await.expect("its end in time").unwrap();
            (status, String::from_utf8_lossy(&body.to_bytes()).into_owned())
        });
        let told = [(one.status, one.body), two];
        assert!(told.iter().all(|(s, body)| *s == status && body.contains(what)), "{path}: {told:?}");
    }
}

async fn begin(client: &H2, path: &str) -> Response<Incoming> {
    let request = Request::get(url(path)).body(Empty::<Bytes>::new()).unwrap();
    timeout(PATIENCE, client.clone().send_request(request)).await.expect("an answer in time").unwrap()
}

/// clinch before this service, which has eight seconds to answer, and its clients.
async fn before(service: &Service) -> (Stage, Clients) {
    let behind = Some(service.address);
    let mut stage = Stage::set(Setting { tls: VERIFIED, service: behind, ..Setting::default() }).await;
    stage.configure(&stage.config_with_service("response_timeout: 8s"));
    stage.restart().await;
    let one = Caller::new(stage.clinch.address, &stage.pki, None);
    let two = one.connect_h2().await;
    (stage, Clients { one, two })
}

/// The answer that has begun breaks off for everybody; what comes next is told so, and served when the service is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_in_the_middle_of_an_answer_breaks_it_for_the_client() {
    let mut service = Service::start(0).await;
    let (_stage, clients) = before(&service).await;
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for path in HALVES {
        let (mut stream, mut seen) = (clients.one.connect().await, Vec::new());
        let request = get(path, &[]).replace("Connection: close\r\n", "");
        stream.write_all(request.as_bytes()).await.unwrap();
        while !seen.ends_with(b"xxx") && !seen.ends_with(b"xxx\r\n") {
            let read = timeout(PATIENCE, stream.read_buf(&mut seen)).await.expect("half in time");
            assert_ne!(read.unwrap(), 0, "{path} ends early");
        }
        ones.push((path, stream, seen));
        let (mut response, mut half) = (begin(&clients.two, path).await, 0);
        while half < 500 {
            let frame = timeout(PATIENCE, response.frame()).await.expect("half in time");
            half += frame.unwrap().unwrap().into_data().unwrap().len();
        }
        twos.push((path, response));
    }
    service.program.kill();
    for (path, mut stream, mut seen) in ones {
        seen.extend(rest(&mut stream).await.expect("the end of the connection"));
        let text = String::from_utf8(seen).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {text}");
        assert!(body.len() < 1000 && !body.ends_with("0\r\n\r\n"), "{path} looks whole: {text}");
    }
    for (path, mut response) in twos {
        let end = timeout(PATIENCE, response.frame()).await.expect("the end of the stream");
        let error = end.unwrap_or_else(|| panic!("{path} looks whole")).unwrap_err();
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        let reset =
            cause.is_some_and(|cause| cause.is_reset() && cause.reason() != Some(h2::Reason::NO_ERROR));
        assert!(reset, "{path}: {error:?}");
    }
    clients.are_told("/open/1", 502, "upstream_unreachable").await;
    clients.are_told("/either/1", 401, "").await;
    let service = Service::start(service.address.port()).await;
    clients.are_told("/open/1", 200, "good").await;
    service.saw_nothing_unchecked();
}

/// DS-017: a service that stands still is waited for as long as the configuration says, by those who need it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stands_still_costs_its_callers_the_timeout_and_nobody_else() {
    let service = Service::start(0).await;
    let (stage, clients) = before(&service).await;
    clients.are_told("/open/1", 200, "good").await;
    service.stop().await;
    let (callers, began) = (clients.clone(), Instant::now());
    let waiting = tokio::spawn(async move {
        join_all((0..8).map(|_| callers.are_told("/open/1", 504, "upstream_timeout"))).await;
        began.elapsed()
    });
    for _ in 0..3 {
        clients.are_told("/either/1", 401, "").await;
        assert_eq!(plain_get(stage.clinch.admin, "/live").await.unwrap().status, 200);
    }
    assert!(!waiting.is_finished(), "who is refused waits for nobody");
    let took = waiting.await.unwrap();
    assert!((8..20).contains(&took.as_secs()), "{took:?}");
    service.program.signal("CONT");
    clients.are_told("/open/1", 200, "good").await;
    service.saw_nothing_unchecked();
}

/// A sidecar whose wall clock is the machine's, and so many seconds: its monotonic clock goes on as it was.
struct Clock {
    front: Front,
    token: String,
}

impl Clock {
    async fn start() -> Clock {
        let listen = "  public_origins: ['https://api.example.com']";
        let mut front = Front::start(listen, "  - { path: '/{*rest}', proof: [dpop] }").await;
        front.clinch.program.terminate();
        assert!(front.clinch.program.ended().await.success(), "{}", front.clinch.program.output());
        let config = std::fs::read_to_string(&front.config).unwrap();
        let config = config.replace("ca: ca.crt }", "ca: ca.crt, max_token_lifetime: 4h }");
        std::fs::write(&front.config, config).unwrap();
        let token = front.token(&json!({ "iat": now() - 5400, "exp": now() + 5400 }));
        let mut clock = Clock { front, token };
        clock.step(0);
        let (mut clinch, folder) = (command(), clock.front.config.parent().unwrap());
        clinch.env("STATE_DIRECTORY", folder).env("LD_PRELOAD", tool("libfaketime.so"));
        clinch.env("FAKETIME_TIMESTAMP_FILE", folder.join("clock")).env("FAKETIME_NO_CACHE", "1");
        clinch.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").args(["run", "--config"]).arg(&clock.front.config);
        clock.front.clinch = Clinch::of(Program::start(&mut clinch)).await;
        clock
    }

    /// In one move: whoever reads the file meanwhile reads all of it.
    fn step(&self, seconds: i64) {
        let (new, file) =
            (self.front.config.with_file_name("new"), self.front.config.with_file_name("clock"));
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// A proof by a clock that is so many seconds off.
    fn proof(&self, seconds: i64) -> Proof {
        let iat = now().checked_add_signed(seconds).unwrap();
        Proof::new(&self.front.client, "GET", &url("/1"), &self.token).claim("iat", iat)
    }

    async fn show(&self, proof: &str) -> Answer {
        let authorization = format!("DPoP {}", self.token);
        self.front.ask("GET", "/1", &[("Authorization", &authorization), ("DPoP", proof)]).await
    }

    /// A client whose clock is that of the sidecar, and that heeds a demand for a nonce; the proof that was accepted.
    async fn serves(&self, seconds: i64) -> String {
        let mut proof = self.proof(seconds).sign(&self.front.client);
        let mut answer = self.show(&proof).await;
        if answer.all("www-authenticate").iter().any(|field| field.contains("use_dpop_nonce")) {
            let nonce = answer.one("dpop-nonce");
            proof = self.proof(seconds).claim("nonce", nonce).sign(&self.front.client);
            answer = self.show(&proof).await;
        }
        assert_eq!(answer.status, 200, "at {seconds:+}: {answer:?}");
        self.refuses(&proof, "proof_replayed").await;
        proof
    }

    async fn refuses(&self, proof: &str, why: &str) {
        let answer = self.show(proof).await;
        assert!(answer.status == 401 && answer.body.contains(why), "not {why}: {answer:?}");
    }
}

/// RP-012, RP-013: whichever way the clock jumps, what was used stays used, and who goes by the clock is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_an_hour_revives_no_proof() {
    let clock = Clock::start().await;
    let fresh = || clock.proof(0).sign(&clock.front.client);
    let used = clock.serves(0).await;
    clock.step(3600);
    clock.refuses(&fresh(), "proof_expired").await;
    clock.refuses(&used, "proof_expired").await;
    let ahead = clock.serves(3600).await;
    clock.step(0);
    clock.refuses(&used, "proof_replayed").await;
    clock.refuses(&ahead, "proof_not_yet_valid").await;
    clock.serves(0).await;
    clock.step(-3600);
    clock.refuses(&fresh(), "proof_not_yet_valid").await;
    clock.refuses(&used, "proof_not_yet_valid").await;
    let behind = clock.serves(-3600).await;
    clock.step(0);
    clock.refuses(&used, "proof_replayed").await;
    clock.refuses(&behind, "").await;
    clock.serves(0).await;
    clock.step(3600);
    clock.refuses(&ahead, "proof_replayed").await;
    clock.step(-3600);
    clock.refuses(&behind, "proof_replayed").await;

    let (service, clinch) = (&clock.front.service, &clock.front.clinch);
    assert_eq!(service.count(), 5);
    assert_eq!(plain_get(clinch.admin, "/live").await.unwrap().status, 200);
    assert!(!clinch.program.output().contains("panic"), "{}", clinch.program.output());
}
