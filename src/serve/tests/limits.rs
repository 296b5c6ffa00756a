//! The limits: what is too long, too much or too slow is cut, and nothing else.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// For what is cut after it: whoever is in time has as long on a machine that is busy.
const SHORT: Duration = Duration::from_secs(2);

async fn closed<S: tokio::io::AsyncRead + Unpin>(mut stream: S) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed in time"));
    began.elapsed()
}

/// BEAR-10, TL-031
#[tokio::test]
async fn plain_http_on_the_tls_port_is_closed() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let mut stream = TcpStream::connect(sidecar.server.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    assert!(closed(stream).await < PATIENCE);
}

#[tokio::test]
async fn slow_beginnings_are_closed_after_the_header_timeout() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.header_timeout = SHORT).await;
    let silent = TcpStream::connect(sidecar.server.address()).await.unwrap();
    let before_h1 = sidecar.tls(b"http/1.1").await;
    let before_h2 = sidecar.tls(b"h2").await;
    let mut in_head = sidecar.tls(b"http/1.1").await;
    in_head.write_all(b"GET /open/a HTTP/1.1\r\nHost: api").await.unwrap();
    let mut after_preface = sidecar.tls(b"h2").await;
    after_preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    closed(silent).await;
    closed(before_h1).await;
    closed(in_head).await;
    closed(before_h2).await;
    closed(after_preface).await;
}

#[tokio::test]
async fn a_slow_second_head_gets_the_header_timeout_and_an_idle_connection_more() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.header_timeout = SHORT).await;
    let mut stream = sidecar.tls(b"http/1.1").await;
    for _ in 0..2 {
        stream.write_all(b"GET /open/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
        tokio::time::sleep(SHORT * 3 / 2).await;
    }
    stream.write_all(b"GET /open/a HTT").await.unwrap();
    assert!(closed(stream).await < SHORT * 5);
}

#[tokio::test]
async fn idle_connections_are_closed_after_the_idle_timeout() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.idle_timeout = SHORT).await;
    let mut http1 = sidecar.tls(b"http/1.1").await;
    http1.write_all(b"GET /open/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    assert!(closed(http1).await >= SHORT);

    let io = TokioIo::new(sidecar.tls(b"h2").await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(get(Version::HTTP_2, "/open/a").body(empty()).unwrap()).await.unwrap();
    text(response).await;
    let ended = timeout(PATIENCE, connection).await.expect("closed in time").unwrap();
    assert!(ended.is_ok(), "GOAWAY comes without an error: {ended:?}");
}

#[tokio::test]
async fn a_long_answer_is_not_idleness() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| {
        config.listen.limits.idle_timeout = SHORT;
        config.listen.limits.header_timeout = SHORT;
    })
    .await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let slowly = async {
            service.arrived().await;
            tokio::time::sleep(SHORT * 3 / 2).await;
            service.release();
        };
        let asked = sidecar.ask(version, get(version, "/open/wait").body(empty()).unwrap());
        let (response, ()) = tokio::join!(asked, slowly);
        assert_eq!(response.status(), 200);
    }
}

/// HTTP-25, TK-026
#[tokio::test]
async fn header_sections_have_a_bound() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    let long = "x".repeat(20 * 1024);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let fits = get(version, "/open/a").header("x-long", &long[..10 * 1024]).body(empty()).unwrap();
        assert_eq!(sidecar.ask(version, fits).await.status(), 200);
        let request = get(version, "/open/a").header("x-long", &long).body(empty()).unwrap();
        assert_eq!(sidecar.ask(version, request).await.status(), 431, "{version:?}");
    }
    assert_eq!(service.requests(), 2);
}

/// HTTP-26
#[tokio::test]
async fn request_lines_of_8000_bytes_are_served() {
    let service = Service::start().await;
    let sidecar = Sidecar::in_front_of(&service).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let of = |length| format!("/open/{}", "x".repeat(length));
        let fits = get(version, &of(8000)).body(empty()).unwrap();
        assert_eq!(sidecar.ask(version, fits).await.status(), 200, "{version:?}");
        let too_long = get(version, &of(20_000)).body(empty()).unwrap();
        assert_eq!(sidecar.ask(version, too_long).await.status(), 431, "{version:?}");
    }
    assert_eq!(service.requests(), 2);
}

#[tokio::test]
async fn requests_in_flight_have_a_bound_and_give_their_place_back() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.in_flight = 1).await;
    let plain = || get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    let first = sidecar.ask(Version::HTTP_11, get(Version::HTTP_11, "/open/wait").body(empty()).unwrap());
    let second = async {
        service.arrived().await;
        let response = sidecar.ask(Version::HTTP_11, plain()).await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        service.release();
    };
    let (response, ()) = tokio::join!(first, second);
    text(response).await;
    assert_eq!(sidecar.ask(Version::HTTP_11, plain()).await.status(), 200);
}

#[tokio::test]
async fn connections_have_a_bound_and_the_next_one_waits_for_room() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.connections = 1).await;
    let first = sidecar.ask(Version::HTTP_11, get(Version::HTTP_11, "/open/wait").body(empty()).unwrap());
    let second = async {
        service.arrived().await;
        let next = timeout(SHORT, sidecar.tls(b"http/1.1")).await;
        assert!(next.is_err(), "who has a request in flight makes no room");
        service.release();
    };
    let (response, ()) = tokio::join!(first, second);
    text(response).await;
    let request = get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    assert_eq!(sidecar.ask(Version::HTTP_11, request).await.status(), 200);
}

/// The one place there is comes free in time.
async fn place_comes_free(sidecar: &Sidecar) {
    let free = async {
        let request = || get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
        while sidecar.ask(Version::HTTP_11, request()).await.status() == 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the place comes free");
}

#[tokio::test]
async fn a_stream_that_takes_nothing_gives_its_place_back() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| {
        config.listen.limits.in_flight = 1;
        config.listen.limits.idle_timeout = SHORT;
    })
    .await;
    let io = TokioIo::new(sidecar.tls(b"h2").await);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.initial_stream_window_size(0).handshake(io).await.unwrap();
    tokio::spawn(connection);
    let held = sender.send_request(get(Version::HTTP_2, "/open/a").body(empty()).unwrap()).await.unwrap();
    place_comes_free(&sidecar).await;
    drop(held);
}

#[tokio::test]
async fn a_connection_that_takes_nothing_gives_its_place_back() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| {
        config.listen.limits.in_flight = 1;
        config.listen.limits.idle_timeout = SHORT;
    })
    .await;
    let mut unread = sidecar.tls(b"http/1.1").await;
    let head = "POST /open/stream HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100000000\r\n\r\n";
    unread.write_all(head.as_bytes()).await.unwrap();
    // An echo that nobody reads, until it takes no more.
    let chunk = vec![b'x'; 64 * 1024];
    while let Ok(Ok(())) = timeout(SHORT, unread.write_all(&chunk)).await {}
    place_comes_free(&sidecar).await;
    drop(unread);
}
