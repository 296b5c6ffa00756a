//! The body of a request on its way to the service, streamed and never buffered.
//!
//! Its trailers pass as trailers, without what only a header may say ([`RequestTrailers`]).

use super::kept::Kept;
use super::trailers::RequestTrailers;
use super::upload::{Interrupted, Patience};
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// The body of a request on its way to the service. No trailer becomes a header (HTTP-13).
#[derive(Debug)]
pub(super) struct RequestBody {
    client: Incoming,
    /// It came over HTTP/2.
    is_stream: bool,
    /// None if it is empty.
    trailers: Option<Arc<RequestTrailers>>,
    progress: Option<Progress>,
    /// None if it is empty.
    patience: Option<Patience>,
    /// As long as anything of it is to come, for it may outlive the response.
    pub(super) kept: Kept,
}

/// Whether a request body has moved since this was last asked: the service's time to answer begins
/// when the client has stopped sending.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl RequestBody {
    /// Wraps the client's body; the progress is there unless the body is empty.
    pub(super) fn new(
        client: Incoming,
        trailers: &Arc<RequestTrailers>,
        patience: Option<Patience>,
        kept: Kept,
        version: Version,
    ) -> (RequestBody, Option<Progress>) {
        let progress = (!client.is_end_stream()).then(Progress::default);
        let trailers = progress.is_some().then(|| Arc::clone(trailers));
        let is_stream = version == Version::HTTP_2;
        let body = RequestBody { client, is_stream, trailers, progress: progress.clone(), patience, kept };
        (body, progress)
    }
}

impl Progress {
    /// True if the body has moved since the last call.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.client).poll_frame(cx);
        let mut frame = ready!(match &mut this.patience {
            Some(patience) => patience.with(polled, cx),
            None => polled.map(|came| came.map(|came| came.map_err(Interrupted::Client))),
        });
        // hyper takes a stream that was reset without an error for one that has ended.
        if frame.is_none() && this.is_stream && !this.client.is_end_stream() {
            return Poll::Ready(Some(Err(Interrupted::Incomplete)));
        }
        if let Some(progress) = &this.progress {
            progress.0.store(true, Ordering::Relaxed);
        }
        let trailers = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut());
        if let Some((rules, trailers)) = this.trailers.as_ref().zip(trailers) {
            rules.clean(trailers);
        }
        Poll::Ready(frame)
    }
    fn is_end_stream(&self) -> bool {
        self.client.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.client.size_hint()
    }
}
