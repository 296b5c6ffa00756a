//! The HTTP/2 connections to the service, each shared by many requests (RFC 9113 section 3.3: prior knowledge, in clear).
//!
//! Requests go where most others are, as long as the service takes more at a time there, so that those of a busy hour
//! become idle and are closed. A connection that the service says farewell to (GOAWAY) gets nothing new and ends with its
//! last stream. A service that has died is noticed by a ping; they are rare, for gRPC servers end a connection with many.

use super::dial::{Dialed, Dialer, Open};
use super::stream::Exchange;
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use http::Request;
use parking_lot::Mutex;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, SetOnce};
use tokio::time::{Instant, sleep, timeout};

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Links {
    open: Mutex<Vec<Link>>,
    /// One is opened at a time: those who wait for it use it, too.
    opening: tokio::sync::Mutex<()>,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Link {
    sender: SendRequest<Bytes>,
    pulse: Arc<Pulse>,
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Pulse {
    streams: AtomicUsize,
    closed: AtomicBool,
    doubted: Notify,
    /// Somebody wants to know what it takes.
    asked: Notify,
    /// The service's settings have come, or never will.
    settled: SetOnce<()>,
}

/// A request's place on a connection, until this is dropped.
#[derive(Debug)]
pub(in crate::serve) struct Seat {
    sender: Option<SendRequest<Bytes>>,
    pulse: Arc<Pulse>,
    /// The connection was opened for this request.
    pub(super) is_first: bool,
}

impl Links {
    /// A place on a connection, on a new one if need be; `None` if the service can't be reached.
    pub(super) async fn seat(self: &Arc<Links>, dialer: &Dialer) -> Option<Seat> {
        if let Some(seat) = self.take() {
            return Some(seat);
        }
        let failures = self.failures.load(Relaxed);
        let _opening = self.opening.lock().await;
        if let Some(seat) = self.take() {
            return Some(seat);
        }
        // The attempt that was waited for failed: so would this one.
        if self.failures.load(Relaxed) != failures {
            return None;
        }
        let opened = self.open(dialer).await;
        if opened.is_none() {
            self.failures.fetch_add(1, Relaxed);
        }
        opened
    }

    /// A request got no answer in time: is anybody there?
    pub(super) fn doubt(&self) {
        self.open.lock().iter().for_each(|link| link.pulse.doubted.notify_one());
    }

    /// The fullest connection that takes another request; at the limit of connections, the emptiest.
    fn take(&self) -> Option<Seat> {
        let mut open = self.open.lock();
        open.retain(|link| !link.pulse.closed.load(Relaxed));
        let with_room = open.iter().filter(|link| link.has_room());
        let link = match with_room.max_by_key(|link| link.streams()) {
            None if open.len() >= MOST_LINKS => open.iter().min_by_key(|link| link.streams()),
            found => found,
        };
        link.map(Link::seat)
    }

    async fn open(self: &Arc<Links>, dialer: &Dialer) -> Option<Seat> {
        match dialer.dial().await? {
            Dialed::Tcp(stream) => self.begin(stream, dialer.opened()).await,
            Dialed::Unix(stream) => self.begin(stream, dialer.opened()).await,
        }
    }

    async fn begin<S>(self: &Arc<Links>, stream: S, counted: Open) -> Option<Seat>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            timeout(HANDSHAKE, builder().handshake::<_, Bytes>(stream)).await.ok()?.ok()?;
        let link = Link { sender, pulse: Arc::default() };
        let mut seat = link.seat();
        seat.is_first = true;
        let (links, pulse) = (Arc::downgrade(self), Arc::clone(&link.pulse));
        self.open.lock().push(link);
        tokio::spawn(async move {
            let _counted = counted;
            drive(connection, &pulse, &links).await;
            pulse.closed.store(true, Relaxed);
            let _ = pulse.settled.set(());
        });
        Some(seat)
    }

    /// Lets a connection go that nobody uses. Under the lock, so that nobody begins to.
    fn retire(&self, pulse: &Arc<Pulse>) -> bool {
        let mut open = self.open.lock();
        let idle = pulse.streams.load(Relaxed) == 0;
        if idle {
            open.retain(|link| !Arc::ptr_eq(&link.pulse, pulse));
        }
        idle
    }
}

impl Link {
    fn streams(&self) -> usize {
        self.pulse.streams.load(Relaxed)
    }
    fn has_room(&self) -> bool {
        self.streams() < self.sender.current_max_send_streams().min(MOST_STREAMS)
    }
    fn seat(&self) -> Seat {
        self.pulse.streams.fetch_add(1, Relaxed);
        Seat { sender: Some(self.sender.clone()), pulse: Arc::clone(&self.pulse), is_first: false }
    }
}

impl Seat {
    /// Whether the service lets a stream become a WebSocket (RFC 8441 section 3). True, too, of a connection that has
    /// ended: it takes nothing any more.
    pub(super) async fn takes_websockets(&self) -> bool {
        let Some(sender) = &self.sender else { return false };
        if !sender.is_extended_connect_protocol_enabled() && !self.pulse.settled.initialized() {
            self.pulse.asked.notify_one();
            self.pulse.settled.wait().await;
        }
        sender.is_extended_connect_protocol_enabled() || self.pulse.closed.load(Relaxed)
    }

    /// Begins the exchange; `None` if the connection takes no more, and nothing was sent.
    pub(super) fn begin(&mut self, head: Request<()>, ends: bool) -> Option<Exchange> {
        let begun = self.sender.take()?.send_request(head, ends).ok();
        if begun.is_none() {
            self.pulse.closed.store(true, Relaxed);
        }
        begun.map(|(answer, upload)| Exchange { answer, upload: (!ends).then_some(upload) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pulse.streams.fetch_sub(1, Relaxed);
    }
}

/// Every buffer is bounded. The connection's window is that of all its streams, or a few clients that take nothing would
/// stop the others.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * MOST_STREAMS as u32)
        .initial_max_send_streams(MOST_STREAMS)
        .max_header_list_size(super::MAX_BUFFER as u32);
    builder
}

/// Carries a connection to its end: until the service ends it, it is dead, or it was not used for long.
async fn drive<S>(mut connection: Connection<S>, pulse: &Arc<Pulse>, links: &Weak<Links>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pings = connection.ping_pong();
    let watch = async {
        let mut used = Instant::now();
        let mut rests_until = [Instant::now() + PING_INTERVAL, Instant::now()];
        loop {
            let doubted = tokio::select! {
                () = sleep(LOOK) => false,
                () = pulse.doubted.notified() => true,
                () = pulse.asked.notified(), if !pulse.settled.initialized() => {
                    if !is_there(pings.as_mut()).await {
                        return;
                    }
                    // Its settings are the first that a service sends (RFC 9113 section 3.4).
                    let _ = pulse.settled.set(());
                    continue;
                }
            };
            if pulse.streams.load(Relaxed) > 0 {
                used = Instant::now();
                let due = rests_until[usize::from(doubted)] <= used;
                if due {
                    if !is_there(pings.as_mut()).await {
                        return;
                    }
                    rests_until = [Instant::now() + PING_INTERVAL, Instant::now() + DOUBT_INTERVAL];
                }
            } else if used.elapsed() >= MAX_IDLE && links.upgrade().is_none_or(|links| links.retire(pulse)) {
                // It ends by itself now that nobody can use it.
                pending().await
            }
        }
    };
    tokio::select! {
        _ = &mut connection => {}
        () = watch => {}
    }
}

/// Whether the service answers to a ping.
async fn is_there(pings: Option<&mut PingPong>) -> bool {
    match pings {
        Some(pings) => matches!(timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await, Ok(Ok(_))),
        None => true,
    }
}

/// Streams at a time on one connection, and connections.
const MOST_STREAMS: usize = 100;
const MOST_LINKS: usize = 64;

/// What of a response that nobody takes is read, in bytes.
const STREAM_WINDOW: u32 = 32 * 1024;

/// The preface goes out at once.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Shorter than the idle timeouts services commonly have.
const MAX_IDLE: Duration = Duration::from_secs(50);
const LOOK: Duration = Duration::from_secs(5);

/// gRPC servers take pings that come more often than every five minutes for a flood, unless they send something.
const PING_INTERVAL: Duration = Duration::from_secs(310);
const DOUBT_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
