//! The body of a response that passes through, streamed and never buffered; or a text of ours.
//!
//! Its trailers pass as trailers, without what only a header may say ([`trailers`]).

use super::broken::Broken;
use super::cut::Cuttable;
use super::grpc;
use super::in_flight::InFlight;
use super::kept::Kept;
use super::piece::{Piece, Unsent};
use super::response::Fault;
use super::trailers;
use super::upstream::{Answer, Lease};
use crate::state::revocation::Cut;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

/// The body of a response on its way to the client.
#[derive(Debug)]
pub(super) struct ResponseBody(Content);

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Service(Arc<Passing>),
}

/// A response of the service that passes: its request is open until the body has ended, was given up, or
/// was [cut](Passing::cut) because the client takes nothing. Over HTTP/2 nobody else would notice that: the
/// connection is well, and a body whose stream has no window is not even polled. It ends, too, when it is
/// [woken](Wake) because the request's token is good no longer (RV-039).
#[derive(Debug)]
pub(super) struct Passing {
    open: Mutex<Option<Flow>>,
    /// When the client got something last, or began to wait; `None` while the service is waited for.
    offered: Mutex<Option<Instant>>,
    /// Why it ended before its end, if because of its token.
    why: OnceLock<Cut>,
    /// Over HTTP/1.1 hyper's own buffer is the bound.
    is_stream: bool,
    /// The client is told why in trailers, once.
    grpc: bool,
    told: AtomicBool,
    /// Who asked for a frame last.
    pub(super) asking: AtomicWaker,
    pub(super) unsent: Unsent,
    /// In flight it is until its last piece was sent: as long as anything of it is in memory.
    _share: Kept,
}

/// What is given back when the response has passed.
#[derive(Debug)]
struct Flow {
    content: Answer,
    in_flight: InFlight,
    _lease: Lease,
    cuttable: Option<Cuttable>,
}

impl ResponseBody {
    /// A text of ours.
    pub(super) fn own(content: Bytes) -> ResponseBody {
        ResponseBody(Content::Own(content))
    }
    /// Whether this is a text of ours, and not the service's answer.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.0, Content::Own(_))
    }
    /// The service's body, and a view of it for who watches over the connection. It keeps the request in
    /// flight, and its connection to the service to itself, until it has ended or was given up. `grpc`: a gRPC
    /// client reads it, who is told in trailers if it is cut.
    pub(super) fn service(
        content: Answer,
        in_flight: InFlight,
        lease: Lease,
        cuttable: Option<Cuttable>,
        (is_stream, grpc): (bool, bool),
    ) -> (ResponseBody, Weak<Passing>) {
        // What has ended with its head can't be cut.
        let cuttable = cuttable.filter(|_| !content.is_end_stream());
        let passing = Arc::new(Passing {
            open: Mutex::new(None),
            offered: Mutex::new(Some(Instant::now())),
            why: OnceLock::new(),
            is_stream,
            grpc,
            told: AtomicBool::new(false),
            asking: AtomicWaker::new(),
            unsent: Unsent::default(),
            _share: in_flight.kept.share_only(),
        });
        // Registered before anything can be taken, because whoever registers in the midst of a cut is woken at once.
        if let Some(cuttable) = &cuttable {
            cuttable.streams();
            cuttable.open.wake(&Waker::from(Arc::clone(&passing)));
        }
        *passing.open.lock() = Some(Flow { content, in_flight, _lease: lease, cuttable });
        passing.end_if_cut();
        let view = Arc::downgrade(&passing);
        (ResponseBody(Content::Service(passing)), view)
    }
}

impl Passing {
    /// Gives the response up if the client has taken nothing for so long that was there to be taken. True if it has not
    /// for twice as long: what of it waits to be sent goes with its connection only.
    pub(super) fn cut(&self, patience: Duration) -> bool {
        let waited = self.offered.lock().map_or(Duration::ZERO, |since| since.elapsed());
        if waited >= patience {
            self.let_go(Some(STALLED));
        }
        waited >= patience.saturating_mul(2)
    }

