//! WebSockets over HTTP/2 (RFC 8441): each a stream of its own, with the rules of those over HTTP/1.1.

use super::Scene;
use crate::support::authorization_server::node;
use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::program::Program;
use crate::support::proof::Proof;
use crate::support::sockets::Sockets;
use crate::support::wire::H2;
use crate::support::world::url;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(super) const ROUTES: &str = "  - { path: /open, danger_unprotected: true }
  - { path: '/posts/{*rest}', methods: [POST], proof: [dpop] }
  - { path: '/{*rest}', methods: [GET], proof: [dpop] }
";

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A connection whose settings have come: only then may a client ask for a WebSocket (RFC 8441 section 4).
pub(super) async fn connect(scene: &Scene) -> H2 {
    let mut client = scene.front.caller(None).connect_h2().await;
    client.ready().await.unwrap();
    let first = Request::get(url("/nowhere")).body(Empty::new()).unwrap();
    client.send_request(first).await.unwrap();
    client
}

pub(super) fn wish(path: &str, protocol: &'static str) -> http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri(url(path))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
}

/// With a token, and a proof for this method.
pub(super) fn proved(
    scene: &Scene,
    wish: http::request::Builder,
    path: &str,
    method: &str,
    token: &str,
) -> Request<Empty<Bytes>> {
    let key = &scene.front.client;
    let proof = Proof::new(key, method, &url(path), token).sign(key);
    let wish = wish.header("authorization", format!("DPoP {token}")).header("dpop", proof);
    wish.body(Empty::new()).unwrap()
}

pub(super) async fn ask(client: &mut H2, request: Request<Empty<Bytes>>) -> Response<Incoming> {
    client.ready().await.unwrap();
    let answered = tokio::time::timeout(crate::support::PATIENCE, client.send_request(request)).await;
    answered.expect("an answer in time").unwrap()
}

pub(super) async fn open(scene: &Scene, client: &mut H2, path: &str, token: &str) -> Socket {
    let request = proved(scene, wish(path, "websocket"), path, "CONNECT", token);
    let answer = ask(client, request).await;
    assert_eq!(answer.status(), 200);
    for name in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert!(!answer.headers().contains_key(name), "{:?}", answer.headers());
    }
    let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

pub(super) async fn echoes<S>(socket: &mut WebSocketStream<S>, text: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.send(Message::text(text)).await.unwrap();
    let echoed = tokio::time::timeout(crate::support::PATIENCE, socket.next()).await;
    assert_eq!(echoed.expect("an echo in time").unwrap().unwrap(), Message::text(text));
}

/// Reads on to the Close frame: its code and its reason.
pub(super) async fn closed<S>(socket: &mut WebSocketStream<S>) -> (u16, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closed = async {
        loop {
            let message = socket.next().await.expect("a Close frame").expect("only whole frames");
            if let Message::Close(frame) = message {
                break frame.map(|f| (f.code.into(), f.reason.to_string()));
            }
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, closed).await.expect("it is closed").expect("a code")
}

/// RV-039: a stream is cut alone.
#[tokio::test(flavor = "multi_thread")]
async fn websockets_are_streams_and_end_one_by_one() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, ROUTES, "").await;
    let mut client = connect(&scene).await;
    let (token, other) = (scene.token(), scene.token());
    let mut socket = open(&scene, &mut client, "/socket", &token).await;
    let mut chatty = open(&scene, &mut client, "/chatty", &token).await;
    let mut spared = open(&scene, &mut client, "/socket", &other).await;
    echoes(&mut socket, "hello").await;
    echoes(&mut spared, &"long".repeat(50_000)).await;
    for _ in 0..50 {
        chatty.next().await.unwrap().unwrap();
    }
    assert_eq!(scene.metric("clinch_connections").await, 1);
    scene.revoke(&token);
    assert_eq!(closed(&mut socket).await, (1008, "token revoked".to_owned()));
    assert_eq!(closed(&mut chatty).await, (1008, "token revoked".to_owned()), "between two frames");
    echoes(&mut spared, "still here").await;
    drop((socket, chatty));
    eventually("the service to be told", async || (sockets.ends().len() == 2).then_some(())).await;
    assert!(sockets.ends().contains(&Some(1008)), "{:?}", sockets.ends());
    assert_eq!(scene.metric("clinch_cut_total{reason=\"revoked\"}").await, 2);
    let mut another = open(&scene, &mut client, "/socket", &other).await;
    echoes(&mut another, "on the same connection").await;
    spared.close(None).await.unwrap();
    another.close(None).await.unwrap();
    eventually("the ends to pass", async || (sockets.ends().len() == 4).then_some(())).await;
    drop((spared, another, client));
    let left = async || (scene.metric("clinch_connections").await == 0).then_some(());
    eventually("the connection to end", left).await;
    for fields in sockets.handshakes() {
        assert_eq!(fields["clinch-subject"], "alice");
        assert_eq!(fields["host"], HOST);
        assert!(!fields.contains_key("authorization") && !fields.contains_key("dpop"), "{fields:?}");
    }
    let keys: std::collections::BTreeSet<_> = sockets
        .handshakes()
        .iter()
        .map(|fields| fields["sec-websocket-key"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 4, "each handshake has its own key");
}

