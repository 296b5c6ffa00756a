//! The content of the service's answer, over either version of HTTP.
//!
//! Over HTTP/2 it is complete when its END_STREAM was there, and only then: whatever the code of a reset, what it cuts off
//! is not the end (RFC 9113 section 8.1). What a service resets after its END_STREAM is the upload that it has no use for.

use super::socket::Socket;
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The content of an answer.
#[derive(Debug)]
pub(in crate::serve) enum Answer {
    /// Over HTTP/1.1.
    Http1(Incoming),
    /// Over HTTP/2.
    Http2(Stream),
    /// None: the stream is a WebSocket from here on.
    WebSocket(Box<Socket>),
}

/// A stream of HTTP/2. Dropped before its end, it is reset, its upload included.
#[derive(Debug)]
pub(in crate::serve) struct Stream {
    content: RecvStream,
    /// What the length that was announced has left.
    left: Option<u64>,
    /// Nothing but trailers can follow.
    data_done: bool,
    /// Whether there is any content: none follows the answer to a HEAD, nor a 204 or 304 (RFC 9110 section 6.4.1).
    any: bool,
    upload: Option<Carried>,
}

/// An upload that goes on beside the answer. Dropped, the answer has ended.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) task: AbortHandle,
    pub(super) _answering: oneshot::Sender<Infallible>,
}

/// Why an answer ended before its end.
#[derive(Debug)]
pub(in crate::serve) enum BrokenOff {
    /// The connection broke, or what came was no HTTP/1.1.
    Http1(hyper::Error),
    /// The stream was reset, or its connection broke.
    Http2(h2::Error),
}

impl Answer {
    /// `any`: whether there is content; `length`: as announced; `upload`: what still goes to the service.
    pub(super) fn http2(
        content: RecvStream,
        any: bool,
        length: Option<u64>,
        upload: Option<Carried>,
    ) -> Answer {
        Answer::Http2(Stream { content, left: length, data_done: false, any, upload })
    }

    /// What the stream has become, if it has.
    pub(in crate::serve) fn into_websocket(self) -> Option<Box<Socket>> {
        match self {
            Answer::Http1(_) | Answer::Http2(_) => None,
            Answer::WebSocket(socket) => Some(socket),
        }
    }
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BrokenOff::Http1(error) => error.fmt(f),
            BrokenOff::Http2(error) => error.fmt(f),
        }
    }
}

impl Stream {
    fn is_ended(&self) -> bool {
        !self.any || self.content.is_end_stream()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.any {
            return Poll::Ready(None);
        }
        if !self.data_done {
            match ready!(self.content.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    let released = self.content.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(released.map(|()| Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_done = true,
            }
        }
        self.content.poll_trailers(cx).map(|trailers| trailers.transpose().map(|t| t.map(Frame::trailers)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Answer::Http1(content) => {
                Pin::new(content).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(BrokenOff::Http1)))
            }
            Answer::Http2(stream) => stream.poll(cx).map(|frame| frame.map(|f| f.map_err(BrokenOff::Http2))),
            Answer::WebSocket(_) => Poll::Ready(None),
        }
    }
    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Http1(content) => content.is_end_stream(),
            Answer::Http2(stream) => stream.is_ended(),
            Answer::WebSocket(_) => true,
        }
    }
    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Http1(content) => content.size_hint(),
            Answer::WebSocket(_) => SizeHint::with_exact(0),
            Answer::Http2(stream) if stream.is_ended() => SizeHint::with_exact(0),
            Answer::Http2(stream) => stream.left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take().filter(|_| !self.content.is_end_stream()) {
            upload.task.abort();
        }
    }
}
