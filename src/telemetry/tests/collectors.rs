//! Collectors on loopback: what they are sent is decoded by the messages of the OTLP specification.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A collector that speaks both protocols.
pub(super) struct Collector {
    pub(super) endpoint: http::Uri,
    /// What each message was sent to, its spans, and all of it.
    pub(super) received: mpsc::UnboundedReceiver<(String, Vec<Span>, Bytes)>,
    mood: Arc<AtomicU16>,
}

/// It takes what comes.
const WILLING: u16 = 200;
/// It takes it and never says so.
const HANGING: u16 = 0;
/// It takes a part of it.
const PICKY: u16 = 299;

impl Collector {
    pub(super) async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (send, received) = mpsc::unbounded_channel();
        let mood = Arc::new(AtomicU16::new(WILLING));
        let of_service = Arc::clone(&mood);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (send, mood) = (send.clone(), Arc::clone(&of_service));
                let service = service_fn(move |request| answer(request, send.clone(), mood.load(SeqCst)));
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Collector { endpoint, received, mood }
    }

    /// The next message's spans.
    pub(super) async fn spans(&mut self) -> Vec<Span> {
        self.message().await.1
    }

    pub(super) async fn message(&mut self) -> (String, Vec<Span>) {
        let (path, spans, _) = self.whole().await;
        (path, spans)
    }

    /// The next message, whatever it is.
    pub(super) async fn whole(&mut self) -> (String, Vec<Span>, Bytes) {
        let next = tokio::time::timeout(super::LIMIT, self.received.recv()).await;
        next.expect("nothing came").expect("it runs")
    }

    pub(super) fn hangs(&self) {
        self.mood.store(HANGING, SeqCst);
    }

    pub(super) fn rejects_one(&self) {
        self.mood.store(PICKY, SeqCst);
    }

    pub(super) fn answers(&self, status: StatusCode) {
        self.mood.store(status.as_u16(), SeqCst);
    }
}

/// The message as it was before its sender compressed it.
fn plain(headers: &HeaderMap, message: &[u8]) -> Bytes {
    let names = ["content-encoding", "grpc-encoding"];
    assert!(names.iter().any(|name| headers.get(*name).is_some_and(|value| value == "gzip")), "{headers:?}");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(message).read_to_end(&mut text).unwrap();
    assert!(text.len() > message.len(), "it is smaller");
    text.into()
}

async fn answer(
    request: Request<Incoming>,
    send: mpsc::UnboundedSender<(String, Vec<Span>, Bytes)>,
    mood: u16,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
    let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if mood == HANGING {
        std::future::pending::<()>().await;
    }
    let (body, compressed) =
        if grpc { (body.slice(5..), body[0] == 1) } else { (body, headers.contains_key("content-encoding")) };
    let body = if compressed { plain(&headers, &body) } else { body };
    let traces = if path.contains("metrics") { Bytes::new() } else { body.clone() };
    let message = ExportTraceServiceRequest::decode(traces).unwrap();
    let scopes = message.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans).collect();
    let _ = send.send((path, spans, body));
    let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "one".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: (mood == PICKY).then_some(partial) };
    // The answer about metrics has the same fields under the same numbers.
    let answer = answer.encode_to_vec();
    let refused = mood != WILLING && mood != PICKY;
    if !grpc {
        let mut response = Response::new(Full::from(answer).boxed());
        *response.status_mut() = StatusCode::from_u16(if refused { mood } else { 200 }).unwrap();
        return Ok(response);
    }
    let framed = [&[0][..], &u32::try_from(answer.len()).unwrap().to_be_bytes(), &answer].concat();
    let status = if refused { "14" } else { "0" };
    let trailers: HeaderMap =
        [("grpc-status".parse().unwrap(), status.parse().unwrap())].into_iter().collect();
    let body = Full::from(framed).with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}
