//! The public port: accepts connections up to the limit, each with its TLS handshake and its protocol.
//!
//! At the limit nothing more is accepted until a connection ends; the kernel's backlog takes the burst. A connection that
//! has not finished its handshake by then may have to make room ([`arrivals`](super::arrivals)), and where others wait, so may
//! those that do nothing ([`settled`](super::settled)).
//! A failing `accept` (no file descriptors left) backs off instead of spinning. Plain HTTP on this port
//! fails the handshake and is closed.

use super::activity::Activity;
use super::arrivals::{self, Arrivals};
use super::connection::{self, Phase};
use super::current::{Current, Seat};
use super::handshakes::Handshakes;
use super::peers::Peers;
use super::piece::QUEUE;
use super::proxy;
use super::reception::Introduced;
use super::settled::Settled;
use super::tls::Handshake;
use super::watched::Watched;
use crate::config::Limits;
use crate::state::rates::network;
use crate::telemetry::Telemetry;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use rustix::event::{self, PollFd, PollFlags, Timespec};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Everything a connection needs.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) current: Arc<Current>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) peers: Arc<Peers>,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) settled: Arc<Settled>,
    pub(super) phase: watch::Receiver<Phase>,
    /// One permit for each connection that may still be opened.
    pub(super) room: Arc<Semaphore>,
}

impl Listener {
    /// Accepts until the sidecar stops. What the kernel has accepted by then is still served.
    pub(super) async fn run(self: Arc<Listener>, socket: TcpListener) {
        let mut phase = self.phase.clone();
        loop {
            let stopping = async { phase.wait_for(|phase| *phase != Phase::Running).await.is_ok() };
            tokio::select! {
                biased;
                _ = stopping => break,
                accepted = self.next(&socket) => self.welcome(accepted).await,
            }
        }
        if let Err(error) = self.take_the_last(socket).await {
            tracing::warn!(%error, "can't accept the last connections");
        }
    }

    /// The kernel is asked and not the reactor, which may not have heard of the last ones yet: when the socket closes, they
    /// are reset.
    async fn take_the_last(self: &Arc<Listener>, socket: TcpListener) -> io::Result<()> {
        let socket = socket.into_std()?;
        while let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            let (stream, peer) = match socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            self.welcome(Ok((stream, plain(peer), permit))).await;
        }
        Ok(())
    }

    async fn welcome(
        self: &Arc<Listener>,
        accepted: io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)>,
    ) {
        match accepted {
            Ok((stream, peer, permit)) => {
                let listener = Arc::clone(self);
                tokio::spawn(async move {
                    let _open = Open::new(permit, listener.telemetry.metrics.connections.clone());
                    listener.serve(stream, peer).await;
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                sleep(BACK_OFF).await;
            }
        }
    }

    /// Room first, then the connection: at the limit clients wait in the backlog.
    async fn next(&self, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = self.room(socket).await?;
        let (stream, peer) = socket.accept().await?;
        Ok((stream, plain(peer), permit))
    }

    async fn room(&self, socket: &TcpListener) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
            return Ok(permit);
        }
        let mut permit = pin!(Arc::clone(&self.room).acquire_owned());
        loop {
            if !self.arrivals.make_room() && does_somebody_wait(socket) {
                let going = self.settled.make_room();
                (0..going).for_each(|_| self.telemetry.metrics.connection_refused("idle"));
            }
            if let Ok(permit) = timeout(arrivals::PATIENCE, &mut permit).await {
                return permit.map_err(io::Error::other);
            }
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(Introduced { source, handshake, told, limits, place: _place }) =
            self.received(stream, peer).await
        else {
            return;
        };
        let address = source.client;
        let Handshake { stream, http2, chain, terms } = handshake;
        let activity = Activity::new(told);
        let _tunnel = activity.tunnels.ends_with_connection();
        let _settled = self.settled.enter(network(address.ip()), &activity);
        let seat = Seat::new(Arc::clone(&self.current), Arc::clone(&activity), source, chain, terms);
        let answer = move |request| proxy::serve(seat.peer(), request);
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity), http2));
        let phase = self.phase.clone();
        if http2 {
            activity.tunnels.are_streams(phase.clone());
            // Boxed: each request becomes a task, and its future would be moved ten times on the way.
            let service = service_fn(move |request| Box::pin(answer(request)));
            let connection = http2_within(&limits).serve_connection(io, service);
            let wind_up = http2::Connection::graceful_shutdown;
            connection::supervise(connection, wind_up, &activity, &self.current, true, phase).await;
        } else {
            let service = service_fn(answer);
            let connection = http1_within(&limits).serve_connection(io, service).with_upgrades();
            let wind_up = http1::UpgradeableConnection::graceful_shutdown;
            connection::supervise(connection, wind_up, &activity, &self.current, false, phase.clone()).await;
            // It keeps its place among the connections.
            if let Some(tunnel) = activity.tunnels.take() {
                drop(Box::pin(tunnel.run(phase)).await);
            }
        }
        if let Some(unreadable) = activity.unreadable() {
            unreadable.record(&self.telemetry, address);
        }
    }
}

/// Header sections within bounds (HTTP-25).
fn http1_within(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(LEAST_BUFFER))
        .header_read_timeout(None);
    builder
}

/// Within bounds that no client needs to pass (H2-08).
fn http2_within(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(QUEUE)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    builder
}

/// The place of an open connection, given back when it ends in whatever way.
struct Open {
    _permit: OwnedSemaphorePermit,
    count: Gauge,
}

impl Open {
    fn new(permit: OwnedSemaphorePermit, count: Gauge) -> Open {
        count.inc();
        Open { _permit: permit, count }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.dec();
    }
}

/// A socket of both families knows IPv4 addresses as `::ffff:192.0.2.1`; nobody who reads a log does.
fn plain(peer: SocketAddr) -> SocketAddr {
    match peer.ip().to_canonical() {
        IpAddr::V4(address) => SocketAddr::new(IpAddr::V4(address), peer.port()),
        IpAddr::V6(_) => peer,
    }
}

/// Whether a connection is there to be accepted.
fn does_somebody_wait(socket: &TcpListener) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::IN)];
    event::poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// The connection is gone already; the next one may be fine (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

const BACK_OFF: Duration = Duration::from_millis(100);

/// The least buffer that hyper accepts, in bytes.
const LEAST_BUFFER: usize = 8192;

/// How many streams a client may open and reset, or make us reset, before its connection is cut (CVE-2023-44487;
/// CVE-2025-8671: DS-006).
const MAX_RESETS: usize = 20;
const MAX_LOCAL_RESETS: usize = 1024;

/// What one connection may make us hold of unread uploads, in bytes. Of responses, see `piece`.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
