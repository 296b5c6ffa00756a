//! The two bodies that pass through, streamed and never buffered.
//!
//! Request trailers are dropped: nothing verified them, and RFC 9110 section 6.5.1 lets a proxy drop
//! what it can't vouch for. Response trailers pass, without the fields that only we may write.

use super::fields;
use super::pool::Lease;
use super::proxy::InFlight;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// The body of a request on its way to the service.
#[derive(Debug)]
pub(super) struct RequestBody {
    client: Incoming,
    progress: Option<Progress>,
}

/// Whether a request body has moved since this was last asked: the service's time to answer begins
/// when the client has stopped sending.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

/// The body of a response on its way to the client. While it lives, its request is in flight.
#[derive(Debug)]
pub(super) struct ResponseBody {
    content: Content,
    _held: Option<(InFlight, Lease)>,
}

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Service(Incoming),
}

impl RequestBody {
    /// Wraps the client's body; the progress is there unless the body is empty.
    pub(super) fn new(client: Incoming) -> (RequestBody, Option<Progress>) {
        let progress = (!client.is_end_stream()).then(Progress::default);
        (RequestBody { client, progress: progress.clone() }, progress)
    }
}

impl Progress {
    /// True if the body has moved since the last call.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl ResponseBody {
    /// A text of ours.
    pub(super) fn own(content: Bytes) -> ResponseBody {
        ResponseBody { content: Content::Own(content), _held: None }
    }
    /// The service's body; it keeps the request in flight, and its connection to itself, until it has ended
    /// or was given up.
    pub(super) fn service(content: Incoming, in_flight: InFlight, lease: Lease) -> ResponseBody {
        ResponseBody { content: Content::Service(content), _held: Some((in_flight, lease)) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.client).poll_frame(cx));
        if let Some(progress) = &this.progress {
            progress.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers)))
    }
    fn is_end_stream(&self) -> bool {
        self.client.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.client.size_hint()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().content {
            Content::Own(content) if content.is_empty() => Poll::Ready(None),
            Content::Own(content) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(content))))),
            Content::Service(content) => {
                let mut frame = ready!(Pin::new(content).poll_frame(cx));
                if let Some(trailers) =
                    frame.as_mut().and_then(|f| f.as_mut().ok()).and_then(Frame::trailers_mut)
                {
                    fields::clean_response(trailers);
                }
                Poll::Ready(frame)
            }
        }
    }
    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(content) => content.is_empty(),
            Content::Service(content) => content.is_end_stream(),
        }
    }
    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(content) => SizeHint::with_exact(content.len() as u64),
            Content::Service(content) => content.size_hint(),
        }
    }
}
