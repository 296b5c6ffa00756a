//! What one client may take: connections of an address, handshakes, streams, and time for an upload.

use super::upstream::{BOTH, speaking};
use super::*;
use futures_util::future::join_all;
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(300);

/// An upload that is written by hand.
fn upload() -> (mpsc::Sender<Bytes>, impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    });
    (sender, StreamBody::new(frames))
}

fn post(version: Version, path: &str) -> http::request::Builder {
    get(version, path).method(Method::POST)
}

/// DS-003
#[tokio::test]
async fn an_address_has_its_share_of_connections_and_gets_it_back() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.connections_per_peer = Some(2)).await;
    let (first, second) = (sidecar.tls(b"http/1.1").await, sidecar.tls(b"h2").await);
    let began = Instant::now();
    let mut third = TcpStream::connect(sidecar.server.address()).await.unwrap();
    let ended = timeout(PATIENCE, third.read(&mut [0; 1])).await.expect("closed at once");
    assert!(matches!(ended, Ok(0) | Err(_)) && began.elapsed() < PATIENCE);
    drop(first);
    let again = async { while sidecar.connect(sidecar.pki.client(None, b"http/1.1")).await.is_err() {} };
    timeout(PATIENCE, again).await.expect("the place is free again");
    drop(second);
}

/// DS-002, DS-003: those who connect and say nothing, or stop in the middle, do not keep the places of those who go on.
#[tokio::test]
async fn silent_and_stuck_handshakes_keep_nobody_out() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.handshakes = 2).await;
    let address = sidecar.server.address();
    let silent = join_all((0..50).map(|_| TcpStream::connect(address))).await;
    let request = || get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    let began = Instant::now();
    assert_eq!(sidecar.ask(Version::HTTP_11, request()).await.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(4), "silence takes no place");
    let mut stuck = join_all((0..2).map(|_| TcpStream::connect(address))).await;
    for stream in &mut stuck {
        // The head of a record that does not come.
        stream.as_mut().unwrap().write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(sidecar.ask(Version::HTTP_11, request()).await.status(), 200);
    }
    drop((silent, stuck));
}

/// DS-010
#[tokio::test]
async fn a_connection_has_so_many_streams_and_no_more() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.streams = 3).await;
    let io = TokioIo::new(sidecar.tls(b"h2").await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let first = sender.send_request(get(Version::HTTP_2, "/open/a").body(empty()).unwrap()).await.unwrap();
    text(first).await;
    let waiting = (0..10).map(|_| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let request = get(Version::HTTP_2, "/open/wait").body(empty()).unwrap();
            sender.send_request(request).await.map(|response| response.status())
        })
    });
    let waiting: Vec<_> = waiting.collect();
    for _ in 0..3 {
        service.arrived().await;
    }
    tokio::time::sleep(SHORT).await;
    assert_eq!(service.requests(), 4, "the others wait for a stream");
    for _ in 0..10 {
        service.release();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for answered in waiting {
        assert_eq!(timeout(PATIENCE, answered).await.unwrap().unwrap().unwrap(), 200);
    }
}

/// DS-002: an upload that stops is ended with 408, and its place is free; one that goes on is not, however slow.
#[tokio::test]
async fn an_upload_that_stands_still_is_ended() {
    let each = BOTH.into_iter().flat_map(|to| BOTH.map(|version| stands_still(version, to)));
    join_all(each).await;
}

async fn stands_still(version: Version, to: Version) {
    const SHORT: Duration = Duration::from_secs(2);
    let service = Service::speaking(to).await;
    let sidecar = Sidecar::with(&service, |config| {
        speaking(to)(config);
        config.listen.limits.body_timeout = SHORT;
        config.listen.limits.in_flight = 1;
    })
    .await;
    let (sender, body) = upload();
    let slowly = async {
        for _ in 0..6 {
            tokio::time::sleep(SHORT / 4).await;
            sender.send(Bytes::from_static(b"x")).await.unwrap();
        }
        Instant::now()
    };
    let asked = sidecar.ask(version, post(version, "/open/a").body(body).unwrap());
    let (response, last) = tokio::join!(asked, slowly);
    assert!(last.elapsed() >= SHORT, "{version:?}: {:?}", last.elapsed());
    assert_eq!(response.status(), 408, "{version:?} to {to:?}");
    let closes = response.headers().get("connection").is_some_and(|value| value == "close");
    assert_eq!(closes, version == Version::HTTP_11);
    assert!(text(response).await.contains("request_timeout"));
    let request = get(Version::HTTP_11, "/open/a").body(empty()).unwrap();
    assert_eq!(sidecar.ask(Version::HTTP_11, request).await.status(), 200, "the place is free");
    drop(sender);
}

/// DS-002: once the response has begun there is no other way to say so than to break off; but a gRPC call is a
/// conversation (over HTTP/2; there is no other), and its client may be silent.
#[tokio::test]
async fn an_upload_that_stops_under_its_response_breaks_it_off_unless_they_converse() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.body_timeout = SHORT).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (kind, ends) in [("text/plain", true), ("application/grpc+proto", version == Version::HTTP_11)] {
            let (sender, body) = upload();
            sender.send(Bytes::from_static(b"first ")).await.unwrap();
            let request = post(version, "/open/stream").header("content-type", kind).body(body).unwrap();
            let mut response = sidecar.ask(version, request).await;
            assert_eq!(response.status(), 200);
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "first ");
            if ends {
                let broken = timeout(PATIENCE, response.into_body().collect()).await.expect("an end");
                assert!(broken.is_err(), "{version:?}: nobody takes it for complete");
            } else {
                tokio::time::sleep(SHORT * 3).await;
                sender.send(Bytes::from_static(b"second")).await.unwrap();
                drop(sender);
                assert_eq!(text(response).await, "second", "{version:?}");
            }
        }
    }
}

/// DS-002: a service that does not read is not the client's fault.
#[tokio::test]
async fn an_upload_is_not_blamed_for_a_service_that_does_not_read() {
    let service = Service::start().await;
    let sidecar = Sidecar::with(&service, |config| config.listen.limits.body_timeout = SHORT).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (sender, body) = upload();
        let asked = sidecar.ask(version, post(version, "/open/wait").body(body).unwrap());
        let talk = async {
            service.arrived().await;
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let mut sent = 0;
            // Until nothing more is taken.
            while let Ok(Ok(())) = timeout(SHORT, sender.send(chunk.clone())).await {
                sent += chunk.len();
            }
            tokio::time::sleep(SHORT * 3).await;
            service.release();
            drop(sender);
            sent
        };
        let (response, sent) = tokio::join!(asked, talk);
        assert_eq!(response.status(), 200, "{version:?}");
        let echoed = text(response).await;
        assert!(echoed.matches('x').count() >= sent, "{version:?}");
    }
}
