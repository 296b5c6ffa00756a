//! What a request has of a connection to the service, until its answer has been read.

use super::links::Seat;
use crate::serve::pool;
use std::sync::Arc;

/// What a request has of a connection.
#[derive(Debug)]
pub(in crate::serve) enum Lease {
    /// All of it.
    Http1(pool::Lease),
    /// A stream.
    Http2(Arc<Seat>),
}

impl Lease {
    /// Where the answer ends is in doubt: nothing else may come on its connection. A stream is reset with its answer.
    pub(in crate::serve) fn close(self) {
        match self {
            Lease::Http1(lease) => lease.close(),
            Lease::Http2(_) => {}
        }
    }

    /// What a WebSocket keeps: a stream's place. A connection of HTTP/1.1 is of no use for another request.
    pub(in crate::serve) fn of_websocket(self) -> Option<Arc<Seat>> {
        match self {
            Lease::Http1(lease) => {
                lease.let_go();
                None
            }
            Lease::Http2(seat) => Some(seat),
        }
    }
}
