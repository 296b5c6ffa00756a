//! The service's stream, read a little at a time.
//!
//! What is read at a time stays in memory until the client has taken all of it, and hyper reads as much as 128 KiB at a
//! time where that is to be had: it lets its buffer grow with what a read gives, so it stays small if that does. The head of an answer
//! may be longer than that all the same.

use crate::serve::piece::READ_BUFFER;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

/// A stream of which little is read at a time.
#[derive(Debug)]
pub(super) struct Sips<S>(Take<S>);

impl<S: AsyncRead> Sips<S> {
    pub(super) fn of(stream: S) -> Sips<S> {
        Sips(stream.take(SIP))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sips<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &mut self.get_mut().0;
        stream.set_limit(SIP);
        Pin::new(stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Sips<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().0.get_mut()).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().0.get_mut()).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.0.get_ref().is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().0.get_mut()).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().0.get_mut()).poll_shutdown(cx)
    }
}

/// Less than the buffer, or hyper would take a larger one for the next.
const SIP: u64 = READ_BUFFER as u64 - 1;
