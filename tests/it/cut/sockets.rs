//! WebSockets: passed on where the caller proves possession, and closed with 1008 when the token is good no longer.

use super::{ROUNDS, Scene, Times, broken_off, contains};
use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::proof::now;
use crate::support::sockets::Sockets;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens one with a proof for the handshake.
async fn open(scene: &Scene, path: &str, token: &str) -> Result<Socket, Error> {
    let mut request = format!("wss://{HOST}{path}").into_client_request().unwrap();
    for (name, value) in scene.fields(path, token) {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = scene.front.caller(None).connect().await;
    client_async(request, stream).await.map(|(socket, _)| socket)
}

async fn echoes(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
}

/// Reads on to the Close frame: its code and its reason.
async fn closed(socket: &mut Socket) -> (u16, String) {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_closed_when_its_token_is_revoked() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, "").await;
    let mut spared = open(&scene, "/socket", &scene.token()).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let token = scene.token();
        let mut socket = open(&scene, "/socket", &token).await.unwrap();
        echoes(&mut socket, "hello").await;
        echoes(&mut socket, &"long".repeat(50_000)).await;
        let published = scene.revoke_token(&token).await;
        assert_eq!(closed(&mut socket).await, (1008, "token revoked".to_owned()));
        times.push(published.elapsed());
    }
    echoes(&mut spared, "still here").await;
    eventually("the service to be told", async || (sockets.ends().len() == ROUNDS).then_some(())).await;
    assert_eq!(sockets.ends(), [Some(1008); ROUNDS]);
    assert_eq!(scene.cuts("revoked").await, ROUNDS as u64);
    let left = async || (scene.metric("clinch_connections").await == 1).then_some(());
    eventually("the connections to be given back", left).await;
    for fields in sockets.handshakes() {
        assert_eq!(fields["clinch-subject"], "alice");
        assert!(!fields.contains_key("authorization") && !fields.contains_key("dpop"), "{fields:?}");
    }
    Times("a WebSocket, journal", times).within_a_moment();
    spared.close(None).await.unwrap();
    eventually("the end to pass", async || (sockets.ends().len() == ROUNDS + 1).then_some(())).await;
    let left = async || (scene.metric("clinch_connections").await == 0).then_some(());
    eventually("the last connection to be given back", left).await;
}

/// In the midst of large frames the Close frame comes between two of them, or the client would not understand it.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_under_load_is_closed_between_two_frames() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, "").await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let token = scene.token();
        let mut socket = open(&scene, "/chatty", &token).await.unwrap();
        for _ in 0..50 {
            socket.next().await.unwrap().unwrap();
        }
        let published = scene.revoke_token(&token).await;
        assert_eq!(closed(&mut socket).await, (1008, "token revoked".to_owned()));
        times.push(published.elapsed());
    }
    Times("a WebSocket under load, journal", times).within_a_moment();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_its_token_unless_its_route_lets_it_live() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, "").await;
    let exp = now() + 8;
    let token = |name: &str| scene.front.token(&json!({ "jti": name, "exp": exp }));
    let mut lasting = open(&scene, "/lasting/socket", &token("lasting")).await.unwrap();
    let mut socket = open(&scene, "/socket", &token("other")).await.unwrap();
    assert_eq!(closed(&mut socket).await, (1008, "token expired".to_owned()));
    assert!(now() >= exp, "before its time");
    tokio::time::sleep(Duration::from_millis(300)).await;
    echoes(&mut lasting, "still here").await;
    scene.revoke(json!({ "jti": "lasting" })).await;
    assert_eq!(closed(&mut lasting).await, (1008, "token revoked".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_told_when_the_sidecar_goes_away() {
    let sockets = Sockets::start().await;
    let mut scene = Scene::before(sockets.address, "\n  drain: 5s").await;
    let mut socket = open(&scene, "/socket", &scene.token()).await.unwrap();
    echoes(&mut socket, "hello").await;
    let began = Instant::now();
    scene.front.clinch.program.terminate();
    echoes(&mut socket, "while it drains").await;
    assert_eq!(closed(&mut socket).await, (1001, "going away".to_owned()));
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    drop(socket);
    assert!(scene.front.clinch.program.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_without_a_good_token_is_refused() {
    let sockets = Sockets::start().await;
    let scene = Scene::before(sockets.address, "").await;
    let token = scene.token();
    scene.revoke_token(&token).await;
    let refused =
        eventually("the event to count", async || open(&scene, "/socket", &token).await.err()).await;
    assert!(matches!(&refused, Error::Http(answer) if answer.status() == 401), "{refused}");
    let count = sockets.handshakes().len();
    let request = format!("wss://{HOST}/socket").into_client_request().unwrap();
    let stream = scene.front.caller(None).connect().await;
    let refused = client_async(request, stream).await.err().unwrap();
    assert!(matches!(&refused, Error::Http(answer) if answer.status() == 401), "{refused}");
    assert_eq!(sockets.handshakes().len(), count);
}

/// A service that takes bytes as they come and says these, the first after the request, the second a while later.
async fn raw(first: &'static [u8], second: &'static [u8]) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
    let shared = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = Arc::clone(&shared);
            tokio::spawn(async move {
                let (mut bytes, mut said) = (Vec::new(), false);
                while let Ok(1..) = stream.read_buf(&mut bytes).await {
                    heard.lock().unwrap().append(&mut bytes);
                    if !said && contains(&heard.lock().unwrap(), b"\r\n\r\n") {
                        said = true;
                        // Long enough for whatever else would come before the answer.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        stream.write_all(first).await.unwrap();
                        stream.write_all(second).await.unwrap();
                    }
                }
            });
        }
    });
    (address, heard)
}

