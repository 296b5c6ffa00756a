//! A service of WebSockets, by a library that is not ours: it echoes, or talks without end.

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::ext::Protocol;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// A running service: `/…/chatty` sends large messages as fast as they are taken, any other path echoes.
pub struct Sockets {
    /// Where it listens, without TLS.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    targets: Mutex<Vec<String>>,
    handshakes: Mutex<Vec<HeaderMap>>,
    ends: Mutex<Vec<Option<u16>>>,
}

impl Sockets {
    /// Starts it on an ephemeral port.
    pub async fn start() -> Sockets {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Sockets { address, seen }
    }

    /// The same over HTTP/2 (RFC 8441); whatever asks for no WebSocket is answered with 200.
    pub async fn start_http2() -> Sockets {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| connected(request, Arc::clone(&shared)));
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.enable_connect_protocol();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Sockets { address, seen }
    }

    /// Method, target and protocol of every handshake over HTTP/2.
    pub fn targets(&self) -> Vec<String> {
        self.seen.targets.lock().unwrap().clone()
    }

    /// The header fields of every handshake.
    pub fn handshakes(&self) -> Vec<HeaderMap> {
        self.seen.handshakes.lock().unwrap().clone()
    }

    /// How each WebSocket ended: with the code of a Close frame, or without one.
    pub fn ends(&self) -> Vec<Option<u16>> {
        self.seen.ends.lock().unwrap().clone()
    }
}

#[allow(clippy::result_large_err, reason = "the library wants it so")]
async fn serve(stream: TcpStream, seen: Arc<Seen>) {
    let mut chatty = false;
    let look = |request: &Request, response: Response| {
        chatty = request.uri().path().ends_with("/chatty");
        seen.handshakes.lock().unwrap().push(request.headers().clone());
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, look).await else { return };
    talk(socket, chatty, &seen).await;
}

/// Agrees to the first of the subprotocols. The answer to a key that was not sent means nothing.
async fn connected(
    mut request: http::Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<http::Response<Empty<Bytes>>, Infallible> {
    let mut answer = http::Response::new(Empty::new());
    let protocol = request.extensions().get::<Protocol>().map(|protocol| protocol.as_str().to_owned());
    let Some(protocol) = protocol.filter(|_| request.method() == Method::CONNECT) else {
        return Ok(answer);
    };
    if request.uri().path().ends_with("/closed") {
        *answer.status_mut() = StatusCode::FORBIDDEN;
        return Ok(answer);
    }
    seen.targets.lock().unwrap().push(format!("{} {} {protocol}", request.method(), request.uri()));
    seen.handshakes.lock().unwrap().push(request.headers().clone());
    let offered = request.headers().get("sec-websocket-protocol").and_then(|offered| offered.to_str().ok());
    if let Some(first) = offered.and_then(|offered| offered.split(", ").next()) {
        answer.headers_mut().insert("sec-websocket-protocol", first.parse().unwrap());
    }
    answer.headers_mut().insert("sec-websocket-accept", "anything".parse().unwrap());
    let chatty = request.uri().path().ends_with("/chatty");
    tokio::spawn(async move {
        let Ok(stream) = hyper::upgrade::on(&mut request).await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
        talk(socket, chatty, &seen).await;
    });
    Ok(answer)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocketStream<S>, chatty: bool, seen: &Seen) {
    let (mut sink, mut stream) = socket.split();
    if chatty {
        let talk = async {
            for length in [0, 1, 125, 126, 5000, 70_000].into_iter().cycle() {
                if sink.send(Message::Binary(vec![7; length].into())).await.is_err() {
                    return;
                }
            }
        };
        let listen = async { while let Some(Ok(_)) = stream.next().await {} };
        tokio::select! { () = talk => {}, () = listen => {} }
        return seen.ends.lock().unwrap().push(None);
    }
    let end = loop {
        match stream.next().await {
            Some(Ok(Message::Close(frame))) => break frame.map(|frame| frame.code.into()),
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                let _ = sink.send(message).await;
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(_)) | None => break None,
        }
    };
    seen.ends.lock().unwrap().push(end);
}
