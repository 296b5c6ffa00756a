//! A stream of HTTP/2 to the service that has become a WebSocket (RFC 8441 section 5), as bytes in both directions.
//!
//! END_STREAM is what the end of a connection is over HTTP/1.1, and a reset is what breaking off is, whatever its code: no
//! reset ends what came in good order. Dropped before both ends, the stream is reset with CANCEL.

use super::links::Seat;
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both directions of the stream, and its place on the connection.
#[derive(Debug)]
pub(in crate::serve) struct Socket {
    to: SendStream<Bytes>,
    from: RecvStream,
    /// What has come and was not read.
    unread: Bytes,
    ended: bool,
    _seat: Option<Arc<Seat>>,
}

impl Socket {
    pub(super) fn new(to: SendStream<Bytes>, from: RecvStream) -> Socket {
        Socket { to, from, unread: Bytes::new(), ended: false, _seat: None }
    }

    /// The same, holding its place to its end.
    pub(in crate::serve) fn on(self, seat: Arc<Seat>) -> Socket {
        Socket { _seat: Some(seat), ..self }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.from.poll_data(cx)) {
                Some(data) => this.unread = data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let data = this.unread.split_to(this.unread.len().min(room.remaining()));
        room.put_slice(&data);
        Poll::Ready(this.from.flow_control().release_capacity(data.len()).map_err(io::Error::other))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let to = &mut self.get_mut().to;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if to.capacity() == 0 {
            // One byte of the connection's window, so that nobody keeps it from others in vain.
            to.reserve_capacity(1);
            while to.capacity() == 0 {
                match ready!(to.poll_capacity(cx)) {
                    Some(grown) => grown.map_err(io::Error::other)?,
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                };
            }
        }
        to.send_data(Bytes::copy_from_slice(bytes), false).map_err(io::Error::other)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// The connection sends what it has by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.ended, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(this.to.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
