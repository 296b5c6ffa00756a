//! How the API server calls a webhook: over TLS that it verifies by the `caBundle` of the webhook's configuration and the
//! Service's name, with an AdmissionReview, and for an answer with the same uid.

use super::api_server::{ApiServer, MUTATING, NAMESPACE, SERVICE};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client certificate and its key.
pub type Client = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// An AdmissionReview of a pod in this namespace.
pub fn review(namespace: &str, pod: &Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let uid = format!("705ab4f5-6393-11e8-b7cc-{:012x}", NEXT.fetch_add(1, Relaxed));
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": "", "namespace": namespace, "operation": "CREATE", "dryRun": false,
            "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["a"] },
            "object": pod, "oldObject": null,
            "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
        },
    })
}

/// A pod such as a ReplicaSet makes.
pub fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "cart-7d4b9-", "labels": { "app": "cart" } },
        "spec": { "containers": [{
            "name": "app", "image": "registry.example/cart:1", "ports": [{ "containerPort": 8080 }],
            "env": [{ "name": "DATABASE_PASSWORD", "value": "s3cr3t-of-the-pod" }],
            "resources": {},
        }] },
    })
}

/// Asks for the webhook of the first path as an API server that is so late does, on a connection of its own.
pub async fn ask(
    server: &ApiServer,
    webhook: SocketAddr,
    lag: Duration,
    review: &Value,
) -> Result<Value, String> {
    let configuration = server.as_of(MUTATING, lag).ok_or("no configuration")?;
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    let bundle = STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    let path = configuration["webhooks"][0]["clientConfig"]["service"]["path"].as_str().unwrap_or_default();
    let stream = connect(webhook, &bundle, None, review.to_string().len().is_multiple_of(2)).await?;
    send(stream, &format!("{path}?timeout=10s"), review).await
}

/// A connection that trusts this bundle.
pub async fn connect(
    webhook: SocketAddr,
    bundle: &[u8],
    client: Option<Client>,
    http2: bool,
) -> Result<TlsStream<TcpStream>, String> {
    let stream = TcpStream::connect(webhook).await.map_err(|error| error.to_string())?;
    over(stream, bundle, client, http2).await
}

/// The same over a stream that is there, from whatever address.
pub async fn over(
    stream: TcpStream,
    bundle: &[u8],
    client: Option<Client>,
    http2: bool,
) -> Result<TlsStream<TcpStream>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate.map_err(|error| format!("caBundle: {error}"))?).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut tls = match client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from(format!("{SERVICE}.{NAMESPACE}.svc")).unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await;
    stream.map_err(|error| format!("TLS: {error}"))
}

/// Sends a review and takes apart what comes.
pub async fn send(stream: TlsStream<TcpStream>, path: &str, review: &Value) -> Result<Value, String> {
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let target = format!("https://{SERVICE}.{NAMESPACE}.svc:443{path}");
    let request = Request::post(if http2 { &*target } else { path })
        .header("host", format!("{SERVICE}.{NAMESPACE}.svc"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(review.to_string())))
        .unwrap();
    let io = TokioIo::new(stream);
    let fault = |error: hyper::Error| format!("HTTP: {error:?}");
    let response = if http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(fault)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(io).await.map_err(fault)?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = response.map_err(fault)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(fault)?.to_bytes();
    let answer: Value = serde_json::from_slice(&body).map_err(|error| format!("{status}: {error}"))?;
    let asked = (&review["apiVersion"], &review["kind"], &review["request"]["uid"]);
    let answered = (&answer["apiVersion"], &answer["kind"], &answer["response"]["uid"]);
    if status != 200 || asked != answered {
        return Err(format!("{status}: {answer}"));
    }
    Ok(answer["response"].clone())
}

/// The pod after the patch of a response.
pub fn patched(pod: &Value, response: &Value) -> Value {
    let patch = STANDARD.decode(response["patch"].as_str().expect("a patch")).unwrap();
    let mut patched = pod.clone();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}
