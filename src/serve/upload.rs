//! How long an upload may stand still: `body_timeout`, counted only while somebody waits for the client (DS-002).
//!
//! While the service does not read, nobody asks for more, and the client is not blamed. A gRPC call whose response
//! has begun is a conversation, in which the client may be silent for as long as it likes: what it holds then is no
//! more than every open response holds. There is no least rate: whoever sends a byte in time keeps its place,
//! and how many places there are is what `in_flight` says. An upload may outlive its response by [`GRACE`], whether or
//! not anything comes or is asked for: who carries it sees to that, `pool` over HTTP/1.1, `upstream::stream` over HTTP/2.

use super::response::Fault;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// The time an upload has left.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// The client may be silent once the response has begun: a gRPC call.
    conversation: bool,
    answer: Answer,
}

/// Whether the response has begun that an upload belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer(Arc<AtomicBool>);

/// Why an upload ended before its end.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// The client broke off.
    Client(hyper::Error),
    /// The client broke off and called it no error (RFC 9113 section 8.1): what came is not all.
    Incomplete,
    /// The client sent nothing.
    Stalled,
}

impl Patience {
    /// For the upload of a gRPC call, or of any other request.
    pub(super) fn new(limit: Duration, is_grpc: bool) -> Patience {
        Patience { limit, timer: None, waiting: false, conversation: is_grpc, answer: Answer::default() }
    }

    /// What is to be told that the response has begun.
    pub(super) fn answer(&self) -> Answer {
        self.answer.clone()
    }

    /// What the client has sent; [`Interrupted::Stalled`] once that has been nothing for too long.
    pub(super) fn with<T>(
        &mut self,
        polled: Poll<Option<Result<T, hyper::Error>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<T, Interrupted>>> {
        match polled {
            Poll::Ready(came) => {
                self.waiting = false;
                Poll::Ready(came.map(|came| came.map_err(Interrupted::Client)))
            }
            Poll::Pending => self.poll_over(cx).map(|()| Some(Err(Interrupted::Stalled))),
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.waiting {
            timer.as_mut().reset(Instant::now() + limit);
            self.waiting = true;
        }
        while timer.as_mut().poll(cx).is_ready() {
            if !(self.conversation && self.answer.0.load(Relaxed)) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

impl Answer {
    /// The response has begun.
    pub(super) fn began(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Interrupted {
    /// Why the request that failed like this did, if because of its body.
    pub(super) fn of(error: &hyper::Error) -> Option<&Interrupted> {
        error.source()?.downcast_ref()
    }
    /// What the client is told who is still there.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Interrupted::Client(_) | Interrupted::Incomplete => Fault::RequestAborted,
            Interrupted::Stalled => Fault::RequestTimeout,
        }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interrupted::Client(error) => error.fmt(f),
            Interrupted::Incomplete => f.write_str("the client sent a part of the request only"),
            Interrupted::Stalled => f.write_str("the client sent nothing of the request"),
        }
    }
}

impl Error for Interrupted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Interrupted::Client(error) => error.source(),
            Interrupted::Incomplete | Interrupted::Stalled => None,
        }
    }
}

/// How long an upload may outlive its response.
pub(super) const GRACE: Duration = Duration::from_secs(5);
