//! The service behind clinch: it remembers what it received and says so in its answer, with the header fields that
//! the request asks for by `X-Answer: name=value`.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A running service; it ends with the test's runtime.
pub struct Echo {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    arrived: Semaphore,
    released: Semaphore,
    abandoned: AtomicUsize,
}

/// One request as the service received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// The header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The fields behind the body.
    pub trailers: Vec<(String, String)>,
}

impl Received {
    /// Reads a request to its end.
    pub async fn read(request: Request<Incoming>) -> Received {
        let (head, body) = request.into_parts();
        let body = body.collect().await.ok();
        let trailers = body.as_ref().and_then(|body| body.trailers()).map(fields).unwrap_or_default();
        Received {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: fields(&head.headers),
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            trailers,
        }
    }

    /// The one value of a header; `None` if it is not there, a panic if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "several {name} headers: {:?}", self.headers);
        first
    }
}

impl Echo {
    /// Starts it on an ephemeral port.
    pub async fn start() -> Echo {
        Echo::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Starts it on a socket.
    pub fn on(listener: TcpListener) -> Echo {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrived: Semaphore::new(0),
            released: Semaphore::new(0),
            abandoned: AtomicUsize::new(0),
        });
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        Echo { address, shared }
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many that were.
    pub fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// Waits until a request to a path that ends in `/held` is here; it is answered after [`Echo::release`].
    pub async fn held(&self) {
        let arrived = tokio::time::timeout(super::PATIENCE, self.shared.arrived.acquire()).await;
        arrived.expect("no held request came").unwrap().forget();
    }

    /// How many requests to such paths were given up by who asked.
    pub fn abandoned(&self) -> usize {
        self.shared.abandoned.load(SeqCst)
    }

    /// Lets one held request be answered.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }
}

fn fields(map: &hyper::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let held = request.uri().path().ends_with("/held");
    let received = Received::read(request).await;
    let told = json!({ "method": received.method, "target": received.target, "headers": received.headers });
    let asked = received.headers.iter().filter(|(name, _)| name == "x-answer");
    let answer: Vec<(String, String)> = asked
        .filter_map(|(_, field)| field.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    shared.received.lock().unwrap().push(received);
    if held {
        let abandoned = Abandoned(Some(Arc::clone(&shared)));
        shared.arrived.add_permits(1);
        shared.released.acquire().await.expect("never closed").forget();
        abandoned.answered();
    }
    Ok(json_response(&told, &answer))
}

/// Counts a request whose connection ended before it was answered.
struct Abandoned(Option<Arc<Shared>>);

impl Abandoned {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.abandoned.fetch_add(1, SeqCst);
        }
    }
}

fn json_response(told: &Value, answer: &[(String, String)]) -> Response<Full<Bytes>> {
    let response = Response::builder().header("content-type", "application/json");
    let response = answer.iter().fold(response, |response, (name, value)| response.header(name, value));
    response.body(Full::new(Bytes::from(told.to_string()))).expect("a valid response")
}
