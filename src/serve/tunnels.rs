//! Where the tunnels of a client's connection run: one in the place of an HTTP/1.1 connection, each beside its HTTP/2
//! connection whose stream it is (RFC 8441).
//!
//! What a tunnel is and when it ends is decided in [`tunnel`](super::tunnel). A stream that ends takes nobody with it.

use super::connection::Phase;
use super::tunnel::Tunnel;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// The tunnels of one connection.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    instead: Mutex<Option<Tunnel>>,
    streams: OnceLock<watch::Receiver<Phase>>,
    /// Streams that have not ended.
    open: AtomicUsize,
    last_ended: AtomicWaker,
    /// Streams that have, and whose client does not take the last of them.
    late: AtomicUsize,
}

impl Tunnels {
    /// They are streams of the connection, and not what becomes of it.
    pub(super) fn are_streams(&self, phase: watch::Receiver<Phase>) {
        let _ = self.streams.set(phase);
    }

    /// Begins one: at once where it is a stream, else when the connection is no longer HTTP and [asked](Self::take)
    /// what it is.
    pub(super) fn begin(self: &Arc<Tunnels>, tunnel: Tunnel) {
        let Some(phase) = self.streams.get().cloned() else {
            *self.instead.lock() = Some(tunnel);
            return;
        };
        self.open.fetch_add(1, AcqRel);
        let (stream, among, patience) = (Stream(Arc::clone(self)), Arc::clone(self), tunnel.patience);
        tokio::spawn(async move {
            let left = tunnel.run(phase).await;
            drop(stream);
            if let Some(left) = left {
                left.gone(patience, &among.late).await;
            }
        });
    }

    /// Whether something is left of a stream that goes with the connection only.
    pub(super) fn is_one_late(&self) -> bool {
        self.late.load(Acquire) > 0
    }

    /// Whatever becomes of the connection, none that has begun in its place outlives it. That would hold the connection's
    /// requests, and they hold what is here.
    pub(super) fn ends_with_connection(self: &Arc<Tunnels>) -> impl Drop {
        Ends(Arc::clone(self))
    }

    /// What the connection has become.
    pub(super) fn take(&self) -> Option<Tunnel> {
        self.instead.lock().take()
    }

    /// The sidecar stops: polls the connection on until its streams have said so to their clients, but not for long.
    pub(super) async fn say_farewell<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut C>,
    ) {
        let said = poll_fn(|cx| {
            self.last_ended.register(cx.waker());
            // Before the poll, which takes their last bytes along.
            let silent = self.open.load(Acquire) == 0;
            let ended = connection.as_mut().poll(cx).is_ready();
            if silent || ended { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout(FAREWELL, said).await;
    }
}

/// Held by a connection until it has ended, in whatever way.
struct Ends(Arc<Tunnels>);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// Held by a stream until it has ended, in whatever way.
struct Stream(Arc<Tunnels>);

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, AcqRel) == 1 {
            self.0.last_ended.wake();
        }
    }
}

/// A little longer than a tunnel takes for it.
const FAREWELL: Duration = Duration::from_millis(1500);
