//! WebSockets to a service that speaks HTTP/2: each a stream there, by an extended CONNECT (RFC 8441), whatever the client
//! speaks.

mod raw;

use super::Scene;
use super::sockets::{ROUTES, Socket, ask, closed, connect, echoes, open, proved, wish};
use crate::support::authorization_server::node;
use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::program::Program;
use crate::support::proof::Proof;
use crate::support::sockets::Sockets;
use crate::support::world::url;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

type Upgraded = WebSocketStream<TlsStream<TcpStream>>;

/// Opens one by an upgrade of HTTP/1.1. The library looks at the answer to its key.
async fn upgrade(
    scene: &Scene,
    path: &str,
    token: &str,
    more: &[(&'static str, &str)],
) -> Result<(Upgraded, http::HeaderMap), Error> {
    let mut request = format!("wss://{HOST}{path}").into_client_request().unwrap();
    let path = path.split('?').next().unwrap();
    let proved = scene.credentials("GET", path, token);
    let proved = proved.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in proved.chain(more.iter().copied()) {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = scene.front.caller(None).connect().await;
    let opened = tokio::time::timeout(crate::support::PATIENCE, client_async(request, stream)).await;
    opened.expect("an answer in time").map(|(socket, answer)| (socket, answer.headers().clone()))
}

/// The status of a refusal, and its text.
fn refused<T>(opened: Result<T, Error>) -> (u16, String) {
    match opened.err() {
        Some(Error::Http(answer)) => {
            let text = String::from_utf8(answer.body().clone().unwrap_or_default()).unwrap();
            (answer.status().as_u16(), text)
        }
        other => panic!("{other:?}"),
    }
}

/// RV-039, HTTP-09, SBCP-04: either client gets what a service of HTTP/1.1 would give it.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_of_either_client_is_a_stream_of_the_service() {
    let sockets = Sockets::start_http2().await;
    let scene = Scene::before_http2(sockets.address, ROUTES).await;
    let (token, other) = (scene.token(), scene.token());
    let more = [
        ("sec-websocket-protocol", "chat, other"),
        ("sec-websocket-extensions", "x-test"),
        ("clinch-subject", "mallory"),
    ];
    let (mut socket, agreed) = upgrade(&scene, "/socket?a=b", &token, &more).await.unwrap();
    assert_eq!(agreed["sec-websocket-protocol"], "chat");
    let mut client = connect(&scene).await;
    let mut stream: Socket = open(&scene, &mut client, "/socket", &token).await;
    let (mut chatty, _) = upgrade(&scene, "/chatty", &token, &[]).await.unwrap();
    let (mut spared, _) = upgrade(&scene, "/socket", &other, &[]).await.unwrap();
    let long = "long".repeat(50_000);
    for text in ["hello", &long] {
        echoes(&mut socket, text).await;
        echoes(&mut stream, text).await;
    }
    for _ in 0..50 {
        chatty.next().await.unwrap().unwrap();
    }
    assert_eq!(scene.metric("clinch_upstream_connections").await, 1, "all of them share one");
    scene.revoke(&token);
    let revoked = (1008, "token revoked".to_owned());
    assert_eq!(closed(&mut socket).await, revoked);
    assert_eq!(closed(&mut stream).await, revoked);
    assert_eq!(closed(&mut chatty).await, revoked, "between two frames");
    echoes(&mut spared, "still here").await;
    spared.close(None).await.unwrap();
    drop((socket, stream, chatty));
    eventually("the service to be told", async || (sockets.ends().len() == 4).then_some(())).await;
    let told = sockets.ends().iter().filter(|end| **end == Some(1008)).count();
    assert_eq!(told, 2, "of three, for who talks does not listen: {:?}", sockets.ends());
    let ended = async || (scene.metric("clinch_in_flight").await == 0).then_some(());
    eventually("all places to be given back", ended).await;

    assert_eq!(sockets.targets()[0], format!("CONNECT http://{HOST}/socket?a=b websocket"));
    let fields = &sockets.handshakes()[0];
    assert_eq!(fields["clinch-subject"], "alice");
    assert_eq!(fields["sec-websocket-version"], "13");
    assert_eq!(fields["sec-websocket-protocol"], "chat, other");
    assert_eq!(fields["sec-websocket-extensions"], "x-test");
    for fields in sockets.handshakes() {
        for name in ["authorization", "dpop", "sec-websocket-key", "upgrade", "connection", "host"] {
            assert!(!fields.contains_key(name), "{name}: {fields:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_told_when_the_sidecar_goes_away() {
    let sockets = Sockets::start_http2().await;
    let mut scene = Scene::before_http2_within(sockets.address, ROUTES, "\n  drain: 5s").await;
    let token = scene.token();
    let (mut socket, _) = upgrade(&scene, "/socket", &token, &[]).await.unwrap();
    let mut client = connect(&scene).await;
    let mut stream = open(&scene, &mut client, "/socket", &token).await;
    scene.front.clinch.program.terminate();
    echoes(&mut socket, "while it drains").await;
    assert_eq!(closed(&mut socket).await, (1001, "going away".to_owned()));
    assert_eq!(closed(&mut stream).await, (1001, "going away".to_owned()));
    drop((socket, stream));
    assert!(scene.front.clinch.program.ended().await.success());
    eventually("the ends to pass", async || (sockets.ends().len() == 2).then_some(())).await;
    assert_eq!(sockets.ends(), [Some(1001); 2]);
}

/// RFC 8441 section 3: a service that does not say that it takes them is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_no_websockets_is_asked_for_none() {
    let service = crate::support::grpc::Service::start().await;
    let scene = Scene::before_http2(service.address, ROUTES).await;
    let token = scene.token();
    let (status, text) = refused(upgrade(&scene, "/socket", &token, &[]).await);
    assert_eq!(status, 501);
    assert!(text.contains("websocket_unsupported"), "{text}");
    let mut client = connect(&scene).await;
    let heads = service.heads().len();
    let request = proved(&scene, wish("/socket", "websocket"), "/socket", "CONNECT", &token);
    let answer = ask(&mut client, request).await;
    assert_eq!(answer.status(), 501);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("websocket_unsupported"), "{text:?}");
    assert_eq!(service.heads().len(), heads, "neither came to the service");
    assert_eq!(scene.metric("clinch_upstream_connections").await, 1, "which is none the worse");
    assert_eq!(scene.metric("clinch_upstream_failures_total{reason=\"websocket_unsupported\"}").await, 2);
    assert_eq!(refused(upgrade(&scene, "/socket", "nothing", &[]).await).0, 401);
}

/// Two of another making: undici's WebSocket over either version of HTTP, and Node's HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn undici_speaks_with_node_over_http_2() {
    let mut service = Program::start(&mut node("sockets.mjs"));
    let event =
        |name: &'static str| move |line: &str| serde_json::from_str::<Value>(line).ok()?.get(name).cloned();
    let port = service.hear("the service to listen", event("port")).await.as_u64().unwrap();
    let scene = Scene::before_http2(format!("127.0.0.1:{port}").parse().unwrap(), ROUTES).await;
    for (http1, method, path) in [(true, "GET", "/first"), (false, "CONNECT", "/second")] {
        let (token, key) = (scene.token(), &scene.front.client);
        let proof = Proof::new(key, method, &url(path), &token).sign(key);
        let task = json!({
            "ca": scene.front.pki.ca_pem, "host": HOST, "port": scene.front.clinch.address.port(), "path": path,
            "headers": { "authorization": format!("DPoP {token}"), "dpop": proof },
            "http1": http1, "protocols": ["chat"], "say": ["hello", "long ".repeat(20_000), "bye"],
        });
        let mut client = Program::start(&mut node("socket.mjs"));
        client.tell(&task.to_string());
        let opened = client.hear("the WebSocket to open", event("open")).await;
        assert_eq!(opened["protocol"], "chat", "{}", client.output());
        let bye = move |line: &str| (event("message")(line)? == "bye").then_some(());
        client.hear("the last echo", bye).await;
        let this = move |line: &str| event("opened")(line).filter(|fields| fields[":path"] == path);
        let fields = service.hear("the handshake", this).await;
        assert_eq!((&fields[":protocol"], &fields["clinch-subject"]), (&json!("websocket"), &json!("alice")));
        assert_eq!(fields[":authority"], HOST);
        let over = if http1 {
            client.tell("close");
            json!({ "code": 1000, "reason": "done" })
        } else {
            scene.revoke(&token);
            json!({ "code": 1008, "reason": "token revoked" })
        };
        assert_eq!(client.hear("the end", event("close")).await, over, "{}", client.output());
        let code = over["code"].clone();
        let told = move |line: &str| (event("closed")(line)? == code).then_some(());
        service.hear("the service to be told", told).await;
    }
}
