//! An OTLP collector on loopback, over HTTP or gRPC, with TLS or without: what it is sent is decoded by the messages of
//! the OTLP specification, and kept byte for byte.

use super::eventually;
use super::issuer::acceptor;
use super::pki::Pki;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span as Message;
use prost::Message as _;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A running collector; it ends with the test's runtime.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    spans: Mutex<Vec<Span>>,
    resources: Mutex<Vec<Vec<KeyValue>>>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    bytes: Mutex<Vec<u8>>,
    hangs: AtomicBool,
}

/// A span as it came.
#[derive(Clone, Debug)]
pub struct Span(pub Message);

impl Span {
    /// An attribute as text.
    pub fn says(&self, key: &str) -> Option<String> {
        of(&self.0.attributes, key)
    }
    /// Its id, as `traceparent` has it.
    pub fn id(&self) -> String {
        hex(&self.0.span_id)
    }
    /// Its parent's; empty for a root.
    pub fn parent(&self) -> String {
        hex(&self.0.parent_span_id)
    }
    /// Its trace's.
    pub fn trace(&self) -> String {
        hex(&self.0.trace_id)
    }
    /// Whether it links to this span, for this reason.
    pub fn links_to(&self, other: &Span, why: &str) -> bool {
        self.0.links.iter().any(|link| {
            (&link.trace_id, &link.span_id) == (&other.0.trace_id, &other.0.span_id)
                && of(&link.attributes, "clinch.link").as_deref() == Some(why)
        })
    }
}

impl Collector {
    /// Without TLS.
    pub async fn start() -> Collector {
        Collector::listening(None).await
    }

    /// With the server's certificate.
    pub async fn start_with_tls(pki: &Pki) -> Collector {
        Collector::listening(Some(pki)).await
    }

    async fn listening(pki: Option<&Pki>) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (of_task, tls) = (Arc::clone(&shared), pki.map(strict));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&of_task), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, shared, auto()).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            // As strict as collectors are: what ALPN did not agree upon is not spoken.
                            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            let builder = if h2 { auto().http2_only() } else { auto().http1_only() };
                            serve(stream, shared, builder).await;
                        }
                    }
                });
            }
        });
        Collector { address, shared }
    }

    /// It takes messages and never says so, or says so again.
    pub fn hangs(&self, hangs: bool) {
        self.shared.hangs.store(hangs, SeqCst);
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.shared.spans.lock().unwrap().clone()
    }

    /// Waits for a span.
    pub async fn span(&self, what: &str, is: impl Fn(&Span) -> bool) -> Span {
        eventually(what, async || self.spans().into_iter().find(&is)).await
    }

    /// Waits for a span of this name in a trace.
    pub async fn named(&self, name: &str, trace: &str) -> Span {
        self.span(&format!("{name} in {trace}"), |span| span.0.name == name && span.trace() == trace).await
    }

    /// Where messages were sent to, with which fields.
    pub fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// What every message says of its sender.
    pub fn resource(&self, key: &str) -> Vec<Option<String>> {
        self.shared.resources.lock().unwrap().iter().map(|resource| of(resource, key)).collect()
    }

    /// Whether this came in any message.
    pub fn has_seen(&self, text: &str) -> bool {
        let bytes = self.shared.bytes.lock().unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    if let Value::StringValue(text) = value {
        return Some(text.clone());
    }
    if let Value::IntValue(number) = value {
        return Some(number.to_string());
    }
    let Value::BoolValue(flag) = value else { panic!("{key}: {value:?}") };
    Some(flag.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn auto() -> auto::Builder<TokioExecutor> {
    auto::Builder::new(TokioExecutor::new())
}

/// TLS with the protocols that a collector has.
fn strict(pki: &Pki) -> TlsAcceptor {
    let mut config = rustls::ServerConfig::clone(acceptor(pki).config());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
    builder: auto::Builder<TokioExecutor>,
) {
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let grpc = head.headers["content-type"] == "application/grpc";
    assert!(grpc || head.headers["content-type"] == "application/x-protobuf");
    if shared.hangs.load(SeqCst) {
        std::future::pending::<()>().await;
    }
    let message = if grpc { body.slice(5..) } else { body };
    let named = head.headers.get(if grpc { "grpc-encoding" } else { "content-encoding" });
    let message = match named.map(|named| named.as_bytes()) {
        Some(b"gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&message[..]).read_to_end(&mut plain).unwrap();
            plain.into()
        }
        Some(other) => panic!("{other:?}"),
        None => message,
    };
    shared.bytes.lock().unwrap().extend_from_slice(&message);
    shared.requests.lock().unwrap().push((head.uri.path().to_owned(), head.headers));
    for resource in ExportTraceServiceRequest::decode(message).unwrap().resource_spans {
        shared.resources.lock().unwrap().push(resource.resource.unwrap_or_default().attributes);
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(Span);
        shared.spans.lock().unwrap().extend(spans);
    }
    if !grpc {
        return Ok(Response::new(Full::default().boxed()));
    }
    let status: HeaderMap = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
    let empty = Full::from(&[0_u8; 5][..]).with_trailers(std::future::ready(Some(Ok(status))));
    Ok(Response::builder().header("content-type", "application/grpc").body(empty.boxed()).unwrap())
}
