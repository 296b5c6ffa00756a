//! The client's side of a WebSocket that has ended, until the client has taken the last of it.
//!
//! Over HTTP/2 what it has not taken stays in memory until it gives the stream a window, or the connection ends, and
//! nobody is told of either but by the stream's own end. So the share of all that is in flight is held until then
//! (DS-010), and a client that does not take it in its time is told of to the connection.

use super::Side;
use crate::serve::kept::Kept;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// What is left of it.
pub(in crate::serve) struct Leaving {
    pub(super) client: Side,
    /// What it is to be told before the end. Never much: it is what the stream may have queued when we hear of its end.
    last: Vec<u8>,
    told: usize,
    share: Kept,
}

impl Leaving {
    pub(super) fn of(client: Side, last: Vec<u8>) -> Leaving {
        Leaving { client, last, told: 0, share: Kept::default() }
    }

    pub(super) fn holding(mut self, share: Kept) -> Leaving {
        self.share = share;
        self
    }

    /// Returns when the client has taken all, or its connection has ended. For a client that takes longer than
    /// `patience`, `late` is one more meanwhile.
    pub(in crate::serve) async fn gone(mut self, patience: Duration, late: &AtomicUsize) {
        if timeout(patience, self.told()).await.is_err() {
            let _late = Late::among(late);
            self.told().await;
        }
    }

    /// Tells the client the last, and that it is the last. Returns when that was taken, or can't be.
    pub(super) fn told(&mut self) -> impl Future<Output = ()> + '_ {
        poll_fn(|cx| self.poll_told(cx))
    }

    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.discard(cx);
        let mut client = Pin::new(&mut self.client);
        while self.told < self.last.len() {
            match ready!(client.as_mut().poll_write(cx, &self.last[self.told..])) {
                Ok(written) if written > 0 => self.told += written,
                Ok(_) | Err(_) => break,
            }
        }
        client.poll_shutdown(cx).map(drop)
    }

    /// What still comes is not to hold up the other streams.
    fn discard(&mut self, cx: &mut Context<'_>) {
        let mut nowhere = [0; 4096];
        for _ in 0..TURN {
            let mut room = ReadBuf::new(&mut nowhere);
            let read = Pin::new(&mut self.client).poll_read(cx, &mut room);
            if read.is_pending() || room.filled().is_empty() {
                return;
            }
        }
        cx.waker().wake_by_ref();
    }
}

/// One client that is late, until this is dropped.
struct Late<'a>(&'a AtomicUsize);

impl Late<'_> {
    fn among(late: &AtomicUsize) -> Late<'_> {
        late.fetch_add(1, Relaxed);
        Late(late)
    }
}
impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How much is discarded at a time, in reads.
const TURN: usize = 16;
