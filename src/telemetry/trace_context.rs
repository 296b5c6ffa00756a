//! W3C Trace Context, pure: what the caller's `traceparent` and `tracestate` say, and what the service is told.
//!
//! Source: W3C Trace Context sections 3.2 (traceparent), 3.3 (tracestate) and 4 (mutating). A header that
//! breaks the rules is ignored whole; a `tracestate` is worth nothing without a valid `traceparent`, and a
//! bad `tracestate` never spoils a good `traceparent`. Not decided here: whether a trace is sampled.

use super::spans::SpanRef;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A trace context: of the caller when parsed, of ourselves when written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceContext {
    /// Never all zero.
    pub(super) trace_id: [u8; 16],
    /// The id of the span that is the parent of whoever reads this; never all zero.
    pub(super) parent_id: [u8; 8],
    /// `sampled` and `random`; every other bit is zero.
    pub(super) flags: u8,
    /// The validated list, its lines joined.
    pub(super) state: Option<HeaderValue>,
}

impl TraceContext {
    /// The caller's context; `None` when there is no `traceparent` that can be trusted to be one.
    pub(super) fn of(headers: &HeaderMap) -> Option<TraceContext> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let (trace_id, parent_id, flags) = parse_parent(line.as_bytes())?;
        Some(TraceContext { trace_id, parent_id, flags, state: parse_state(headers) })
    }

    /// Whether the caller, or we, may have recorded the trace.
    pub(super) fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same trace with another decision on sampling.
    pub(super) fn set_sampled(&mut self, sampled: bool) {
        self.flags = if sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
    }

    /// The span that it is a context of.
    pub(super) fn span(&self) -> SpanRef {
        SpanRef { trace: self.trace_id, span: self.parent_id }
    }

    /// The list as text.
    pub(super) fn state_text(&self) -> Option<&str> {
        self.state.as_ref().and_then(|state| state.to_str().ok())
    }

    /// Puts another list in the place of this one, if there is one; none in the place of one that has become empty.
    pub(super) fn correct_state(&mut self, corrected: impl FnOnce(&str) -> Option<String>) {
        if let Some(state) = self.state_text().and_then(corrected) {
            self.state = HeaderValue::try_from(state).ok().filter(|state| !state.is_empty());
        }
    }

    /// Writes the context. What the caller sent must be gone.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id, &mut text[3..35]);
        write_hex(&self.parent_id, &mut text[36..52]);
        write_hex(&[self.flags], &mut text[53..55]);
        let parent = HeaderValue::from_bytes(&text).expect("hex digits and dashes make a header value");
        headers.insert(TRACEPARENT, parent);
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

/// Lower-case hex of `bytes`, filling `out`.
pub(super) fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Section 3.2: version 00 is exactly 55 characters; a higher one begins like it and is read as 00.
fn parse_parent(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let (head, rest) = text.split_at_checked(PARENT_LENGTH)?;
    let version = read_hex::<1>(&head[0..2])?[0];
    let separated = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    let ended = rest.is_empty() || (version > 0 && rest[0] == b'-');
    if version == 0xff || !separated || !ended {
        return None;
    }
    let trace_id = read_hex::<16>(&head[3..35])?;
    let parent_id = read_hex::<8>(&head[36..52])?;
    let flags = read_hex::<1>(&head[53..55])?[0];
    (trace_id != [0; 16] && parent_id != [0; 8]).then_some((trace_id, parent_id, flags & (SAMPLED | RANDOM)))
}

/// Lower case only.
fn read_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// Section 3.3: several lines are one list (RFC 9110 section 5.3); one bad member spoils all of it.
fn parse_state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut members: Vec<&str> = Vec::new();
    let mut length = 0;
    for line in headers.get_all(TRACESTATE) {
        for member in line.to_str().ok()?.split(',').map(|m| m.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let repeated = || members.iter().any(|m| m.split_once('=').is_some_and(|(k, _)| k == key));
            length += member.len() + 1;
            if members.len() == STATE_MEMBERS
                || length > STATE_LENGTH
                || !is_key(key)
                || !is_value(value)
                || repeated()
            {
                return None;
            }
            members.push(member);
        }
    }
    if members.is_empty() { None } else { HeaderValue::try_from(members.join(",")).ok() }
}

/// `simple-key` or `tenant@system`.
fn is_key(key: &str) -> bool {
    let plain = |part: &str, longest: usize, digit_first: bool| {
        let first =
            part.bytes().next().is_some_and(|c| c.is_ascii_lowercase() || digit_first && c.is_ascii_digit());
        let rest = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-*/".contains(&c);
        first && part.len() <= longest && part.bytes().all(rest)
    };
    match key.split_once('@') {
        None => plain(key, 256, true),
        Some((tenant, system)) => plain(tenant, 241, true) && plain(system, 14, false),
    }
}

