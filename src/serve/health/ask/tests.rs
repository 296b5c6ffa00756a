use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one request with these bytes, and tells what was asked.
async fn service(address: &str, answer: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        // A body of any length is not waited for.
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    });
    (port, asked)
}

fn http(port: u16, headers: &[(&str, &str)]) -> PodProbe {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PodProbe::Http { port, path: "/ready?full=1".to_owned(), headers }
}

#[tokio::test]
async fn a_status_from_200_to_399_is_good_and_no_redirect_is_followed() {
    for (answer, good) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nmuch", true),
        ("HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 399 x\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n", false),
        ("nonsense", false),
    ] {
        let (port, _asked) = service("127.0.0.1:0", answer).await;
        let probe = http(port, &[]);
        let asked = tokio::time::timeout(Duration::from_secs(10), ask(&probe));
        assert_eq!(asked.await.unwrap().is_some(), good, "{answer}");
    }
}

#[tokio::test]
async fn the_request_is_what_the_pod_says_and_the_host_is_given_or_the_address() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (port, asked) = service("127.0.0.1:0", OK).await;
    ask(&http(port, &[("Host", "app.example"), ("X-Probe", "a"), ("X-Probe", "b")])).await.unwrap();
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("GET /ready?full=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: app.example\r\n") && !asked.contains("127.0.0.1"), "{asked}");
    assert!(asked.contains("x-probe: a\r\nx-probe: b\r\n") && asked.contains("kube-probe/"), "{asked}");
    let (port, asked) = service("127.0.0.1:0", OK).await;
    ask(&http(port, &[])).await.unwrap();
    assert!(asked.await.unwrap().contains(&format!("host: 127.0.0.1:{port}\r\n")));
}

#[tokio::test]
async fn where_nobody_is_at_127_0_0_1_the_other_loopback_is_asked() {
    let (port, asked) = service("[::1]:0", "").await;
    ask(&PodProbe::Tcp { port }).await.unwrap();
    asked.abort();
    let (port, asked) = service("127.0.0.1:0", "").await;
    asked.abort();
    let _ = asked.await;
    assert!(ask(&PodProbe::Tcp { port }).await.is_none(), "nobody at either");
    assert!(ask(&PodProbe::Grpc { port, service: String::new() }).await.is_none());
}
