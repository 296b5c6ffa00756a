//! A service that does not keep to HTTP: its answer is a fault, and its connection is not used again (HD-055).

use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::wire::{converse as exchange, get};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A service that says what it is told to say, byte by byte, and keeps every connection open.
struct Raw {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    answer: Vec<u8>,
    /// How many times over, without end if there is none.
    endless: bool,
    connections: usize,
    /// Which connection each request came on.
    requests: Vec<usize>,
    /// And when the last one did.
    asked: Option<Instant>,
}

impl Raw {
    async fn start() -> Raw {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let of_all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of_all);
                let number = {
                    let mut shared = shared.lock().unwrap();
                    shared.connections += 1;
                    shared.connections
                };
                tokio::spawn(converse(stream, number, shared));
            }
        });
        Raw { address, shared }
    }

    fn says(&self, answer: &[u8], endless: bool) {
        let mut shared = self.shared.lock().unwrap();
        (shared.answer, shared.endless) = (answer.to_vec(), endless);
    }

    fn requests(&self) -> Vec<usize> {
        self.shared.lock().unwrap().requests.clone()
    }
}

async fn converse(mut stream: TcpStream, number: usize, shared: Arc<Mutex<Shared>>) {
    let mut seen = Vec::new();
    loop {
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut seen).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        seen.clear();
        let (answer, endless) = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(number);
            shared.asked = Some(Instant::now());
            (shared.answer.clone(), shared.endless)
        };
        while stream.write_all(&answer).await.is_ok() && endless {}
    }
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// HD-055, HTTP-15, HTTP-35
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_http_is_a_fault_and_the_end_of_its_connection() {
    let raw = Raw::start().await;
    let stage = Stage::set(Setting { tls: VERIFIED, service: Some(raw.address), ..Setting::default() }).await;
    let ask = async || stage.ask(&stage.anonymous(), &get("/open/1", &[])).await.expect("an answer");
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(1000));
    for (what, answer) in [
        ("obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        ("a space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n"),
        (
            "a length and a coding",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a coding and a length",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        ),
        ("two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        ("one length twice", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        ("one length twice in a line", "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc"),
        ("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc"),
        (
            "a switch nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
        ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a status that is none", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("a head of a megabyte", &long),
        ("a thousand fields", &many),
    ] {
        raw.says(answer.as_bytes(), false);
        let said = ask().await;
        assert_eq!(status(Some(&said)), Some(502), "{what}: {said}");
        assert!(said.contains("upstream_broken") && said.contains("no-store"), "{what}: {said}");
        raw.says(GOOD, false);
        assert!(ask().await.ends_with("good"), "{what}");
        assert!(ask().await.ends_with("good"), "{what}");
        let requests = raw.requests();
        let [.., bad, first, second] = requests[..] else { panic!("{requests:?}") };
        assert!(bad != first, "{what}: the connection was used again: {requests:?}");
        assert_eq!(first, second, "{what}: a good connection is used again: {requests:?}");
    }
}

/// HD-055: what follows an answer that has no content would be the answer to the next request on its connection. So
/// there is none for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_settles_after_an_answer_without_content() {
    let raw = Raw::start().await;
    let stage = Stage::set(Setting { tls: VERIFIED, service: Some(raw.address), ..Setting::default() }).await;
    let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
    let asked = || raw.shared.lock().unwrap().asked.expect("a request");
    for (method, bare) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        let mut ask = async |pause: Duration| {
            raw.says(bare.as_bytes(), false);
            let request = format!("{method} /open/1 HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
            exchange(&mut stream, request.as_bytes(), true).await.expect("an answer");
            let before = asked();
            tokio::time::sleep(pause).await;
            raw.says(GOOD, false);
            let request = request.replace("HEAD", "GET");
            assert_eq!(
                exchange(&mut stream, request.as_bytes(), false).await.expect("an answer").body,
                "good"
            );
            let requests = raw.requests();
            let [.., bare, next] = requests[..] else { panic!("{requests:?}") };
            (asked() - before, bare == next)
        };
        let at_once = async || {
            let (passed, again) = ask(Duration::ZERO).await;
            // A machine that takes longer for it has let the moment pass.
            (passed < Duration::from_millis(100)).then_some(again)
        };
        assert!(!eventually("two requests at once", at_once).await, "{bare}");
        let later = async || ask(Duration::from_millis(200)).await.1.then_some(());
        eventually("the connection to be used again", later).await;
    }
}

/// Interim answers are no answer: the time for one runs on.
#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_without_end_are_a_timeout() {
    let raw = Raw::start().await;
    let stage = Stage::set(Setting { tls: VERIFIED, service: Some(raw.address), ..Setting::default() }).await;
    raw.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", true);
    let said = stage.ask(&stage.anonymous(), &get("/open/1", &[])).await.expect("an answer");
    assert_eq!(status(Some(&said)), Some(504), "{said}");
    assert!(said.contains("upstream_timeout") && !said.contains("103"), "{said}");
    raw.says(GOOD, false);
    assert!(stage.ask(&stage.anonymous(), &get("/open/1", &[])).await.expect("an answer").ends_with("good"));
    assert_eq!(raw.requests(), [1, 2]);
}
