//! What requests and traces are called: random ids, which are no secrets. Fast, seeded once per thread by the system's generator.

use super::trace_context::write_hex;
use std::cell::Cell;

/// What one request is called, in the answer to its caller, the log, the trace and the audit log: 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    pub(super) fn random() -> RequestId {
        let mut text = [0; 16];
        write_hex(&random::<8>(), &mut text);
        RequestId(text)
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The trace id of a request: 32 hex digits.
#[derive(Clone, Copy, Debug)]
pub struct TraceId([u8; 32]);

impl TraceId {
    pub(super) fn of(id: [u8; 16]) -> TraceId {
        let mut text = [0; 32];
        write_hex(&id, &mut text);
        TraceId(text)
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A random id; never all zero, which the standard forbids.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut id = [0; N];
    for chunk in id.chunks_mut(8) {
        chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
    }
    if id == [0; N] { random() } else { id }
}

/// xoshiro256++ (Blackman and Vigna).
fn next() -> u64 {
    STATE.with(|state| {
        let [mut a, mut b, mut c, mut d] = state.get();
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = d.rotate_left(45);
        state.set([a, b, c, d]);
        result
    })
}

fn seed() -> [u64; 4] {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's generator works: TLS needs it before any request");
    std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|j| bytes[i * 8 + j])))
}

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_also_between_threads() {
        let ids = || (0..1000).map(|_| random::<16>()).collect::<Vec<_>>();
        let other = std::thread::spawn(ids).join().unwrap();
        let all: HashSet<_> = ids().into_iter().chain(other).collect();
        assert_eq!(all.len(), 2000);
        assert!(!all.contains(&[0; 16]));
    }
}
