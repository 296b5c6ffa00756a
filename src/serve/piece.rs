//! What was handed over of a response and is not sent yet: how much of it there may be (DS-009, DS-010).
//!
//! A client that does not read leaves its responses here, in the queue of its connection. So a response is read on from
//! the service only while less than [`QUEUE`] of it waits, whatever windows the client opens. Each response has a bound
//! of its own and none waits for another's room: who reads gets on, and all of them together are bounded by `in_flight`.
//!
//! What counts is the memory that is kept, not its content: a few bytes keep the buffer into which they were read.
//! Small pieces that others follow are copied out of it, so that a stream of small events is not held up after a few.

use super::body::Passing;
use bytes::{Buf, Bytes};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A piece of a response on its way. It has been sent, or its stream was given up, when it is dropped.
#[derive(Debug)]
pub(super) struct Piece {
    content: Bytes,
    of: Option<(Arc<Passing>, usize)>,
}

/// How much of a response waits, in bytes of memory.
#[derive(Debug, Default)]
pub(super) struct Unsent(AtomicUsize);

impl Unsent {
    /// Whether nothing more of it is to be taken from the service.
    pub(super) fn is_full(&self) -> bool {
        self.0.load(Ordering::Acquire) >= QUEUE
    }

    /// What is handed over next, and what it weighs.
    fn add(&self, content: Bytes, is_last: bool) -> (Bytes, usize) {
        let (content, weight) = if is_last || content.len() >= SMALL {
            let weight = content.len().max(READ_BUFFER);
            (content, weight)
        } else {
            let weight = content.len() + OVERHEAD;
            (Bytes::copy_from_slice(&content), weight)
        };
        self.0.fetch_add(weight, Ordering::AcqRel);
        (content, weight)
    }

    /// Whether there is room again where there was none.
    fn remove(&self, weight: usize) -> bool {
        let before = self.0.fetch_sub(weight, Ordering::AcqRel);
        before >= QUEUE && before.saturating_sub(weight) < QUEUE
    }
}

impl Piece {
    /// Of an answer of our own.
    pub(super) fn own(content: Bytes) -> Piece {
        Piece { content, of: None }
    }
    /// Of the service's; `is_last`: none follows it.
    pub(super) fn of(passing: &Arc<Passing>, content: Bytes, is_last: bool) -> Piece {
        let (content, weight) = passing.unsent.add(content, is_last);
        Piece { content, of: Some((Arc::clone(passing), weight)) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some((passing, weight)) = &self.of
            && passing.unsent.remove(*weight)
        {
            passing.asking.wake();
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.content.remaining()
    }
    fn chunk(&self) -> &[u8] {
        self.content.chunk()
    }
    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.content.chunks_vectored(slices)
    }
    fn advance(&mut self, count: usize) {
        self.content.advance(count);
    }
}

/// What is read of the service at a time, in bytes.
pub(super) const READ_BUFFER: usize = 32 * 1024;

/// How much of a response may wait before no more of it is read, in bytes.
pub(super) const QUEUE: usize = 32 * 1024;

/// What is less than this is copied, in bytes.
const SMALL: usize = 2 * 1024;

/// What a piece costs besides its content: its place in the queue of HTTP/2, and the allocator's.
const OVERHEAD: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// DS-009: what is kept is bounded, whatever size it comes in.
    #[test]
    fn the_queue_is_bounded_by_what_its_pieces_keep() {
        for length in [1, 6, 100, 2000, SMALL, READ_BUFFER / 2, READ_BUFFER] {
            let (unsent, buffer) = (Unsent::default(), Bytes::from(vec![0; READ_BUFFER]));
            let mut weights = Vec::new();
            while !unsent.is_full() {
                let (content, weight) = unsent.add(buffer.slice(..length), false);
                let is_copy = content.as_ptr() != buffer.as_ptr();
                assert!(if is_copy { weight > length } else { weight == READ_BUFFER }, "{length}");
                weights.push(weight);
            }
            assert!(weights.iter().sum::<usize>() < QUEUE + READ_BUFFER, "{length}: {weights:?}");
            assert!(weights.len() > 10 || length >= SMALL, "{length}: {}", weights.len());
            let last = weights.pop().unwrap_or_default();
            assert!(unsent.remove(last) && !unsent.is_full(), "room is told of once");
            assert!(weights.into_iter().all(|weight| !unsent.remove(weight)));
        }
    }
}
