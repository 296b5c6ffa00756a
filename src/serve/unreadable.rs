//! What never became a request: hyper refuses it before there is anything to decide on, and it is recorded here.
//!
//! Each is counted once (`clinch_unreadable_requests_total`) and logged once, with the peer and a reason of a
//! closed set, when its connection ends; for each of them ends the connection. What is answered is hyper's:
//!
//! * HTTP/1: a request line, a field line or a framing field that is not one (space before the colon, obs-fold,
//!   CR or NUL, two lengths, a coding besides chunked) gets 400, too large a head 431, each with `Connection: close`
//!   and an empty body. They carry no `Cache-Control: no-store`, and hyper has no place to add it; nothing is lost
//!   by that, for an empty answer without a validator or an age gives a cache nothing to go by (RFC 9111
//!   section 4.2.2), and neither 400 nor 431 is one that caches keep unasked (RFC 9110 section 15.1).
//! * HTTP/1: a head that is not there in time, or breaks off, gets no answer.
//! * HTTP/2: a connection that breaks the protocol gets GOAWAY.
//!
//! Not here: a chunk that is none comes after the decision, and breaks the request off (`request_aborted`). A
//! single HTTP/2 stream that h2 refuses (RST_STREAM, or 431 for its head) is over without a word to anybody:
//! to us, too.

use crate::telemetry::Telemetry;
use std::error::Error;
use std::net::SocketAddr;

/// Why it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not HTTP/1 (RFC 9112 sections 2.2, 3, 5 and 6).
    Malformed,
    /// A head longer than `header_bytes` or of too many fields (RFC 6585 section 5).
    TooLarge,
    /// The rest of the head did not come within `header_timeout`.
    Late,
    /// The client went away in the middle of a head.
    BrokenOff,
    /// Not HTTP/2 (RFC 9113 section 5.4.1).
    Http2,
}

impl Unreadable {
    /// From how the connection ended. `in_head`: in the middle of a head, as far as we can tell.
    pub(super) fn of(error: &hyper::Error, in_head: bool) -> Option<Unreadable> {
        if error.is_parse_too_large() {
            return Some(Unreadable::TooLarge);
        }
        if error.is_parse() {
            return Some(Unreadable::Malformed);
        }
        if error.is_incomplete_message() {
            return in_head.then_some(Unreadable::BrokenOff);
        }
        let http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
        http2.is_some_and(|e| e.is_library() && e.is_go_away()).then_some(Unreadable::Http2)
    }

    /// The label of the metric.
    fn reason(self) -> &'static str {
        match self {
            Unreadable::Malformed => "request_malformed",
            Unreadable::TooLarge => "header_too_large",
            Unreadable::Late => "header_timeout",
            Unreadable::BrokenOff => "broken_off",
            Unreadable::Http2 => "http2_protocol",
        }
    }

    /// Counts and logs it. A peer that broke off is no news.
    pub(super) fn record(self, telemetry: &Telemetry, peer: SocketAddr) {
        let reason = self.reason();
        telemetry.metrics.request_unreadable(reason);
        if !telemetry.is_worth_a_line(reason, peer.ip()) {
            return;
        }
        match self {
            Unreadable::BrokenOff => tracing::debug!(%peer, reason, "request not readable"),
            Unreadable::Malformed | Unreadable::TooLarge | Unreadable::Late | Unreadable::Http2 => {
                tracing::info!(%peer, reason, verdict = "refused", "request not readable");
            }
        }
    }
}