/// Up to 256 printable characters; the member was trimmed, so it does not end in a space.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(|c| (0x20..=0x7e).contains(&c) && c != b'=')
}

pub(super) const SAMPLED: u8 = 1;
/// The last seven bytes of the trace id are random (Level 2 section 2.2.3.2).
pub(super) const RANDOM: u8 = 2;
const PARENT_LENGTH: usize = 55;
const STATE_MEMBERS: usize = 32;
/// The standard asks for 512 at least; 32 members of full length would be 16 KiB.
const STATE_LENGTH: usize = 4096;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn written(lines: &[(&'static str, &str)]) -> Option<(String, Option<String>)> {
        let context = TraceContext::of(&headers(lines))?;
        let mut out = HeaderMap::new();
        context.write(&mut out);
        let text = |name: &str| out.get(name).map(|v| v.to_str().unwrap().to_owned());
        Some((text("traceparent").unwrap(), text("tracestate")))
    }

    fn parent(text: &str) -> Option<String> {
        written(&[("traceparent", text)]).map(|(parent, _)| parent)
    }

    fn state(lines: &[&str]) -> Option<String> {
        let mut all = vec![("traceparent", GOOD)];
        all.extend(lines.iter().map(|line| ("tracestate", *line)));
        written(&all).expect("tracestate never spoils traceparent").1
    }

    #[test]
    fn a_good_traceparent_survives_unchanged() {
        assert_eq!(parent(GOOD).as_deref(), Some(GOOD));
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(parent(&unsampled), Some(unsampled));
    }

    #[test]
    fn unknown_flags_are_cleared_and_the_random_flag_stays() {
        assert_eq!(parent(&GOOD.replace("-01", "-ff")), Some(GOOD.replace("-01", "-03")));
    }

    /// HD-053
    #[test]
    fn what_breaks_the_grammar_is_ignored() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replacen("4b", "4B", 1),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replacen("00-", "0-", 1),
            &GOOD.replacen("00-", "FF-", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            &format!("{GOOD}-what-the-future-brings"),
            &format!("{GOOD}-"),
            &format!("{GOOD}0"),
            &GOOD[..54],
            &format!("00-{}", "0".repeat(10_000)),
        ] {
            assert_eq!(parent(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_higher_version_is_read_and_written_as_00() {
        for future in ["cc", "01", "fe"] {
            let text = GOOD.replacen("00-", &format!("{future}-"), 1);
            assert_eq!(parent(&text).as_deref(), Some(GOOD));
            assert_eq!(parent(&format!("{text}-more")).as_deref(), Some(GOOD));
            assert_eq!(parent(&format!("{text}more")), None);
        }
    }

    /// HD-053
    #[test]
    fn two_traceparents_are_none() {
        assert_eq!(written(&[("traceparent", GOOD), ("traceparent", GOOD)]), None);
        assert_eq!(written(&[("traceparent", GOOD), ("Traceparent".to_lowercase().leak(), GOOD)]), None);
    }

    /// HD-053
    #[test]
    fn a_lone_tracestate_is_dropped() {
        assert_eq!(written(&[("tracestate", "foo=1")]), None);
        assert_eq!(written(&[("traceparent", "bogus"), ("tracestate", "foo=1")]), None);
    }

    #[test]
    fn tracestate_lines_are_one_list_in_order() {
        assert_eq!(
            state(&["foo=1,bar=2", "", "rojo=1 , ,congo=2"]).as_deref(),
            Some("foo=1,bar=2,rojo=1,congo=2")
        );
        assert_eq!(state(&["a-_*/b=x y", "0t@sys=1"]).as_deref(), Some("a-_*/b=x y,0t@sys=1"));
        assert_eq!(state(&[]), None);
        assert_eq!(state(&[" , "]), None);
    }

    #[test]
    fn one_bad_member_drops_the_list() {
        let key = "z".repeat(257);
        let value = "v".repeat(257);
        for bad in
            ["foo", "=1", "foo=", "Foo=1", "foo=1=2", "foo =1", "t@0s=1", "t@=1", "@s=1", "a@b@c=1", "foo=é"]
        {
            assert_eq!(state(&["ok=1", bad]), None, "{bad}");
        }
        assert_eq!(state(&["foo=1,foo=2"]), None, "duplicate keys");
        assert_eq!(state(&[&format!("{key}=1")]), None);
        assert_eq!(state(&[&format!("foo={value}")]), None);
    }

    /// HD-053
    #[test]
    fn at_most_32_members_of_bounded_length() {
        let list = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(state(&[&list(32)]), Some(list(32)));
        assert_eq!(state(&[&list(33)]), None);
        let long = (0..32).map(|i| format!("k{i}={}", "v".repeat(200))).collect::<Vec<_>>().join(",");
        assert_eq!(state(&[&long]), None);
    }
}
