//! gRPC: what a tonic client sees of a refusal, of a fault, of its deadline and of a stream that is cut.

use super::Scene;
use crate::support::PATIENCE;
use crate::support::grpc::{Channel, JOIN, NEVER, Service, with_proof};
use http::uri::PathAndQuery;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const ROUTES: &str =
    "  - { path: /grpc.health.v1.Health/Check, methods: [POST], proof: [dpop], scopes: [read] }
  - { path: /grpc.health.v1.Health/Watch, methods: [POST], proof: [dpop] }
  - { path: '/test.Words/{method}', methods: [POST], proof: [dpop] }
  - { path: /grpc.reflection.v1.ServerReflection/ServerReflectionInfo, proof: [dpop] }
  - { path: /grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo, methods: [GET], proof: [dpop] }
";

fn codec() -> ProstCodec<HealthCheckRequest, HealthCheckRequest> {
    ProstCodec::default()
}

fn question() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

fn metadata<'s>(status: &'s Status, name: &str) -> Vec<&'s str> {
    status.metadata().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_one_that_a_grpc_client_understands() {
    let service = Service::start().await;
    let scene = Scene::before_http2(service.address, ROUTES).await;
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

    let mut client = Channel::to(&scene.front).await.bare();
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    let status = client.unary(tonic::Request::new(question()), path, codec()).await.unwrap_err();
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
    let service = Service::start().await;
    let scene =
        Scene::before_http2(service.address, &format!("{ROUTES}dpop: {{ nonce: {{ mode: required }} }}\n"))
            .await;
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
    let scene = Scene::before_http2(address, ROUTES).await;
    let mut health = Channel::to(&scene.front).await.health();
    let token = scene.token();
    let status = health.check(with_proof(&scene.front, CHECK, &token, question())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("upstream_unreachable: "), "{status}");
}

/// tonic's bare client sends the deadline and waits: the answer is clinch's.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_call_on_both_sides() {
    let service = Service::start().await;
    let scene = Scene::before_http2(service.address, ROUTES).await;
    let mut client = Channel::to(&scene.front).await.bare();
    let mut request = with_proof(&scene.front, NEVER, &scene.token(), question());
    request.set_timeout(Duration::from_secs(3));
    let began = Instant::now();
    client.ready().await.unwrap();
    let status = client.unary(request, PathAndQuery::from_static(NEVER), codec()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().starts_with("deadline_exceeded: "), "{status}");
    assert!((3000..15_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(service.heads()[0]["grpc-timeout"], "3000000u", "the service knows it, too");
    service.is_rid_of_all().await;
    assert!(scene.metrics().await.contains("{reason=\"deadline_exceeded\"} 1"));
}

/// RV-039: the stream has begun, so its end is told in trailers; nobody can take it for all there was.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_token_is_revoked_ends_with_a_status() {
    let service = Service::start().await;
    let scene = Scene::before_http2(service.address, ROUTES).await;
    let channel = Channel::to(&scene.front).await;
    let (token, other) = (scene.token(), scene.token());
    let watch = async |token: &str| {
        let request = with_proof(&scene.front, WATCH, token, question());
        let mut stream = channel.health().watch(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().expect("a message").status(), ServingStatus::Serving);
        stream
    };
    let (mut stream, mut spared) = (watch(&token).await, watch(&other).await);
    scene.revoke(&token);
    let ended = tokio::time::timeout(PATIENCE, stream.message()).await;
    let status = ended.expect("the stream is cut").unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(status.message(), "token_revoked: the token has been revoked");
    service.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    assert_eq!(spared.message().await.unwrap().expect("a message").status(), ServingStatus::NotServing);
    drop(spared);
    service.is_rid_of_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call_passes() {
    let service = Service::start().await;
    let scene = Scene::before_http2(service.address, ROUTES).await;
    let channel = Channel::to(&scene.front).await;
    let token = scene.token();

    let mut health = channel.health();
    let answer = health.check(with_proof(&scene.front, CHECK, &token, question())).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "one question, one answer");
    let unknown = HealthCheckRequest { service: "nobody".to_owned() };
    let status = health.check(with_proof(&scene.front, CHECK, &token, unknown)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "the service's own refusal stays as it is");

    let watched = with_proof(&scene.front, WATCH, &token, question());
    let mut answers = health.watch(watched).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    service.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    let second = answers.message().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing, "one question, answers as they come");
    drop(answers);

    let word = |text: String| HealthCheckRequest { service: text };
    let words = [word("a".repeat(1_000_000)), word("b".repeat(1_000_000)), word("c".to_owned())];
    let words = with_proof(&scene.front, JOIN, &token, tokio_stream::iter(words));
    let mut client = channel.bare();
    client.ready().await.unwrap();
    let joined = client.client_streaming(words, PathAndQuery::from_static(JOIN), codec()).await.unwrap();
    assert_eq!(joined.into_inner().service.len(), 2_000_001, "many questions, one answer");

    let (ask, questions) = tokio::sync::mpsc::channel(1);
    let questions = with_proof(&scene.front, REFLECTION, &token, ReceiverStream::new(questions));
    let mut reflection = channel.reflection();
    let list = || ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    ask.send(list()).await.unwrap();
    let mut answers = reflection.server_reflection_info(questions).await.unwrap().into_inner();
    for _ in 0..3 {
        let answer = answers.message().await.unwrap().expect("an answer to each");
        let Some(MessageResponse::ListServicesResponse(list_of)) = answer.message_response else {
            panic!("{answer:?}")
        };
        assert!(list_of.service.iter().any(|one| one.name == "grpc.health.v1.Health"), "{list_of:?}");
        ask.send(list()).await.unwrap();
    }
    drop(ask);
    while answers.message().await.unwrap().is_some() {}
    service.is_rid_of_all().await;
    for head in service.heads() {
        assert_eq!(
            (&head["clinch-subject"], &head["te"]),
            (&"alice".parse().unwrap(), &"trailers".parse().unwrap())
        );
        assert!(!head.contains_key("authorization") && !head.contains_key("dpop"), "{head:?}");
    }
}
