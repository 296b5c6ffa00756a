//! gRPC by tonic: its health and reflection services, two methods written by hand, and a client's connection.

use super::front::Front;
use super::oauth_client::HOST;
use super::proof::Proof;
use super::world::url;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::ClientStreamingService;
use tonic::{Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tower_service::Service as _;

/// A client's connection to clinch: hyper's HTTP/2 under tonic.
#[derive(Clone)]
pub struct Channel(SendRequest<Body>);

impl Channel {
    /// A connection of its own.
    pub async fn to(front: &Front) -> Channel {
        let io = TokioIo::new(front.caller(None).connect_for(b"h2").await);
        let (client, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Channel(client)
    }

    /// tonic's client of the health service.
    pub fn health(&self) -> HealthClient<Channel> {
        HealthClient::with_origin(self.clone(), origin())
    }

    /// tonic's client of any other.
    pub fn bare(&self) -> tonic::client::Grpc<Channel> {
        tonic::client::Grpc::with_origin(self.clone(), origin())
    }

    /// tonic's client of the reflection service.
    pub fn reflection(&self) -> ServerReflectionClient<Channel> {
        ServerReflectionClient::with_origin(self.clone(), origin())
    }
}

/// Where clients think that they call.
pub fn origin() -> Uri {
    format!("https://{HOST}").parse().unwrap()
}

/// A message with a token and a proof for this method of a service, `/package.Service/Method`.
pub fn with_proof<T>(front: &Front, method: &str, token: &str, message: T) -> tonic::Request<T> {
    let proof = Proof::new(&front.client, "POST", &url(method), token).sign(&front.client);
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("DPoP {token}").parse().unwrap());
    request.metadata_mut().insert("dpop", proof.parse().unwrap());
    request
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.send_request(request);
        Box::pin(async move { answer.await.map(|answer| answer.map(whole)) })
    }
}

fn whole(body: Incoming) -> Body {
    Body::new(body.map_err(|error| Status::from_error(Box::new(error))))
}

/// A running gRPC service over HTTP/2 without TLS; it ends with the test's runtime.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// What the health service says.
    pub reporter: HealthReporter,
    heads: Arc<Mutex<Vec<HeaderMap>>>,
    open: Arc<AtomicUsize>,
}

impl Service {
    /// Health, reflection, [`JOIN`] and [`NEVER`].
    pub async fn start() -> Service {
        Service::on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// The same on a socket.
    pub fn on(listener: TcpListener) -> Service {
        let address = listener.local_addr().unwrap();
        let reporter = HealthReporter::new();
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let descriptors = tonic_health::pb::FILE_DESCRIPTOR_SET;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .build_v1()
            .unwrap();
        let (heads, open) = (Arc::<Mutex<Vec<HeaderMap>>>::default(), Arc::<AtomicUsize>::default());
        let (told, held) = (Arc::clone(&heads), Arc::clone(&open));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (health, reflection) = (health.clone(), reflection.clone());
                let (told, held) = (Arc::clone(&told), Arc::clone(&held));
                let service = service_fn(move |request: Request<Incoming>| {
                    told.lock().unwrap().push(request.headers().clone());
                    answer(request, health.clone(), reflection.clone(), Open::new(&held))
                });
                let builder = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Service { address, reporter, heads, open }
    }

    /// The metadata of each call so far.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.heads.lock().unwrap().clone()
    }

    /// Waits until every call has ended, in whatever way.
    pub async fn is_rid_of_all(&self) {
        let ended = async || (self.open.load(Ordering::SeqCst) == 0).then_some(());
        super::eventually("the service's calls to end", ended).await;
    }
}

/// Client streaming: joins the words.
pub const JOIN: &str = "/test.Words/Join";
/// Says nothing, ever.
pub const NEVER: &str = "/test.Words/Never";

async fn answer<R>(
    request: Request<Incoming>,
    mut health: HealthServer<HealthService>,
    mut reflection: R,
    open: Open,
) -> Result<Response<Body>, Infallible>
where
    R: tower_service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let path = request.uri().path().to_owned();
    let answer = match path.as_str() {
        NEVER => std::future::pending().await,
        JOIN => {
            let codec = ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
            tonic::server::Grpc::new(codec).client_streaming(Join, request).await
        }
        path if path.starts_with("/grpc.health.") => health.call(request).await?,
        _ => reflection.call(request).await?,
    };
    Ok(answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _open = &open;
            frame
        }))
    }))
}

/// A call that has come and not ended.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Open {
        count.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Join;

impl ClientStreamingService<HealthCheckRequest> for Join {
    type Response = HealthCheckRequest;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<HealthCheckRequest>, Status>> + Send>>;

    fn call(&mut self, words: tonic::Request<Streaming<HealthCheckRequest>>) -> Self::Future {
        Box::pin(async move {
            let (mut words, mut service) = (words.into_inner(), String::new());
            while let Some(word) = words.message().await? {
                service += &word.service;
            }
            Ok(tonic::Response::new(HealthCheckRequest { service }))
        })
    }
}
