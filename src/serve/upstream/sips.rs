//! The service's stream, read a little at a time.
//!
//! What is read at a time stays in memory until the client has taken all of it, and hyper reads as much as 128 KiB at a
//! time where that is to be had: it lets its buffer grow with what a read gives, so it stays small if that does. The head of an answer
//! may be longer than that all the same. When nobody reads on, its connection may have an end of its own ([`Unanswered`]).

use super::unanswered::{Duplex, Unanswered};
use crate::serve::piece::READ_BUFFER;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

/// A stream of which little is read at a time.
#[derive(Debug)]
pub(super) struct Sips<S: Duplex> {
    /// There until this is dropped.
    stream: Option<Take<S>>,
    unanswered: Unanswered,
}

impl<S: Duplex> Sips<S> {
    pub(super) fn of(stream: S, unanswered: Unanswered) -> Sips<S> {
        Sips { stream: Some(stream.take(SIP)), unanswered }
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<&mut Take<S>> {
        self.get_mut().stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn whole(self: Pin<&mut Self>) -> io::Result<Pin<&mut S>> {
        self.stream().map(|stream| Pin::new(stream.get_mut()))
    }
}

impl<S: Duplex> Drop for Sips<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.unanswered.closes(stream.into_inner());
        }
    }
}

impl<S: Duplex> AsyncRead for Sips<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.stream()?;
        stream.set_limit(SIP);
        Pin::new(stream).poll_read(cx, buffer)
    }
}

impl<S: Duplex> AsyncWrite for Sips<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.whole()?.poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.whole()?.poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.get_ref().is_write_vectored())
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole()?.poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole()?.poll_shutdown(cx)
    }
}

/// Less than the buffer, or hyper would take a larger one for the next.
const SIP: u64 = READ_BUFFER as u64 - 1;
