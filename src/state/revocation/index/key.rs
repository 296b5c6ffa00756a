//! What an entry is found by: a keyed hash of issuer and values, and the number of its shape.
//!
//! 88 bits of SipHash-1-3 under a secret of the process, which a snapshot carries on: nobody who does not know it can
//! aim entries at one shard or make two values meet. By accident, two of ten million entries meet once in six
//! trillion such indexes. What met would be revoked together; nothing would be forgotten.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hasher, RandomState};

/// The secret that hashes are made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::state::revocation) struct Secret(pub(in crate::state::revocation) [u64; 2]);

impl Secret {
    /// Another one each time, from the system's randomness.
    pub(super) fn random() -> Secret {
        let source = RandomState::new();
        Secret([source.hash_one(0), source.hash_one(1)])
    }

    /// Begins a hash for an issuer's tokens; to be cloned for each shape.
    pub(super) fn of_issuer(&self, issuer: &str) -> Digest {
        let mut digest = Digest(SipHasher13::new_with_keys(self.0[0], self.0[1]));
        digest.add(issuer);
        digest
    }
}

/// A hash being made.
#[derive(Clone)]
pub(super) struct Digest(SipHasher13);

impl Digest {
    /// Which facts the values are of.
    pub(super) fn add_shape(&mut self, named: u16, present: u16) {
        self.0.write_u32(u32::from(named) << 16 | u32::from(present));
    }

    /// With its length, so that no two rows of values are one text.
    pub(super) fn add(&mut self, value: &str) {
        self.0.write_u64(value.len() as u64);
        self.0.write(value.as_bytes());
    }

    pub(super) fn key(&self, shape: u8) -> Key {
        let hash = self.0.finish128();
        Key { tag: hash.h1.max(1), print: (hash.h2 >> 40) as u32, shape }
    }
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::state::revocation) struct Key {
    /// Never 0.
    tag: u64,
    /// 24 bits.
    print: u32,
    /// The number of its shape.
    shape: u8,
}

impl Key {
    pub(super) fn tag(self) -> u64 {
        self.tag
    }

    pub(super) fn shape(self) -> u8 {
        self.shape
    }

    /// All but the tag, in the upper half of a word.
    pub(super) fn rest(self) -> u64 {
        u64::from(self.print) << 40 | u64::from(self.shape) << 32
    }

    /// From the tag and a word whose upper half is the rest.
    pub(super) fn of_words(tag: u64, mark: u64) -> Key {
        Key { tag, print: (mark >> 40) as u32, shape: (mark >> 32) as u8 }
    }

    /// The tag as a fraction of so many places: no division, and any number will do.
    pub(super) fn scaled(self, places: usize) -> usize {
        ((u128::from(self.tag) * places as u128) >> 64) as usize
    }

    /// A number below `shards`, a power of two of at most 24 bits. Where in the shard it lies, the tag says.
    pub(super) fn shard(self, shards: usize) -> usize {
        self.print as usize & (shards - 1)
    }
}