    /// Ends the response on both sides at once if its token is good no longer, whether or not anybody asks for a
    /// frame. HTTP/1.1 ends its connection, so that nobody takes it for complete; HTTP/2 resets its stream.
    fn end_if_cut(&self) {
        let mut open = self.open.lock();
        let cut = open.as_ref().and_then(|flow| flow.cuttable.as_ref()?.open.cut());
        let Some((why, mut flow)) = cut.zip(open.take_if(|_| cut.is_some())) else { return };
        let _ = self.why.set(why);
        drop(open);
        flow.in_flight.cut(why, flow.cuttable.as_ref());
        self.asking.wake();
    }

    /// `why`: why it does not come to its end, if not because the client wants no more.
    fn let_go(&self, why: Option<&'static str>) {
        let Some(mut flow) = self.open.lock().take() else { return };
        match why {
            Some(why) => flow.in_flight.span.broken(why),
            // Of what has a length nobody asks for more than that.
            None if flow.content.is_end_stream() => flow.in_flight.span.whole(),
            None => {}
        }
    }

    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Broken>>> {
        let mut open = self.open.lock();
        let Some(flow) = open.as_mut() else { return Poll::Ready(self.end()) };
        let full = self.is_stream && self.unsent.is_full();
        if full || flow.cuttable.is_some() {
            self.asking.register(cx.waker());
        }
        // Asked again, for it may have been sent before anybody could have been woken.
        if full && self.unsent.is_full() {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut flow.content).poll_frame(cx);
        *self.offered.lock() = polled.is_ready().then(Instant::now);
        let mut frame = ready!(polled);
        #[cfg(feature = "panic-drill")]
        crate::gate::drill::panic_if(flow.in_flight.drill);
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => flow.in_flight.span.broken(Fault::UpstreamBroken.reason()),
            None => flow.in_flight.span.whole(),
        }
        if let Some(trailers) = frame.as_mut().and_then(|f| f.as_mut().ok()).and_then(Frame::trailers_mut) {
            trailers::clean_response(trailers);
        }
        let is_last = flow.content.is_end_stream();
        let piece = |content| Piece::of(self, content, is_last);
        Poll::Ready(frame.map(|frame| frame.map(|f| f.map_data(piece)).map_err(Broken::Service)))
    }

    /// What comes when there is nothing more to come. The trailers of a gRPC call say that it failed, so nobody takes
    /// what came before for all; they follow what the client has taken, as a reset would.
    fn end(&self) -> Option<Result<Frame<Piece>, Broken>> {
        match self.why.get().filter(|_| self.grpc) {
            Some(why) => {
                let told = self.told.swap(true, Ordering::Relaxed);
                (!told).then(|| Ok(Frame::trailers(grpc::farewell(*why))))
            }
            None => Some(Err(self.broken())),
        }
    }

    fn broken(&self) -> Broken {
        match self.why.get() {
            Some(why) => Broken::Cut(*why, h2::Reason::INTERNAL_ERROR.into()),
            None => Broken::Stalled,
        }
    }
}

impl Wake for Passing {
    fn wake(self: Arc<Self>) {
        self.end_if_cut();
    }
}

/// The request ends with its body, and whoever would end it is not needed any more.
impl Drop for ResponseBody {
    fn drop(&mut self) {
        match &self.0 {
            Content::Own(_) => {}
            Content::Service(passing) => passing.let_go(None),
        }
    }
}

impl Body for ResponseBody {
    type Data = Piece;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Broken>>> {
        match &mut self.get_mut().0 {
            Content::Own(content) if content.is_empty() => Poll::Ready(None),
            Content::Own(content) => Poll::Ready(Some(Ok(Frame::data(Piece::own(std::mem::take(content)))))),
            Content::Service(passing) => passing.poll(cx),
        }
    }
    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Own(content) => content.is_empty(),
            Content::Service(passing) => {
                passing.open.lock().as_ref().is_some_and(|flow| flow.content.is_end_stream())
            }
        }
    }
    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Own(content) => SizeHint::with_exact(content.len() as u64),
            Content::Service(passing) => {
                passing.open.lock().as_ref().map_or_else(SizeHint::default, |flow| flow.content.size_hint())
            }
        }
    }
}

/// What the span of a response says whose client takes nothing.
const STALLED: &str = "stalled";
