//! The client's stream, watched: what comes and goes is told to its [`Activity`], and the stream is not
//! closed under a client that is still sending what was refused.

use super::activity::Activity;
use super::sections::Sections;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The client's stream, watched.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Where it is HTTP/2.
    sections: Option<Sections>,
    lingering: Option<Lingering>,
}

/// What is still read, and thrown away, after the last byte was written.
#[derive(Debug)]
struct Lingering {
    bytes: usize,
    until: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, http2: bool) -> Watched<S> {
        Watched { stream, activity, sections: http2.then(Sections::new), lingering: None }
    }
    fn wrote<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.wrote(written.is_ready());
        written
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Closing a socket with unread bytes in it makes the kernel send a reset, which can take the response
    /// from under the client's eyes (RFC 9112 section 9.6): read on for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self
            .lingering
            .get_or_insert_with(|| Lingering { bytes: LINGER_BYTES, until: Box::pin(sleep(LINGER_TIME)) });
        if lingering.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut discarded = [0; 8192];
        while lingering.bytes > 0 {
            let mut buffer = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            lingering.bytes = lingering.bytes.saturating_sub(buffer.filled().len());
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let came = buffer.filled().get(before..).unwrap_or_default();
        match &mut this.sections {
            _ if came.is_empty() => {}
            Some(sections) => this.activity.read_section(sections.read(came)),
            None => this.activity.read(),
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(written)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(written)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.wrote(flushed)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.wrote(shut))?;
        }
        if this.activity.is_body_unread() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// How much is read, and how long, for a client whose request was refused before it was sent.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);
