//! Which traces are recorded: a share of them, by their ids, so that everybody who samples by the id agrees.
//!
//! Source: OpenTelemetry SDK specification, `TraceIdRatioBased` and `ParentBased`; TraceState handling, `rv`; W3C Trace
//! Context Level 2 section 2.2.3.2 (the last seven bytes of a trace id are random). A trace is recorded if these 56 bits
//! are not below a threshold.
//!
//! Whoever calls may choose an id that is always recorded, so ids that callers bring are kept to the configured share
//! over time, too (TRACE-07, HD-054): beyond an [allowance](ALLOWANCE) for chance they are not recorded, whatever they are.

use super::ids;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// A share of all traces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// What is below is not recorded: 0 for every trace, 2^56 for none.
    threshold: u64,
}

/// The share, and what callers have had of it.
#[derive(Debug)]
pub(super) struct Sampler {
    pub(super) share: Share,
    /// In millionths of a trace.
    earned: i64,
    left: AtomicI64,
}

impl Share {
    /// From 0 to 1.
    pub(super) fn of(share: f64) -> Share {
        let rejected = (1.0 - share.clamp(0.0, 1.0)) * MOST as f64;
        Share { threshold: rejected.round() as u64 }
    }

    /// Whether a trace of this id is recorded.
    pub(super) fn has(self, trace: &[u8; 16]) -> bool {
        self.takes(randomness(trace))
    }

    /// A caller's `tracestate` that says in which share (`th` of the member `ot`) its trace was recorded, corrected to
    /// ours if that is smaller: whoever counts by it would count too few. `None` if there is nothing to correct.
    pub(super) fn corrected(self, state: &str) -> Option<String> {
        let threshold = pairs(state)?.find_map(|pair| pair.strip_prefix("th:")).and_then(threshold_of)?;
        if threshold >= self.threshold {
            return None;
        }
        let digits = format!("{:014x}", self.threshold);
        with_share(state, Some(&format!("th:{}", digits.trim_end_matches('0'))))
    }

    fn takes(self, randomness: u64) -> bool {
        randomness >= self.threshold
    }

    fn is_all(self) -> bool {
        self.threshold == 0
    }
}

impl Sampler {
    pub(super) fn new(share: f64) -> Sampler {
        let earned = (share.clamp(0.0, 1.0) * ONE as f64).round() as i64;
        Sampler { share: Share::of(share), earned, left: AtomicI64::new(ALLOWANCE) }
    }

    /// Whether a caller's trace is recorded; `state`: its `tracestate`, which may bring other randomness.
    pub(super) fn admits(&self, trace: &[u8; 16], state: Option<&str>) -> bool {
        if self.share.is_all() {
            return true;
        }
        let explicit = state.and_then(explicit_randomness);
        let wanted = self.share.takes(explicit.unwrap_or_else(|| randomness(trace)));
        let spent = |left: i64| {
            let left = left.saturating_add(self.earned).min(ALLOWANCE);
            Some(if wanted && left >= ONE { left - ONE } else { left })
        };
        match self.left.fetch_update(Relaxed, Relaxed, spent) {
            Ok(before) => wanted && before.saturating_add(self.earned).min(ALLOWANCE) >= ONE,
            Err(_) => false,
        }
    }
}

/// A caller's `tracestate` without the share that its trace was recorded in: here it was not. `None` if it says none.
pub(super) fn without_share(state: &str) -> Option<String> {
    let says = pairs(state)?.any(|pair| pair.starts_with("th:"));
    says.then(|| with_share(state, None))?
}

/// The list with another `th`, or without.
fn with_share(state: &str, share: Option<&str>) -> Option<String> {
    let others = pairs(state)?.filter(|pair| !pair.starts_with("th:"));
    let ours = others.chain(share).collect::<Vec<_>>().join(";");
    let ours = (!ours.is_empty()).then(|| format!("ot={ours}"));
    // What was changed goes to the left (W3C Trace Context section 3.3.1.5; TRACE-06).
    let kept = state.split(',').map(str::trim).filter(|member| !member.starts_with("ot="));
    Some(ours.as_deref().into_iter().chain(kept).collect::<Vec<_>>().join(","))
}

/// What OpenTelemetry's member of the list says.
fn pairs(state: &str) -> Option<impl Iterator<Item = &str>> {
    let ours = state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    Some(ours.split(';'))
}

/// A trace id for a trace that begins here: random throughout.
pub(super) fn new_trace() -> [u8; 16] {
    ids::random()
}

/// The lower 56 bits.
fn randomness(trace: &[u8; 16]) -> u64 {
    let lower = trace.last_chunk().map_or(0, |lower| u64::from_be_bytes(*lower));
    lower & (MOST - 1)
}

