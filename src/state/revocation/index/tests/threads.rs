//! Readers beside a writer, through every growth of the tables.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Release};
use std::thread;

/// A thousand in each shard, so that each table grows through all its first steps.
const ENTRIES: u64 = 1000 * SHARDS as u64;

#[test]
fn what_was_said_to_be_revoked_is_found_at_any_moment_after() {
    let index = Index::new(usize::MAX);
    let (said, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let looks: u64 = thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|seed| scope.spawn(reader(&index, &said, &done, seed))).collect();
        scope.spawn(|| {
            while !done.load(Acquire) {
                index.sweep(NOW);
                // Every fourth entry is extended meanwhile, in place.
                let known = said.load(Acquire) / 4;
                revoke(&index, &[(TokenId, &known.to_string())], 1, 7200).unwrap();
            }
        });
        for n in 0..ENTRIES {
            revoke(&index, &[(TokenId, &n.to_string())], 0, 3600).unwrap();
            said.store(n + 1, Release);
        }
        done.store(true, Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(looks > 10_000, "{looks} looks beside the writer");
    assert_eq!(index.len() as u64, ENTRIES);
    for n in 0..ENTRIES {
        assert!(revoked(&index, &[(TokenId, &n.to_string())], NOW), "{n}");
    }
}

/// Asks for entries at random among those that were said to be in, the latest, and ones that never are.
fn reader<'a>(
    index: &'a Index,
    said: &'a AtomicU64,
    done: &'a AtomicBool,
    seed: u64,
) -> impl FnOnce() -> u64 + Send + 'a {
    move || {
        let (mut looks, mut random) = (0, seed * 2 + 1);
        while !done.load(Acquire) {
            let known = said.load(Acquire);
            if known == 0 {
                continue;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for n in [known - 1, (random >> 33) % known] {
                assert!(revoked(index, &[(TokenId, &n.to_string())], NOW), "{n} of {known} is lost");
            }
            assert!(!revoked(index, &[(TokenId, &format!("never {random}"))], NOW));
            looks += 1;
        }
        looks
    }
}