const WISH: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const AGREED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The handshake byte by byte, with bytes behind it.
async fn shake(scene: &Scene, token: &str, behind: &[u8]) -> TlsStream<TcpStream> {
    let fields: String =
        scene.fields("/socket", token).iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    let mut stream = scene.front.caller(None).connect().await;
    let head = format!("GET /socket HTTP/1.1\r\nHost: {HOST}\r\n{fields}{WISH}\r\n");
    stream.write_all(&[head.as_bytes(), behind].concat()).await.unwrap();
    stream
}

/// HD-028, HTTP-15: what is behind the handshake is for the service if it agrees, and never passes before that.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_a_handshake_passes_before_the_service_agrees() {
    let inner = format!("GET /inner HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let (address, heard) =
        raw(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"").await;
    let scene = Scene::before(address, "").await;
    let mut stream = shake(&scene, &scene.token(), inner.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("HTTP/1.1 401 "), "the next request is judged as one: {answer}");
    let text = String::from_utf8(heard.lock().unwrap().clone()).unwrap().to_ascii_lowercase();
    assert!(text.ends_with("\r\n\r\n") && text.matches("\r\n\r\n").count() == 1, "{text}");
    assert!(
        text.contains("\r\nupgrade: websocket\r\n") && text.contains("\r\nconnection: upgrade\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nsec-websocket-key: dghlihnhbxbszsbub25jzq==\r\n"), "{text}");

    let (address, heard) = raw(AGREED, b"\x81\x05hello").await;
    let scene = Scene::before(address, "").await;
    let token = scene.token();
    let mut stream = shake(&scene, &token, b"\x81\x80key!").await;
    let mut answer = Vec::new();
    while !contains(&answer, b"hello") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    let passed = async || heard.lock().unwrap().ends_with(b"\r\n\r\n\x81\x80key!").then_some(());
    eventually("the frame behind the handshake to pass", passed).await;
}

/// A switch to anything else, by one who has not read the request, or of a request that did not ask, is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_switches_to_what_was_asked_for_or_not_at_all() {
    let mut head = [0; 12];
    for switch in [
        "Upgrade: h2c\r\n\r\n",
        "Upgrade: websocket\r\n\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\n\r\n",
    ] {
        let switch = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{switch}");
        let (address, _) = raw(switch.leak().as_bytes(), b"").await;
        let scene = Scene::before(address, "").await;
        let mut stream = shake(&scene, &scene.token(), b"").await;
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 502");
    }
    let (address, _) = raw(AGREED, b"").await;
    let scene = Scene::before(address, "").await;
    let mut stream = scene.send("/socket", &scene.token()).await;
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 502");
}

/// A frame that does not end gets no Close frame put into it: the connection is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_does_not_end_is_broken_off() {
    let (address, _) = raw(AGREED, b"\x82\x7e\x10\x00half of it").await;
    let scene = Scene::before(address, "").await;
    let token = scene.token();
    let mut stream = shake(&scene, &token, b"").await;
    let mut answer = Vec::new();
    while !contains(&answer, b"half of it") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    let published = scene.revoke_token(&token).await;
    let (rest, ended) = broken_off(&mut stream).await;
    println!("in the midst of a frame: closed {:.1?} after publication", ended - published);
    assert!(rest.is_empty(), "{rest:?}");
}
