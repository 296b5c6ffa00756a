//! Hash tables whose keys are uniform already: keyed digests, of which eight bytes are as good a hash as
//! there is. To hash them once more would cost time and add nothing.
//!
//! Only for keys that nobody without our secret can choose.

use std::hash::{BuildHasherDefault, Hasher};

/// A table of such keys. Their `Hash` hands on eight of their bytes with one `write_u64`.
pub(super) type Table<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<Uniform>>;

/// Takes a key's word for its hash.
#[derive(Default)]
pub(super) struct Uniform(u64);

impl Hasher for Uniform {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
