//! How long an upload may stand still: `body_timeout`, counted only while somebody waits for the client (DS-002).
//!
//! While the service does not read, nobody asks for more, and the client is not blamed. A gRPC call whose response
//! has begun is a conversation, in which the client may be silent for as long as it likes: what it holds then is no
//! more than every open response holds. There is no least rate: whoever sends a byte in time keeps its place,
//! and how many places there are is what `in_flight` says.

use http::header::{self, HeaderMap};
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
    conversation: Option<Conversation>,
}

/// A gRPC call, whose client may be silent once the response has begun.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversation(Arc<AtomicBool>);

/// Why an upload ended before its end.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// The client broke off.
    Client(hyper::Error),
    /// The client sent nothing.
    Stalled,
}

impl Patience {
    /// For a request with these fields.
    pub(super) fn new(limit: Duration, headers: &HeaderMap) -> Patience {
        let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        let grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
        Patience { limit, timer: None, waiting: false, conversation: grpc.then(Conversation::default) }
    }

    /// What is to be told that the response has begun, if that matters.
    pub(super) fn conversation(&self) -> Option<Conversation> {
        self.conversation.clone()
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
            if self.conversation.as_ref().is_none_or(|it| !it.has_begun()) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

impl Conversation {
    /// The response has begun.
    pub(super) fn began(&self) {
        self.0.store(true, Relaxed);
    }
    fn has_begun(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Interrupted {
    /// Why the request that failed like this did, if because of its body.
    pub(super) fn of(error: &hyper::Error) -> Option<&Interrupted> {
        error.source()?.downcast_ref()
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interrupted::Client(error) => error.fmt(f),
            Interrupted::Stalled => f.write_str("the client sent nothing of the request"),
        }
    }
}

impl Error for Interrupted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Interrupted::Client(error) => error.source(),
            Interrupted::Stalled => None,
        }
    }
}