/// DPOP-09: the proof is for what the client sends, the route for what the service gets.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_wish_for_a_websocket_is_refused() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, ROUTES, "").await;
    let mut client = connect(&scene).await;
    let token = scene.token();
    let answer =
        ask(&mut client, proved(&scene, wish("/socket", "websocket"), "/socket", "GET", &token)).await;
    assert_eq!(answer.status(), 401, "a proof for another method");
    let answer = ask(&mut client, wish("/socket", "websocket").body(Empty::new()).unwrap()).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().contains_key("www-authenticate"));
    let answer =
        ask(&mut client, proved(&scene, wish("/posts/1", "websocket"), "/posts/1", "CONNECT", &token)).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"POST".parse().unwrap()));
    for protocol in ["connect-udp", "webtransport", "WebSocket", ""] {
        let answer =
            ask(&mut client, proved(&scene, wish("/socket", protocol), "/socket", "CONNECT", &token)).await;
        assert_eq!(answer.status(), 501, "{protocol:?}");
    }
    let old = Request::builder().method(Method::CONNECT).uri(url("/socket"));
    let old = old.extension(Protocol::from_static("websocket")).header("sec-websocket-version", "8");
    assert_eq!(ask(&mut client, proved(&scene, old, "/socket", "CONNECT", &token)).await.status(), 400);
    let plain =
        Request::builder().method(Method::CONNECT).uri(format!("{HOST}:443")).body(Empty::new()).unwrap();
    assert_eq!(ask(&mut client, plain).await.status(), 501, "a tunnel to anywhere");
    assert!(sockets.handshakes().is_empty());
    let mut socket = open(&scene, &mut client, "/socket", &token).await;
    echoes(&mut socket, "the connection is none the worse").await;
}

/// A service that says these bytes to whoever asks for a WebSocket; the heads it got.
async fn service(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
    let shared = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            shared.lock().unwrap().append(&mut head);
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.read_buf(&mut head).await;
        }
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_service_that_agrees_gets_a_tunnel() {
    for (answer, expected) in [
        ("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", 426),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        // A success without a switch would be the tunnel to the client, and is none to the service.
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 502),
        ("HTTP/1.1 204 No Content\r\n\r\n", 502),
        // An answer to another key: someone has not read this request.
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            502,
        ),
        ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
    ] {
        let (address, heard) = service(answer).await;
        let scene = Scene::before(address, ROUTES, "").await;
        let mut client = connect(&scene).await;
        let wish = wish("/socket?a=b", "websocket").header("sec-websocket-protocol", "chat");
        let request = proved(&scene, wish, "/socket", "CONNECT", &scene.token());
        assert_eq!(ask(&mut client, request).await.status(), expected, "{answer}");
        let head = String::from_utf8(heard.lock().unwrap().clone()).unwrap().to_lowercase();
        assert!(head.starts_with("get /socket?a=b http/1.1\r\n"), "{head}");
        for line in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-protocol: chat",
        ] {
            assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {head}");
        }
        assert_eq!(head.matches("sec-websocket-key: ").count(), 1, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_a_connection_are_told_when_the_sidecar_goes_away() {
    let sockets = Sockets::start().await;
    let mut scene = Scene::before(sockets.address, ROUTES, "\n  drain: 5s").await;
    let mut client = connect(&scene).await;
    let token = scene.token();
    let mut one = open(&scene, &mut client, "/socket", &token).await;
    let mut two = open(&scene, &mut client, "/socket", &token).await;
    let began = Instant::now();
    scene.front.clinch.program.terminate();
    echoes(&mut one, "while it drains").await;
    assert_eq!(closed(&mut one).await, (1001, "going away".to_owned()));
    assert_eq!(closed(&mut two).await, (1001, "going away".to_owned()));
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    drop((one, two));
    assert!(scene.front.clinch.program.ended().await.success());
}

/// A client of another making, which sends a key over HTTP/2, too, and wants its answer.
#[tokio::test(flavor = "multi_thread")]
async fn undici_opens_a_websocket_over_http_2() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, ROUTES, "").await;
    let token = scene.token();
    let key = &scene.front.client;
    let proof = Proof::new(key, "CONNECT", &url("/socket"), &token).sign(key);
    let long = "long ".repeat(20_000);
    let task = json!({
        "ca": scene.front.pki.ca_pem, "host": HOST, "port": scene.front.clinch.address.port(), "path": "/socket",
        "headers": { "authorization": format!("DPoP {token}"), "dpop": proof },
        "say": ["hello", long, "bye"],
    });
    let mut program = Program::start(&mut node("socket.mjs"));
    program.tell(&task.to_string());
    let event =
        |name: &'static str| move |line: &str| serde_json::from_str::<Value>(line).ok()?.get(name).cloned();
    let opened = program.hear("the WebSocket to open", event("open")).await;
    assert_eq!(opened["alpn"], "h2", "{}", program.output());
    let said = |text: &'static str| move |line: &str| (event("message")(line)? == text).then_some(());
    program.hear("the first echo", said("hello")).await;
    program.hear("the last echo", said("bye")).await;
    assert!(program.output().contains(&long));
    scene.revoke(&token);
    let close = program.hear("the end", event("close")).await;
    assert_eq!(close, json!({ "code": 1008, "reason": "token revoked" }), "{}", program.output());
    assert_eq!(sockets.handshakes().len(), 1);
}
