//! A request over HTTP/1.1 that nobody waits for any more, and on which the service may be at work all the same.
//!
//! The end of its connection is all that can be told to the service, and many look only when they have an answer. So the
//! connection is closed on our side at once, and what the request holds is kept until the service has closed it, too,
//! or answers: else a client that gives up one request after the other makes the service work on more than
//! `upstream.in_flight`, and on more than its share (DS-006, DS-010). It is kept for no longer than an answer would have
//! been waited for. Over HTTP/2 the service is told by a reset, and there is nothing to be seen of what it makes of it.

use crate::serve::kept::Kept;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

/// What can become of a connection to the service.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Duplex for T {}

/// The request on a connection that has no answer yet, if there is one.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct Unanswered(Arc<Mutex<Option<(Kept, Instant)>>>);

impl Unanswered {
    /// A request goes out; its answer is waited for until then.
    pub(super) fn asks(&self, kept: Kept, until: Instant) {
        *self.0.lock() = Some((kept, until));
    }

    /// It has its answer, or the service can't be at work on it.
    pub(super) fn is_over(&self) {
        drop(self.0.lock().take());
    }

    /// The connection is not used any more: whoever is without an answer was given up.
    pub(super) fn closes(&self, mut stream: impl Duplex) {
        let left = self.0.lock().take().filter(|(_, until)| *until > Instant::now());
        let Some((kept, until)) = left else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let closed = async {
                stream.shutdown().await?;
                stream.read(&mut [0; 64]).await
            };
            let _ = timeout_at(until, closed).await;
            drop(kept);
        });
    }
}
