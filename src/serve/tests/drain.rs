//! Stopping: what is in flight ends, nothing new begins, and it does not take longer than it may.

use super::*;
use crate::serve::Phase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn requests_in_flight_end() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let service = Service::start().await;
        let sidecar = Sidecar::in_front_of(&service).await;
        let asked = sidecar.ask(version, get(version, "/open/wait").body(empty()).unwrap());
        let mut asked = Box::pin(asked);
        tokio::select! {
            _ = &mut asked => unreachable!(),
            () = service.arrived() => {}
        }
        sidecar.server.phase.send_replace(Phase::Draining);
        service.release();
        let response = asked.await;
        assert_eq!(response.status(), 200);
        assert!(text(response).await.starts_with("GET /open/wait"));
        timeout(PATIENCE, sidecar.server.shutdown()).await.expect("nothing is left");
    }
}

#[tokio::test]
async fn an_http1_client_is_told_with_its_next_response() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let mut stream = sidecar.tls(b"http/1.1").await;
    let request = b"GET /open/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let mut answer = vec![0; 4096];
    stream.write_all(request).await.unwrap();
    let length = stream.read(&mut answer).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer[..length]).contains("connection: close"));

    let address = sidecar.server.address();
    let stopped = tokio::spawn(sidecar.server.shutdown());
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("the port is closed");
    stream.write_all(request).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.contains("connection: close"), "{rest}");
    timeout(PATIENCE, stopped).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_cut() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.drain = Duration::from_millis(200)).await;
    let mut stream = sidecar.tls(b"http/1.1").await;
    stream.write_all(b"GET /open/wait HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    service.arrived().await;
    timeout(PATIENCE, sidecar.server.shutdown()).await.expect("cut in time");
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed"));
    assert!(rest.is_empty());
}

#[tokio::test]
async fn the_admin_port_says_that_we_stop() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    sidecar.server.ready().await;
    assert!(admin(&sidecar, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
    let ready = admin(&sidecar, "GET", "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("\"ready\":true"), "{ready}");
    assert!(admin(&sidecar, "GET", "/metrics").await.contains("application/openmetrics-text"));
    assert!(admin(&sidecar, "POST", "/ready").await.starts_with("HTTP/1.1 405 "));
    assert!(admin(&sidecar, "GET", "/else").await.starts_with("HTTP/1.1 404 "));
    sidecar.server.phase.send_replace(Phase::Draining);
    let ready = admin(&sidecar, "GET", "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("\"draining\":true"), "{ready}");
    assert!(admin(&sidecar, "GET", "/live").await.starts_with("HTTP/1.1 200 "));
}

async fn admin(sidecar: &Sidecar, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(sidecar.server.admin_address()).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}
