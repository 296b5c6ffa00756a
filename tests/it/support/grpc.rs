//! gRPC by tonic: its health and reflection services, two methods written by hand, and a client's connection.

use super::front::Front;
use super::oauth_client::HOST;
use super::proof::Proof;
use super::world::url;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tower_service::Service;

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

impl Service<Request<Body>> for Channel {
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
    Body::new(body.map_err(|error| tonic::Status::from_error(Box::new(error))))
}
