//! Records in words: the members of each kind, in their order. `docs/audit.md` is for who reads them.
//!
//! A value has at most 2048 bytes, and nothing in it can break its line or drive a terminal. What is not known is not
//! there.

use super::chain::{End, Hash};
use super::entry::{Cut, Decision, Event};
use super::file::Touched;
use super::position::Position;
use super::queue::Lost;
use super::vouched::Vouched;
use crate::pop::Timestamp;
use crate::pop::access_token::AccessToken;
use crate::pop::policy::ProofKind;
use crate::telemetry::{Passed, breaks_lines, cut, verdict};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

/// A record under way: each member begins with a comma.
pub(super) struct Members<'a>(pub(super) &'a mut Vec<u8>);

impl Members<'_> {
    pub(super) fn decision(mut self, decision: &Decision) {
        self.text("request", decision.request.as_str());
        // Writing to a Vec can't fail, here and below.
        let _ = write!(self.0, r#","peer":"{}""#, decision.peer);
        self.text("method", decision.method());
        self.text("target", decision.target());
        self.text("host", decision.host());
        self.text("route", decision.route());
        self.known("scheme", decision.scheme);
        self.known("proof", decision.proof.map(ProofKind::as_str));
        self.known("key", decision.key());
        if let Some(token) = &decision.token {
            self.token(token);
        }
        let reason = decision.verdict.map_or_else(|denial| Some(denial.reason()), Passed::reason);
        self.text("verdict", verdict(decision.verdict));
        self.known("reason", reason);
        self.known("rule", decision.rule);
        self.text("expected", decision.expected());
        self.text("found", decision.found());
        self.known("revocation", decision.revocation);
        self.text("trace", decision.trace.as_str());
        self.number("generation", decision.generation);
        self.position(decision.position.as_ref());
    }

    fn cut(mut self, cut: &Cut) {
        self.text("request", cut.request.as_str());
        // Writing to a Vec can't fail.
        let _ = write!(self.0, r#","peer":"{}""#, cut.peer);
        self.text("route", &cut.route);
        self.token(&cut.token);
        self.text("reason", cut.reason);
        self.known("event", cut.event.as_ref().map(|event| &*event.id));
        self.number("open_ms", u64::try_from(cut.open_for.as_millis()).unwrap_or(u64::MAX));
        self.text("trace", cut.trace.as_str());
        self.number("generation", cut.generation);
        self.position(cut.position.as_ref());
    }

    fn token(&mut self, token: &AccessToken) {
        self.text("issuer", token.issuer());
        self.text("subject", token.subject());
        self.text("client", token.client());
        self.text("token_id", token.token_id());
    }

    fn position(&mut self, position: Option<&Position>) {
        match position {
            Some(Position::Number(position)) => self.number("position", *position),
            Some(position) => self.text("position", &position.to_string()),
            None => {}
        }
    }

    pub(super) fn event(mut self, event: &Event) {
        match event {
            Event::Config { generation, result, digest } => {
                self.number("generation", *generation);
                self.text("result", result.name());
                if let Some(digest) = digest {
                    self.text("digest", &hex(digest));
                }
            }
            Event::Keys { signer, name, added, removed } => {
                self.text(signer.member(), name);
                self.names("added", added);
                self.names("removed", removed);
            }
            Event::Feed { state } => self.text("state", state),
            Event::Certificate { thumbprint, not_after } => {
                self.ascii("thumbprint", thumbprint);
                let end = humantime::format_rfc3339_seconds(since_1970(*not_after));
                let _ = write!(self.0, r#","not_after":"{end}""#);
            }
            Event::Handshake { peer, reason, thumbprint, generation } => {
                let _ = write!(self.0, r#","peer":"{peer}""#);
                self.text("verdict", "refused");
                self.text("reason", reason);
                if let Some(thumbprint) = thumbprint {
                    self.ascii("thumbprint", thumbprint);
                }
                self.number("generation", *generation);
            }
            Event::Cut(cut) => self.cut(cut),
        }
    }

    /// `after`: the last record before this one, and what is known of those; nothing where nothing is signed.
    pub(super) fn start(mut self, generation: u64, log: &[u8], after: Option<(u64, &Vouched)>) {
        self.text("version", env!("CARGO_PKG_VERSION"));
        self.number("generation", generation);
        self.text("log", &hex(log));
        let Some((last, vouched)) = after else { return };
        if let Some(End { sequence, hash }) = &vouched.continues {
            let hash = std::str::from_utf8(hash).unwrap_or_default();
            let _ = write!(self.0, r#","continues":"{sequence}:{hash}""#);
        }
        self.number("unsigned", last.saturating_sub(vouched.signed));
        self.known("other_key", vouched.other_key.as_deref());
        self.known("set_aside", vouched.set_aside.as_deref());
    }

    pub(super) fn touched(mut self, touched: &Touched) {
        self.text("what", touched.what());
        match *touched {
            Touched::Length { expected, found } => {
                self.number("expected", expected);
                self.number("found", found);
            }
            Touched::Moved | Touched::NoOpenFile => {}
            Touched::NotBefore { record } => self.number("missing", record),
        }
    }

    /// Whether the records from this to that one are on the disk is not known.
    pub(super) fn unsynced(mut self, from: u64, to: u64) {
        self.number("from", from);
        self.number("to", to);
    }

    /// `every`: at the latest after so many milliseconds comes the next one, if there is anything to vouch for.
    pub(super) fn checkpoint(mut self, records: u64, every: u64, key: Option<&str>) {
        self.number("records", records);
        self.number("every_ms", every);
        self.known("key", key);
    }

    pub(super) fn lost(mut self, lost: &Lost) {
        self.number("records", lost.count);
        self.time("since", lost.since);
    }

    pub(super) fn time(&mut self, name: &str, time: SystemTime) {
        let _ = write!(self.0, r#","{name}":"{}""#, humantime::format_rfc3339_micros(time));
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        let _ = write!(self.0, r#","{name}":{value}"#);
    }

    /// Nothing if it is empty.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            string(self.0, cut(value), LONGEST_VALUE);
        }
    }

    fn known(&mut self, name: &str, value: Option<&str>) {
        self.text(name, value.unwrap_or(""));
    }

    fn ascii(&mut self, name: &str, value: &Hash) {
        self.text(name, std::str::from_utf8(value).unwrap_or_default());
    }

    /// An issuer may publish as many keys as it likes, and call them what it likes.
    fn names(&mut self, name: &str, values: &[String]) {
        self.name(name);
        self.0.push(b'[');
        for (index, value) in values.iter().take(MOST_NAMES).enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            string(self.0, value, LONGEST_NAME);
        }
        self.0.push(b']');
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// A JSON string (RFC 8259 section 7), with every control and every invisible line or direction mark escaped, of `most`
/// bytes at the longest: what has to be escaped must not make a record longer than its readers take.
fn string(out: &mut Vec<u8>, value: &str, most: usize) {
    out.push(b'"');
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'"' && *byte != b'\\';
    // Without a way out in the middle this is some instructions for many bytes.
    if value.len() <= most && value.as_bytes().iter().fold(true, |all, byte| all & plain(byte)) {
        out.extend_from_slice(value.as_bytes());
    } else {
        let end = out.len() + most;
        for character in value.chars() {
            let before = out.len();
            match character {
                '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                c if breaks_lines(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            if out.len() > end {
                out.truncate(before);
                break;
            }
        }
    }
    out.push(b'"');
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Certificates end between 1970 and 9999.
fn since_1970(time: Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_secs()).unwrap_or(0).min(LAST_SECOND);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

const MOST_NAMES: usize = 64;
/// Bytes of a value as it is written. A record with the longest of all values has less than 64 KiB.
const LONGEST_VALUE: usize = 4096;
const LONGEST_NAME: usize = 200;
/// 9999-12-31T23:59:59Z
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
