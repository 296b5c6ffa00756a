//! `clinch injector` at 200 reviews a second, in open loop: each review is sent at its time whether others were answered or not,
//! and its latency counts from that time. The API servers' connections are kept, as they keep them.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut child, address, certificate) = start();
    let mut senders = Vec::new();
    for _ in 0..API_SERVERS {
        senders.push(connect(&address, &certificate).await);
    }
    for (name, containers) in [("a pod of one container", 1), ("of ten", 10), ("of a thousand, 2.7 MB", 1000)]
    {
        let rate = if containers > 100 { 2 } else { RATE };
        let before = processor_ms(child.id());
        let took = run(&senders, &review(containers), rate).await;
        let each = (processor_ms(child.id()) - before) / took.len() as f64;
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{name}: {} reviews at {rate}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, most {:.2} ms; CPU {each:.2} ms each",
            took.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn run(senders: &[SendRequest<Full<Bytes>>], review: &Bytes, rate: u32) -> Vec<Duration> {
    let (begun, mut under_way) = (Instant::now(), JoinSet::new());
    for number in 0..rate * SECONDS {
        let scheduled = begun + Duration::from_secs(1) * number / rate;
        let (mut sender, review) = (senders[number as usize % senders.len()].clone(), review.clone());
        sleep_until(scheduled).await;
        under_way.spawn(async move {
            let request = Request::post("https://localhost/inject/namespace?timeout=10s")
                .header("content-type", "application/json")
                .body(Full::new(review))
                .unwrap();
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let took = scheduled.elapsed();
            let answer: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(answer["response"]["auditAnnotations"]["outcome"], "patched");
            took
        });
    }
    let mut took = under_way.join_all().await;
    took.sort();
    took
}

/// Of all threads of a process, user and system (proc_pid_stat(5)), in milliseconds: the figure that others on the machine do
/// not touch much.
fn processor_ms(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() * 10.0).sum()
}

/// The binary, once it listens.
fn start() -> (Child, String, rcgen::Certificate) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("injector-bench");
    std::fs::create_dir_all(&folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    let config = "listen: { address: 127.0.0.1:0, tls: { certificate: tls.crt, private_key: tls.key } }\n\
                  admin: { address: 127.0.0.1:0 }\nnamespace: clinch-system\n";
    std::fs::write(folder.join("injector.yaml"), config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_clinch"))
        .args(["injector", "--config"])
        .arg(folder.join("injector.yaml"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listening = |line: String| {
        let record: Value = serde_json::from_str(&line).ok()?;
        record["address"].as_str().map(str::to_owned)
    };
    let address = lines.by_ref().find_map(listening).expect("the injector listens");
    // A log that nobody reads would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address, certificate)
}

async fn connect(address: &str, certificate: &rcgen::Certificate) -> SendRequest<Full<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// As a ReplicaSet's pods come, with the lists that the API server fills in by default.
fn review(containers: usize) -> Bytes {
    let container = |number: usize| {
        let padding = if containers > 100 { 2200 } else { 60 };
        let ports = if number == 0 {
            json!([{ "name": "http", "containerPort": 8080, "protocol": "TCP" }])
        } else {
            json!([])
        };
        json!({
            "name": format!("app-{number}"), "image": "registry.example/shop/cart:1.4.2", "ports": ports,
            "env": [{ "name": "SETTING", "value": "x".repeat(padding) }],
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        })
    };
    let containers: Vec<Value> = (0..containers).map(container).collect();
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind, "resource": resource, "namespace": "shop",
            "operation": "CREATE", "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller" },
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "generateName": "cart-7d4b9-", "labels": { "app": "cart" } },
                "spec": {
                    "containers": containers, "volumes": [{ "name": "data", "emptyDir": {} }], "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "serviceAccountName": "cart",
                    "schedulerName": "default-scheduler", "enableServiceLinks": true,
                },
            },
        },
    });
    Bytes::from(review.to_string())
}

const API_SERVERS: usize = 3;
const RATE: u32 = 200;
const SECONDS: u32 = 20;
