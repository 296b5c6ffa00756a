//! One log line per decision: refusals are worth a line, our own failures a warning, grants only for debugging.
//!
//! What repeats itself is left out after a while ([`repeats`](super::repeats)).

use super::repeats::Line;
use super::{Passed, Record, Telemetry};
use crate::pop::policy::ProofKind;
use std::net::IpAddr;
use std::time::Instant;

impl Telemetry {
    /// Whether a line about a peer is to be written, that something of it failed before it was a request: what repeats
    /// itself is left out, and counted.
    pub fn is_worth_a_line(&self, reason: &'static str, peer: IpAddr) -> bool {
        match self.repeats.judge_words(reason, None, peer, Instant::now()) {
            Line::Written { .. } | Line::Last { .. } => true,
            Line::LeftOut => {
                self.metrics.line_left_out();
                false
            }
        }
    }

    /// Writes the line about a decision.
    pub(super) fn log(&self, trace_id: &str, record: &Record<'_>) {
        macro_rules! line {
            ($level:ident, $verdict:literal, $reason:expr, $left_out:expr, $then:expr) => {
                tracing::event!(
                    target: "clinch::decision",
                    tracing::Level::$level,
                    request = record.request.as_str(),
                    method = record.method,
                    url = record.target,
                    host = record.host,
                    route = record.route,
                    peer = %record.peer,
                    scheme = record.scheme,
                    proof = record.proof.map(ProofKind::as_str),
                    issuer = record.issuer(),
                    subject = record.subject(),
                    client = record.client(),
                    token_id = record.token_id(),
                    revocation = record.revocation,
                    event = record.revoked_by.map(|event| &*event.id),
                    verdict = $verdict,
                    reason = $reason,
                    rule = record.because.map(|because| because.rule),
                    expected = record.because.and_then(|because| because.expected.as_deref()),
                    found = record.because.and_then(|because| because.found.as_deref()),
                    elapsed_us = u64::try_from(record.elapsed.as_micros()).unwrap_or(u64::MAX),
                    trace_id,
                    left_out = $left_out,
                    then = $then,
                    "request {}", $verdict
                )
            };
        }
        let Some(denial) = record.denial() else {
            let reason = record.verdict.ok().and_then(Passed::reason);
            return line!(DEBUG, "granted", reason, None::<u64>, None::<&str>);
        };
        let (left_out, then) = match self.repeats.judge(record, Instant::now()) {
            Line::Written { left_out } => (Some(left_out).filter(|count| *count > 0), None),
            Line::Last { left_out } => (Some(left_out).filter(|count| *count > 0), Some(THEN)),
            Line::LeftOut => return self.metrics.line_left_out(),
        };
        if record.verdict.is_ok() {
            line!(INFO, "observed", denial.reason(), left_out, then);
        } else if denial.is_ours() {
            line!(WARN, "refused", denial.reason(), left_out, then);
        } else {
            line!(INFO, "refused", denial.reason(), left_out, then);
        }
    }
}

const THEN: &str = "the next ones like this are left out for up to ten seconds";
