//! gRPC: what a tonic client sees of a refusal, of a fault, of its deadline and of a stream that is cut.

use super::Scene;
use crate::support::eventually;
use crate::support::grpc::{Channel, with_proof};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::ServerReflectionRequest;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const ROUTES: &str =
    "  - { path: /grpc.health.v1.Health/Check, methods: [POST], proof: [dpop], scopes: [read] }
  - { path: /grpc.health.v1.Health/Watch, methods: [POST], proof: [dpop] }
  - { path: /grpc.reflection.v1.ServerReflection/ServerReflectionInfo, methods: [GET], proof: [dpop] }
";

fn question() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

fn metadata<'s>(status: &'s Status, name: &str) -> Vec<&'s str> {
    status.metadata().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// A service over HTTP/1.1 that says these bytes to whoever asks, and then nothing; how many connections it has.
async fn service(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, open) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let shared = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let open = Arc::clone(&shared);
            open.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
                        break;
                    }
                }
                let _ = stream.write_all(answer).await;
                while matches!(stream.read_buf(&mut head).await, Ok(1..)) {}
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_one_that_a_grpc_client_understands() {
    let (address, _) = service(b"").await;
    let scene = Scene::before(address, ROUTES, "").await;
    let mut health = Channel::to(&scene.front).await.health();

    let status = health.check(question()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "credentials_missing: credentials are required")
    );
    let challenges = metadata(&status, "www-authenticate");
    assert!(challenges.iter().any(|challenge| challenge.starts_with("DPoP ")), "{challenges:?}");
    assert_eq!(metadata(&status, "cache-control"), ["no-store"]);

    let token = scene.token();
    let mut stolen = tonic::Request::new(question());
    stolen.metadata_mut().insert("authorization", format!("DPoP {token}").parse().unwrap());
    let status = health.check(stolen).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().starts_with("proof_missing: "), "{status}");
    assert!(
        metadata(&status, "www-authenticate").iter().any(|c| c.contains("invalid_dpop_proof")),
        "{status:?}"
    );

    let poor = scene.front.token(&json!({ "scope": "other" }));
    let status = health.check(with_proof(&scene.front, CHECK, &poor, question())).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(metadata(&status, "www-authenticate")[0].contains("insufficient_scope"), "{status:?}");

    let mut reflection = Channel::to(&scene.front).await.reflection();
    let questions = tokio_stream::empty::<ServerReflectionRequest>();
    let status = reflection.server_reflection_info(questions).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    assert_eq!(metadata(&status, "allow"), ["GET"]);

    let status = health.watch(question()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "a stream is refused like any other call");
    for (reason, route) in [("credentials_missing", CHECK), ("scope_insufficient", CHECK)] {
        let metrics = scene.metrics().await;
        let line =
            format!("clinch_requests_total{{route=\"{route}\",verdict=\"refused\",reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_metadata_of_its_refusal() {
    let (address, _) = service(b"").await;
    let scene =
        Scene::before(address, &format!("{ROUTES}dpop: {{ nonce: {{ mode: required }} }}\n"), "").await;
    let mut health = Channel::to(&scene.front).await.health();
    let token = scene.token();
    let status = health.check(with_proof(&scene.front, CHECK, &token, question())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(metadata(&status, "www-authenticate")[0].contains("use_dpop_nonce"), "{status:?}");
    assert_eq!(metadata(&status, "dpop-nonce").len(), 1, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let scene = Scene::before(address, ROUTES, "").await;
    let mut health = Channel::to(&scene.front).await.health();
    let token = scene.token();
    let status = health.check(with_proof(&scene.front, CHECK, &token, question())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("upstream_unreachable: "), "{status}");
}

/// tonic's bare client sends the deadline and waits: the answer is clinch's.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_call_on_both_sides() {
    let (address, open) = service(b"").await;
    let scene = Scene::before(address, ROUTES, "").await;
    let mut health = Channel::to(&scene.front).await.health();
    let token = scene.token();
    let mut request = with_proof(&scene.front, CHECK, &token, question());
    request.set_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let status = health.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().starts_with("deadline_exceeded: "), "{status}");
    assert!((300..5000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    eventually("the service's side to end", async || (open.load(Ordering::SeqCst) == 0).then_some(())).await;
    let metrics = scene.metrics().await;
    assert!(metrics.contains("{reason=\"deadline_exceeded\"} 1"), "{metrics}");
}

/// RV-039: the stream has begun, so its end is told in trailers; nobody can take it for all there was.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_token_is_revoked_ends_with_a_status() {
    let (address, open) = service(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n\
          7\r\n\x00\x00\x00\x00\x02\x08\x01\r\n",
    )
    .await;
    let scene = Scene::before(address, ROUTES, "").await;
    let mut health = Channel::to(&scene.front).await.health();
    let token = scene.token();
    let request = with_proof(&scene.front, WATCH, &token, question());
    let mut stream = health.watch(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().expect("a message");
    assert_eq!(first.status(), ServingStatus::Serving);
    scene.revoke(&token);
    let ended = tokio::time::timeout(crate::support::PATIENCE, stream.message()).await;
    let status = ended.expect("the stream is cut").unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(status.message(), "token_revoked: the token has been revoked");
    eventually("the service's side to end", async || (open.load(Ordering::SeqCst) == 0).then_some(())).await;
}
