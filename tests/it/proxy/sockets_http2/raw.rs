//! What the frames of a service of HTTP/2 mean for a WebSocket (RFC 8441 section 5).

use super::super::sockets::{ROUTES, ask, closed, proved, wish};
use super::{Scene, refused, upgrade};
use crate::support::world::url;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::{Reason, RecvStream, SendStream, server};
use http::Response;
use http_body_util::Empty;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// A service that does with the frames of HTTP/2 what a test says.
struct Raw(TcpListener);

type Asked = (http::Request<RecvStream>, server::SendResponse<Bytes>);

impl Raw {
    async fn before(listen: &str) -> (Raw, Scene) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        (Raw(listener), Scene::before_http2_within(address, ROUTES, listen).await)
    }

    /// The first connection's first request. The connection moves on as long as the test does.
    async fn asked(&self) -> Asked {
        let (stream, _) = self.0.accept().await.unwrap();
        let (mut seen, mut pause) = ([0; 24], 0);
        while stream.peek(&mut seen).await.unwrap() < seen.len() {
            pause += 1;
            assert!(pause < 1000, "the preface comes at once");
            tokio::task::yield_now().await;
        }
        let mut builder = server::Builder::new();
        builder.enable_connect_protocol();
        let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
        let asked = connection.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        asked
    }

    /// The same, with the service's agreement.
    async fn agrees(&self) -> (RecvStream, SendStream<Bytes>) {
        let (request, mut respond) = self.asked().await;
        (request.into_body(), respond.send_response(Response::new(()), false).unwrap())
    }
}

/// What is no agreement passes like any other answer; one with nothing behind it is none.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_agreement_opens_a_websocket() {
    for (status, expected) in [(403, 403), (404, 404), (200, 502), (204, 502)] {
        for by_upgrade in [true, false] {
            let (raw, scene) = Raw::before("").await;
            let answers = async {
                let (request, mut respond) = raw.asked().await;
                let answer = Response::builder().status(status).header("x-says", "service").body(()).unwrap();
                respond.send_response(answer, true).unwrap();
                request.into_body().data().await.is_none_or(|data| data.is_ok_and(|data| data.is_empty()))
            };
            let token = scene.token();
            let asks = async {
                if by_upgrade {
                    return refused(upgrade(&scene, "/socket", &token, &[]).await).0;
                }
                let mut client = scene.front.caller(None).connect_h2().await;
                let plain = http::Request::get(url("/nowhere")).body(Empty::new()).unwrap();
                client.send_request(plain).await.unwrap();
                let request = proved(&scene, wish("/socket", "websocket"), "/socket", "CONNECT", &token);
                ask(&mut client, request).await.status().as_u16()
            };
            let (got, _) = tokio::join!(asks, answers);
            assert_eq!(got, expected, "{status} to an upgrade: {by_upgrade}");
        }
    }
}

/// A stream that is reset in the midst of a frame ends the WebSocket without a Close frame, whatever its code; and a client
/// that is gone leaves no stream behind.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_breaks_off_ends_the_other_side_too() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let (raw, scene) = Raw::before("").await;
        let token = scene.token();
        let (opened, (_from, mut to)) = tokio::join!(upgrade(&scene, "/socket", &token, &[]), raw.agrees());
        let mut stream = opened.unwrap().0.into_inner();
        to.send_data(Bytes::from_static(b"\x82\x7e\x10\x00half of it"), false).unwrap();
        let mut came = [0; 14];
        stream.read_exact(&mut came).await.unwrap();
        to.send_reset(reason);
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(crate::support::PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok() && rest.is_empty(), "{reason:?}: {ended:?} {rest:?}");
    }
    let (raw, scene) = Raw::before("").await;
    let token = scene.token();
    let (opened, (mut from, to)) = tokio::join!(upgrade(&scene, "/socket", &token, &[]), raw.agrees());
    opened.unwrap().0.into_inner().into_inner().0.set_zero_linger().unwrap();
    let end = tokio::time::timeout(crate::support::PATIENCE, from.data()).await.expect("it ends");
    assert!(end.is_none_or(|data| data.is_err()), "no frame was sent");
    drop(to);
}

/// A service that ends its half still gets what the client has to say, and the client's end (RFC 6455 section 7.1.1).
#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_good_order_passes_both_ways() {
    let (raw, scene) = Raw::before("").await;
    let token = scene.token();
    let (opened, (mut from, mut to)) = tokio::join!(upgrade(&scene, "/socket", &token, &[]), raw.agrees());
    let mut socket = opened.unwrap().0;
    to.send_data(Bytes::from_static(b"\x88\x02\x03\xe8"), true).unwrap();
    assert_eq!(closed(&mut socket).await, (1000, String::new()));
    assert!(socket.next().await.is_none_or(|end| end.is_err()));
    let mut said = Vec::new();
    while let Some(data) = tokio::time::timeout(crate::support::PATIENCE, from.data()).await.unwrap() {
        said.extend_from_slice(&data.expect("an end in good order"));
    }
    assert_eq!((said[0], said[1]), (0x88, 0x82), "the client's Close frame, masked");
    assert!(from.is_end_stream());
}

/// DS-002: what the service does not take stays with the client, and not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_nothing_ends_its_websocket() {
    let (raw, scene) = Raw::before("\n  limits: { idle_timeout: 1s }").await;
    let token = scene.token();
    let (opened, (from, _to)) = tokio::join!(upgrade(&scene, "/socket", &token, &[]), raw.agrees());
    let (mut says, mut hears) = opened.unwrap().0.split();
    let flood = async {
        while says.send(Message::Binary(vec![7; 60_000].into())).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let told = tokio::select! {
        told = tokio::time::timeout(crate::support::PATIENCE, hears.next()) => told.expect("it ends"),
        () = flood => None,
    };
    let Some(Ok(Message::Close(Some(frame)))) = told else { panic!("{told:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "idle"));
    drop(from);
}
