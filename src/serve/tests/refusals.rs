//! What a refused client sees, and that the service sees nothing.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// DPOP-25, DPOP-26, DPOP-27, HTTP-33
#[tokio::test]
async fn a_refusal_is_a_problem_document_with_a_challenge() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let response = sidecar.ask(version, get(version, "/orders/7").body(empty()).unwrap()).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "DPoP algs=\"ES256\"");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(response.headers().contains_key("date"));
        assert!(!response.headers().contains_key("connection"));
        let document: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(document["reason"], "credentials_missing");
    }
    assert_eq!(service.requests(), 0);
}

/// HTTP-01, HTTP-03, HTTP-06, HTTP-18, HTTP-32, HTTP-04, HTTP-31, HD-023, HD-026
#[tokio::test]
async fn each_kind_of_request_that_is_not_served_has_its_status() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for (line, fields, status) in [
        ("GET /nowhere HTTP/1.1", "Host: api.example.com", "403"),
        ("GET /open/a HTTP/1.1", "Host: evil.example.com", "421"),
        ("GET /open/a HTTP/1.1", "X: y", "400"),
        ("GET /open/../orders/7 HTTP/1.1", "Host: api.example.com", "400"),
        ("TRACE /open/a HTTP/1.1", "Host: api.example.com", "501"),
        ("CONNECT api.example.com:443 HTTP/1.1", "Host: api.example.com:443", "501"),
        ("POST /open/a HTTP/1.1", "Host: api.example.com\r\nTransfer-Encoding: gzip, chunked", "400"),
        ("GET * HTTP/1.1", "Host: api.example.com", "400"),
        ("OPTIONS * HTTP/1.1", "Host: api.example.com", "400"),
        ("GET api.example.com:443 HTTP/1.1", "Host: api.example.com", "400"),
        ("GET https://api.example.com/open/a HTTP/1.1", "Host: a b", "400"),
        ("GET https://u@api.example.com/open/a HTTP/1.1", "Host: api.example.com", "400"),
        ("GET /open/a b HTTP/1.1", "Host: api.example.com", "400"),
    ] {
        let answer = raw(&sidecar, &format!("{line}\r\n{fields}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    assert_eq!(service.requests(), 0);
}

#[tokio::test]
async fn a_405_names_the_methods_of_the_path() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let request = get(Version::HTTP_2, "/orders/7").method(Method::DELETE).body(empty()).unwrap();
    let response = sidecar.ask(Version::HTTP_2, request).await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, POST");
}

/// HTTP-14, HD-034
#[tokio::test]
async fn an_unread_body_is_never_the_next_request() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let hidden = "GET /open/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let request = format!(
        "POST /orders/7 HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len() + 10
    );
    let answer = raw(&sidecar, &request).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(service.requests(), 0);
}

/// BEAR-03: nobody looks into a body before the decision.
#[tokio::test]
async fn a_token_in_a_form_is_no_credential() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let fields =
        "Host: api.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14";
    let answer = raw(&sidecar, &format!("POST /orders/7 HTTP/1.1\r\n{fields}\r\n\r\naccess_token=x")).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("credentials_missing"), "{answer}");
    assert_eq!(service.requests(), 0);
}

/// HTTP-14, HD-031
#[tokio::test]
async fn who_expects_100_continue_gets_the_final_status_only() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let fields = "Host: api.example.com\r\nContent-Length: 5\r\nExpect: 100-continue";
    let answer = raw(&sidecar, &format!("POST /orders/7 HTTP/1.1\r\n{fields}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");

    let mut stream = sidecar.tls(b"http/1.1").await;
    stream.write_all(format!("POST /open/a HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test]
async fn a_big_upload_that_is_refused_still_reads_why() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let mut stream = sidecar.tls(b"http/1.1").await;
    let head = "POST /orders/7 HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The refusal is there long before the upload ends; who sends on must not lose it to a reset.
    let chunk = vec![b'x'; 64 * 1024];
    for _ in 0..8 {
        stream.write_all(&chunk).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answer = vec![0; 1024];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 401 "));
}

/// Sends bytes, and reads until the connection is closed.
pub(super) async fn raw(sidecar: &Sidecar, request: &str) -> String {
    let mut stream = sidecar.tls(b"http/1.1").await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed"));
    String::from_utf8(answer).unwrap()
}