/// `rv` in the member `ot` of a valid `tracestate`: 14 hex digits.
fn explicit_randomness(state: &str) -> Option<u64> {
    let value = pairs(state)?.find_map(|pair| pair.strip_prefix("rv:"))?;
    let digits = value.len() == 14 && value.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(value, 16).ok())?
}

/// 1 to 14 hex digits, with zeros behind them.
fn threshold_of(digits: &str) -> Option<u64> {
    let good = (1..=14).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| u64::from_str_radix(&format!("{digits:0<14}"), 16).ok())?
}

/// 2^56.
const MOST: u64 = 1 << 56;
const ONE: i64 = 1_000_000;
/// So many traces of callers may be recorded before they have earned it: without leave for chance, honest traces would
/// be lost.
const ALLOWANCE: i64 = 1000 * ONE;

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(randomness: u64) -> [u8; 16] {
        let mut trace = [0x4b; 16];
        trace[8..].copy_from_slice(&(randomness | 0xab << 56).to_be_bytes());
        trace
    }

    #[test]
    fn the_last_seven_bytes_decide() {
        let half = Share::of(0.5);
        assert!(half.has(&ending(1 << 55)) && !half.has(&ending((1 << 55) - 1)));
        assert!(Share::of(1.0).has(&ending(0)) && !Share::of(0.0).has(&ending(MOST - 1)));
        // A greater share has all that a smaller one has.
        let tenth = Share::of(0.1);
        assert!((0..10_000).map(|_| new_trace()).all(|trace| !tenth.has(&trace) || half.has(&trace)));
    }

    #[test]
    fn new_traces_are_recorded_in_their_share() {
        let quarter = Share::of(0.25);
        let hits = (0..10_000).filter(|_| quarter.has(&new_trace())).count();
        assert!((2300..2700).contains(&hits), "{hits}");
    }

    #[test]
    fn callers_traces_agree_with_our_own() {
        let sampler = Sampler::new(0.1);
        let traces: Vec<_> = (0..50_000).map(|_| new_trace()).collect();
        let differ = traces.iter().filter(|trace| sampler.admits(trace, None) != sampler.share.has(trace));
        assert_eq!(differ.count(), 0, "chance stays within the allowance");
    }

    /// HD-054, TRACE-07
    #[test]
    fn chosen_ids_get_no_more_than_the_share() {
        let sampler = Sampler::new(0.01);
        let chosen = ending(MOST - 1);
        let hits = (0..100_000).filter(|_| sampler.admits(&chosen, None)).count();
        assert!((1900..=2000).contains(&hits), "{hits}: the share of 100,000, and the allowance");
        assert!(!Sampler::new(0.0).admits(&chosen, None));
    }

    /// TRACE-06
    #[test]
    fn a_share_that_is_told_of_is_never_too_great() {
        let quarter = Share::of(0.25);
        let told = |state: &str| quarter.corrected(state);
        assert_eq!(
            told("a=1,ot=rv:80000000000000;th:8,b=2").as_deref(),
            Some("ot=rv:80000000000000;th:c,a=1,b=2")
        );
        assert_eq!(told("ot=th:0").as_deref(), Some("ot=th:c"));
        for right in
            ["ot=th:c", "ot=th:fff", "ot=rv:80000000000000", "a=1", "ot=th:", "ot=th:0123456789abcdef"]
        {
            assert_eq!(told(right), None, "{right}");
        }
        assert_eq!(Share::of(1.0).corrected("ot=th:0"), None);
    }

    /// TRACE-06
    #[test]
    fn what_is_not_recorded_is_in_no_share() {
        for (told, left) in [
            ("a=1,ot=rv:80000000000000;th:8,b=2", Some("ot=rv:80000000000000,a=1,b=2")),
            ("a=1,ot=th:8", Some("a=1")),
            ("ot=th:0", Some("")),
            ("ot=rv:80000000000000", None),
            ("a=th:0", None),
        ] {
            assert_eq!(without_share(told).as_deref(), left, "{told}");
        }
    }

    #[test]
    fn explicit_randomness_goes_before_the_id() {
        let half = Sampler::new(0.5);
        assert!(half.admits(&ending(0), Some("a=1,ot=th:0;rv:80000000000000")));
        assert!(!half.admits(&ending(MOST - 1), Some("ot=rv:7fffffffffffff,b=2")));
        for odd in ["ot=rv:8", "ot=rv:8000000000000z", "rv=80000000000000", "ot=", "xot=rv:80000000000000"] {
            assert!(!half.admits(&ending(0), Some(odd)), "{odd}");
        }
    }
}
