//! The transmitter's end of a stream that is polled (RFC 8936): it keeps each token until it is acknowledged or reported.

use super::echo::Received;
use super::issuer::acceptor;
use super::pki::Pki;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A running stream; it ends with the test's runtime.
pub struct Stream {
    /// Where it is polled.
    pub endpoint: String,
    shared: Arc<Shared>,
}

type Watcher = Box<dyn Fn(&str) + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    outstanding: Vec<(String, String)>,
    acknowledged: Vec<String>,
    errors: Map<String, Value>,
    polls: Vec<Value>,
    watcher: Option<Watcher>,
    manner: Manner,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As the RFC says; a poll that need not be answered at once is answered when there is something.
    #[default]
    Good,
    /// Says that there is more, whatever there is.
    AlwaysMore,
    /// Answers everybody at once, with all it has.
    Impatient,
    /// Says 503.
    Down,
    /// Hears nothing of what was acknowledged.
    Deaf,
}

/// What must be shown to it.
pub const AUTHORIZATION: &str = "Bearer of-the-receiver";

impl Stream {
    /// Starts one whose certificate `pki` signed.
    pub async fn start(pki: &Pki) -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://localhost:{}/poll", listener.local_addr().unwrap().port());
        let shared = Arc::<Shared>::default();
        let (acceptor, serving) = (acceptor(pki), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| respond(request, Arc::clone(&shared)));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Stream { endpoint, shared }
    }

    /// Has a token for whoever polls, under this name.
    pub fn offer(&self, jti: &str, set: &str) {
        self.shared.state.lock().unwrap().outstanding.push((jti.to_owned(), set.to_owned()));
        self.shared.news.notify_waiters();
    }

    /// Behaves so from now on.
    pub fn behave(&self, manner: Manner) {
        self.shared.state.lock().unwrap().manner = manner;
        self.shared.news.notify_waiters();
    }

    /// Calls this for each acknowledgement, before it is answered.
    pub fn watch(&self, watcher: impl Fn(&str) + Send + 'static) {
        self.shared.state.lock().unwrap().watcher = Some(Box::new(watcher));
    }

    /// What was acknowledged, each time.
    pub fn acknowledged(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().acknowledged.clone()
    }

    /// The error code that a token was reported with.
    pub fn error(&self, jti: &str) -> Option<String> {
        let state = self.shared.state.lock().unwrap();
        state.errors.get(jti).map(|error| error["err"].as_str().expect("err").to_owned())
    }

    /// Each poll so far.
    pub fn polls(&self) -> Vec<Value> {
        self.shared.state.lock().unwrap().polls.clone()
    }
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let status = |status: u16| Response::builder().status(status).body(Full::default()).unwrap();
    let received = Received::read(request).await;
    let is = |name: &str, value: &str| received.headers.iter().any(|(n, v)| n == name && v == value);
    if received.method != "POST" || !is("content-type", "application/json") {
        return Ok(status(400));
    }
    if !is("authorization", AUTHORIZATION) {
        return Ok(status(401));
    }
    let poll: Value = serde_json::from_slice(&received.body).expect("a poll is JSON");
    if shared.state.lock().unwrap().hear(&poll).is_none() {
        return Ok(status(503));
    }
    loop {
        let news = shared.news.notified();
        if let Some(answer) = shared.state.lock().unwrap().answer(&poll) {
            return Ok(Response::new(Full::from(answer.to_string())));
        }
        let _ = tokio::time::timeout(Duration::from_secs(30), news).await;
    }
}

impl State {
    /// Takes the verdicts; `None` if it is down.
    fn hear(&mut self, poll: &Value) -> Option<()> {
        self.polls.push(poll.clone());
        if self.manner == Manner::Down {
            return None;
        }
        let acknowledged = poll["ack"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for jti in acknowledged {
            if let Some(watcher) = &self.watcher {
                watcher(jti);
            }
            self.acknowledged.push(jti.to_owned());
            self.forget(jti);
        }
        for (jti, error) in poll["setErrs"].as_object().into_iter().flatten() {
            self.errors.insert(jti.clone(), error.clone());
            self.forget(jti);
        }
        Some(())
    }

    fn forget(&mut self, jti: &str) {
        if self.manner != Manner::Deaf {
            self.outstanding.retain(|(name, _)| name != jti);
        }
    }

    /// `None` if it waits.
    fn answer(&self, poll: &Value) -> Option<Value> {
        let at_once = poll["returnImmediately"] == json!(true) || self.manner != Manner::Good;
        if self.outstanding.is_empty() && !at_once {
            return None;
        }
        let most = match (self.manner, poll["maxEvents"].as_u64()) {
            (Manner::Impatient, _) | (_, None) => self.outstanding.len(),
            (_, Some(most)) => self.outstanding.len().min(usize::try_from(most).unwrap()),
        };
        let sets = self.outstanding[..most].iter().map(|(jti, set)| (jti.clone(), json!(set)));
        let more = self.manner == Manner::AlwaysMore
            || (self.manner != Manner::Impatient && most < self.outstanding.len());
        Some(json!({ "sets": sets.collect::<Map<_, _>>(), "moreAvailable": more }))
    }
}
