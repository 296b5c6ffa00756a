//! The port: accepts connections up to the limit, each with its handshake and its protocol, until it drains.

use super::peers::{Peers, Place};
use super::{Core, Phase, body, request, tls};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Who accepts.
#[derive(Clone)]
pub(super) struct Listener {
    core: Arc<Core>,
    most: usize,
    room: Arc<Semaphore>,
    peers: Arc<Peers>,
}

impl Listener {
    pub(super) fn new(core: Arc<Core>, most: usize) -> Listener {
        let peers = Peers::up_to(PER_ADDRESS, body::MOST);
        Listener { core, most, room: Arc::new(Semaphore::new(most)), peers }
    }

    /// Accepts until it drains, and then waits for the last connection.
    pub(super) async fn run(self, socket: TcpListener) {
        let mut phase = self.core.phase.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase == Phase::Draining) => break,
                accepted = self.next(&socket) => accepted,
            };
            match accepted {
                Ok((stream, peer, permit)) => {
                    // Whoever has too many is not waited for: others are behind it.
                    let Some(place) = self.peers.enter(peer.ip()) else { continue };
                    let listener = self.clone();
                    tokio::spawn(async move {
                        listener.core.metrics.connections.inc();
                        listener.serve(stream, peer, &place).await;
                        listener.core.metrics.connections.dec();
                        drop((place, permit));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections");
                    sleep(BACK_OFF).await;
                }
            }
        }
        drop(socket);
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        let _ = self.room.acquire_many(all).await;
    }

    /// Room first, then the connection: at the limit clients wait in the backlog.
    async fn next(&self, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = socket.accept().await?;
        Ok((stream, peer, permit))
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, place: &Place) {
        let _ = stream.set_nodelay(true);
        let handshake = TlsAcceptor::from(self.core.tls.load_full()).accept(stream);
        let stream = match timeout(HEADER_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.failed(peer, &error),
            Err(_) => return self.failed(peer, &io::ErrorKind::TimedOut.into()),
        };
        let (_, session) = stream.get_ref();
        if !tls::is_named(session.peer_certificates(), &self.core.names.load()) {
            self.core.metrics.handshake_failed();
            return tracing::warn!(%peer, "a client certificate with none of the names in `client_names`");
        }
        let http2 = session.alpn_protocol() == Some(b"h2");
        self.speak(stream, http2, place).await;
    }

    /// An API server that does not trust our certificate says so here, and nowhere else that we see.
    fn failed(&self, peer: SocketAddr, error: &io::Error) {
        self.core.metrics.handshake_failed();
        tracing::info!(%peer, %error, "TLS handshake failed");
    }

    async fn speak(&self, stream: TlsStream<TcpStream>, http2: bool, place: &Place) {
        let (core, pulse) = (Arc::clone(&self.core), Arc::new(Pulse::default()));
        let (seen, share) = (Arc::clone(&pulse), Arc::clone(&place.bytes));
        let service = service_fn(move |request: Request<Incoming>| {
            let (core, share, beat) = (Arc::clone(&core), Arc::clone(&share), Beat::of(&seen));
            async move {
                let response = request::answer(core, share, request).await;
                drop(beat);
                Ok::<_, Infallible>(response)
            }
        });
        let io = TokioIo::new(stream);
        let mut phase = self.core.phase.clone();
        // The watch ends with the webhook.
        let draining = async { drop(phase.wait_for(|phase| *phase == Phase::Draining).await) };
        let over = async {
            tokio::select! { () = draining => {}, () = pulse.idles() => {} }
        };
        if http2 {
            let mut connection = pin!(within_h2().serve_connection(io, service));
            tokio::select! { _ = connection.as_mut() => return, () = over => {} }
            connection.as_mut().graceful_shutdown();
            let _ = timeout(LONGEST_END, connection).await;
        } else {
            let mut connection = pin!(within_h1().serve_connection(io, service));
            tokio::select! { _ = connection.as_mut() => return, () = over => {} }
            connection.as_mut().graceful_shutdown();
            let _ = timeout(LONGEST_END, connection).await;
        }
    }
}

/// Whether anything is asked on a connection.
#[derive(Default)]
struct Pulse {
    under_way: AtomicUsize,
    asked: AtomicBool,
    beat: Notify,
}

/// One request, until it is dropped.
struct Beat(Arc<Pulse>);

impl Beat {
    fn of(pulse: &Arc<Pulse>) -> Beat {
        pulse.under_way.fetch_add(1, SeqCst);
        pulse.asked.store(true, SeqCst);
        pulse.beat.notify_one();
        Beat(Arc::clone(pulse))
    }
}
impl Drop for Beat {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
        self.0.beat.notify_one();
    }
}

impl Pulse {
    /// Returns when nothing was asked for too long.
    async fn idles(&self) {
        loop {
            let patience = if self.asked.load(SeqCst) { IDLE } else { HEADER_TIMEOUT };
            let quiet = timeout(patience, self.beat.notified()).await.is_err();
            if quiet && self.under_way.load(SeqCst) == 0 {
                return;
            }
        }
    }
}

fn within_h1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).max_buf_size(HEADER_BYTES).header_read_timeout(IDLE);
    builder
}

fn within_h2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES as u32)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_pending_accept_reset_streams(RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

const BACK_OFF: Duration = Duration::from_millis(100);
/// For the handshake, and then for the first request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than Go's clients keep a connection that nothing is asked on (90 s): then they close it, and no question meets a
/// closing connection.
const IDLE: Duration = Duration::from_secs(100);
/// For what is under way on a connection that ends. `listen.drain` may be shorter.
const LONGEST_END: Duration = Duration::from_secs(3600);
/// Connections of one address: an API server needs one or two. Others that come through the same proxy share them.
const PER_ADDRESS: usize = 64;
/// What may wait in a connection, read by nobody, in bytes.
const WINDOW: u32 = 256 << 10;
const HEADER_BYTES: usize = 16 << 10;
const STREAMS: u32 = 250;
const RESETS: usize = 20;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
