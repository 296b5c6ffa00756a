//! What is no AdmissionReview, what comes slowly or too large, and how it stops.

use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{connect, pod, review};
use crate::support::temporary::Folder;
use crate::support::wire::{converse, rest};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn injector(listen: &str) -> (Pki, Folder, Injector) {
    let (pki, folder) = (Pki::new(), Folder::new());
    let injector = Injector::start(&write_with_files(&folder, &pki, "", listen)).await;
    (pki, folder, injector)
}

fn post(path: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// WH-002
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_review_is_told_so_in_json() {
    let (pki, _folder, injector) = injector("").await;
    let good = review("shop", &pod()).to_string();
    let json = "application/json";
    let get = "GET /inject/pod HTTP/1.1\r\nhost: x\r\n\r\n".to_owned();
    let huge = format!(
        "POST /inject/pod HTTP/1.1\r\nhost: x\r\ncontent-type: {json}\r\ncontent-length: 9000000\r\n\r\n"
    );
    for (request, status) in [
        (post("/", json, &good), 404),
        (post("/inject/pods", json, &good), 404),
        (post("/inject/pod/", json, &good), 404),
        (get, 405),
        (post("/inject/pod", "application/yaml", &good), 415),
        (post("/inject/pod", "text/json", &good), 415),
        (post("/inject/pod", json, ""), 400),
        (post("/inject/pod", json, "nonsense"), 400),
        (post("/inject/pod", json, &good[..good.len() - 1]), 400),
        (post("/inject/pod", json, r#"{"kind":"Pod","apiVersion":"v1"}"#), 400),
        (huge, 413),
        (post("/inject/pod", "Application/JSON; charset=utf-8", &good), 200),
    ] {
        let mut stream = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.unwrap();
        let answer = converse(&mut stream, request.as_bytes(), false).await.expect("an answer");
        assert_eq!(answer.status, status, "{request:.200}");
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        if status != 200 {
            assert!(!body["error"].as_str().unwrap().is_empty(), "{body}");
            assert_eq!(body.as_object().unwrap().len(), 1);
        }
    }
    let page = crate::support::wire::plain_get(injector.admin, "/metrics").await.unwrap().body;
    for reason in ["path", "method", "content_type", "not_a_review", "too_large"] {
        assert!(page.contains(&format!("clinch_injector_unreadable_total{{reason=\"{reason}\"}}")), "{page}");
    }
}

/// A body of unknown length that does not end is cut off at the limit.
///
/// WH-014
#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_end_is_not_read_to_its_end() {
    let (pki, _folder, injector) = injector("").await;
    let mut stream = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.unwrap();
    let head = "POST /inject/pod HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("100000\r\n{}\r\n", "[".repeat(1 << 20));
    let endless = head.to_owned() + &chunk.repeat(12);
    let answer = converse(&mut stream, endless.as_bytes(), false).await.expect("an answer");
    assert_eq!(answer.status, 413);
}

/// A pod as large as pods get is answered, and so is everybody else meanwhile.
///
/// WH-014
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_pod_is_answered() {
    let (pki, _folder, injector) = injector("").await;
    let mut pod = pod();
    let container = pod["spec"]["containers"][0].clone();
    let many = (0..1000).map(|number| {
        let mut container = container.clone();
        container["name"] = format!("app-{number}").into();
        container["env"][0]["value"] = "x".repeat(2500).into();
        container.as_object_mut().unwrap().remove("ports");
        container
    });
    pod["spec"]["containers"].as_array_mut().unwrap().extend(many);
    let review = review("shop", &pod).to_string();
    assert!(review.len() > 2_500_000);
    let request = post("/inject/namespace", "application/json", &review);
    let mut stream = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.unwrap();
    let answer = converse(&mut stream, request.as_bytes(), false).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let outcome = answer["response"]["auditAnnotations"]["outcome"].as_str().unwrap();
    assert!(matches!(outcome, "patched" | "refused"), "{}", answer["response"]["status"]);
}

/// First it is not ready, and answers whoever has not heard of that.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_while_it_leaves_is_answered() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let config = write_with_files(&folder, &pki, "", "");
    let text = std::fs::read_to_string(&config).unwrap().replace("leave: 300ms", "leave: 10s");
    std::fs::write(&config, text).unwrap();
    let injector = Injector::start(&config).await;
    let request = post("/inject/namespace", "application/json", &review("shop", &pod()).to_string());
    injector.program.terminate();
    let unready = async || injector.ready().await.filter(|answer| answer.status == 503);
    let said = crate::support::eventually("the injector to leave", unready).await;
    assert_eq!(said.body, "stopping\n");
    let mut late = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.expect("still served");
    let answer = converse(&mut late, request.as_bytes(), false).await.expect("an answer");
    assert_eq!((answer.status, answer.one("connection")), (200, "close"));
}

/// Then nobody new comes in, and what is under way is answered: an upload has two seconds, and so there are some attempts.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_under_way_is_answered_when_it_stops() {
    for _attempt in 0..5 {
        let (pki, _folder, mut injector) = injector("").await;
        let request = post("/inject/namespace", "application/json", &review("shop", &pod()).to_string());
        let (first, second) = request.as_bytes().split_at(request.len() - 10);
        let mut stream = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.unwrap();
        let began = Instant::now();
        stream.write_all(first).await.unwrap();
        stream.flush().await.unwrap();
        injector.program.terminate();
        let refused = async || TcpStream::connect(injector.address).await.err();
        crate::support::eventually("the port to close", refused).await;
        let answer = converse(&mut stream, second, false).await;
        if began.elapsed() >= Duration::from_secs(2) {
            continue;
        }
        assert_eq!(answer.expect("an answer to what was under way").status, 200);
        assert!(rest(&mut stream).await.is_some());
        assert_eq!(injector.program.ended().await.code(), Some(0));
        return;
    }
    panic!("never within two seconds");
}
