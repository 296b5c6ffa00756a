//! The span of a request whose answer has begun: it ends with the last byte, as it would for the caller.
//!
//! Whoever passes the answer on holds what is here, and says how it ended; what is dropped without a word was given up
//! by the client. Of a request that is not recorded there is nothing to hold.

use super::spans::OpenSpan;
use super::{RequestSpan, Telemetry};
use http::StatusCode;
use std::time::Duration;

/// What is left of a request's span.
#[derive(Debug, Default)]
pub struct Remainder(pub(super) Option<Box<OpenSpan>>);

impl Telemetry {
    /// The head of the service's answer is there after this long; the rest is under way.
    pub fn passes(&self, span: RequestSpan, status: StatusCode, upstream: Duration) -> Remainder {
        self.metrics.answered(status, Some(upstream), span.recorded_trace());
        span.passes(status, upstream)
    }
}

impl Remainder {
    /// The answer has come to its end.
    pub fn whole(&mut self) {
        if let Some(mut open) = self.0.take() {
            open.complete();
        }
    }

    /// It ended before its end, for a reason of a closed set.
    pub fn broken(&mut self, reason: &'static str) {
        if let Some(mut open) = self.0.take() {
            open.fail(reason);
            open.complete();
        }
    }

    /// We ended it, because its token is good no longer.
    pub fn cut(&mut self, reason: &'static str) {
        if let Some(open) = &mut self.0 {
            open.set("clinch.cut", reason);
        }
        self.broken(reason);
    }
}
