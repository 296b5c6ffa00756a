//! A service of WebSockets, by a library that is not ours: it echoes, or talks without end.

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// A running service: `/…/chatty` sends large messages as fast as they are taken, any other path echoes.
pub struct Sockets {
    /// Where it listens, without TLS.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
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
