//! The memory against a naive model, under threads, and under clocks that are stepped.

use super::shard::{Clocks, Key};
use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

const JKT: &[u8] = b"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const LIFE: i64 = 65_000;

/// A test's two clocks, in milliseconds since it began.
struct World {
    memory: Memory,
    start: Instant,
    wall: i64,
    monotonic: u64,
}

impl World {
    fn new(max_entries: usize) -> World {
        World {
            memory: Memory::new(max_entries),
            start: Instant::now(),
            wall: 1_800_000_000_000,
            monotonic: 0,
        }
    }
    fn pass(&mut self, millis: u64) {
        self.monotonic += millis;
        self.wall += i64::try_from(millis).unwrap();
    }
    fn clocks(&self) -> Clocks {
        Clocks {
            wall: Timestamp::from_millis(self.wall),
            monotonic: self.start + Duration::from_millis(self.monotonic),
        }
    }
    fn key(&self, jti: &str) -> Key {
        self.memory.key(JKT, jti.as_bytes())
    }
    /// A proof that is acceptable until then.
    fn show(&self, jti: &str, until: i64) -> Result<(), Denial> {
        self.memory.remember(self.key(jti), Timestamp::from_millis(until), self.clocks())
    }
}

/// DPOP-41, DPOP-43, RP-010
#[test]
fn a_proof_is_fresh_once_until_the_last_moment_it_is_acceptable() {
    let mut world = World::new(10);
    let until = world.wall + LIFE;
    assert_eq!(world.show("a", until), Ok(()));
    assert_eq!(world.show("a", until), Err(Denial::ProofReplayed));
    assert_eq!(world.show("b", until), Ok(()), "another proof is another matter");
    for _ in 0..65 {
        world.pass(1000);
        assert_eq!(world.show("a", until), Err(Denial::ProofReplayed));
    }
    assert_eq!(world.wall, until);
}

/// DPOP-41, CL-049
#[test]
fn the_same_jti_of_one_key_is_seen_whatever_its_iat_and_is_fresh_for_another_key() {
    let world = World::new(10);
    assert_eq!(world.show("a", world.wall + 1000), Ok(()));
    assert_eq!(world.show("a", world.wall + 60_000), Err(Denial::ProofReplayed));
    let other = world.memory.key(b"1ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", b"a");
    assert_eq!(world.memory.remember(other, Timestamp::from_millis(world.wall), world.clocks()), Ok(()));
}

/// DPOP-42
#[test]
fn a_long_jti_counts_to_its_last_byte() {
    let world = World::new(10);
    let long = "x".repeat(4000);
    assert_eq!(world.show(&long, world.wall), Ok(()));
    assert_eq!(world.show(&format!("{long}y"), world.wall), Ok(()));
    assert_eq!(world.show(&long, world.wall), Err(Denial::ProofReplayed));
}

#[test]
fn when_full_it_refuses_and_forgets_nothing_until_lives_end() {
    let mut world = World::new(100);
    let until = world.wall + LIFE;
    for n in 0..100 {
        assert_eq!(world.show(&format!("{n}"), until), Ok(()));
    }
    assert_eq!(world.show("one more", until), Err(Denial::ReplayFull));
    assert_eq!(world.memory.len(), 100);
    for n in 0..100 {
        assert_eq!(world.show(&format!("{n}"), until), Err(Denial::ProofReplayed));
    }
    world.pass(90_000);
    assert_eq!(world.show("one more", world.wall + LIFE), Ok(()));
    assert_eq!(world.memory.len(), 1);
}

#[test]
fn one_of_eight_racing_threads_wins_each_proof() {
    const ROUNDS: usize = 3000;
    let world = World::new(ROUNDS);
    let keys: Vec<Key> = (0..ROUNDS).map(|n| world.key(&n.to_string())).collect();
    let (winners, barrier) = (AtomicUsize::new(0), Barrier::new(8));
    let until = Timestamp::from_millis(world.wall + LIFE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for key in &keys {
                    barrier.wait();
                    match world.memory.remember(*key, until, world.clocks()) {
                        Ok(()) => winners.fetch_add(1, Relaxed),
                        Err(denial) => {
                            assert_eq!(denial, Denial::ProofReplayed);
                            0
                        }
                    };
                }
            });
        }
    });
    assert_eq!((winners.into_inner(), world.memory.len()), (ROUNDS, ROUNDS));
}

#[test]
fn racing_threads_never_pass_the_bound() {
    let world = World::new(1000);
    let until = Timestamp::from_millis(world.wall + LIFE);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for n in 0..500 {
                    let _ = world.memory.remember(world.key(&format!("{thread}/{n}")), until, world.clocks());
                    assert!(world.memory.len() <= 1000);
                }
            });
        }
    });
    assert_eq!(world.memory.len(), 1000);
}

/// RP-013: the clock an hour ahead and back again, with the purge that an hour would bring.
#[test]
fn stepping_forward_and_back_gives_no_second_chance() {
    let mut world = World::new(100);
    let until = world.wall + LIFE;
    assert_eq!(world.show("a", until), Ok(()));
    world.wall += 3_600_000;
    assert_eq!(world.show("during", world.wall + LIFE), Ok(()));
    world.pass(10_000);
    world.wall -= 3_600_000;
    assert_eq!(world.show("a", until), Err(Denial::ProofReplayed));
    assert_eq!(world.show("after", world.wall + LIFE), Ok(()), "a clock put right serves at once");
}

/// RP-012: what NTP does to a clock that runs ahead.
#[test]
fn a_small_step_back_costs_nothing_while_there_is_room() {
    let mut world = World::new(10_000);
    let until = world.wall + LIFE;
    assert_eq!(world.show("a", until), Ok(()));
    for n in 0..20 {
        world.pass(10_000);
        assert_eq!(world.show(&format!("{n}"), world.wall + LIFE), Ok(()));
    }
    world.wall -= 200_000;
    assert_eq!(world.show("a", until), Err(Denial::ProofReplayed));
    assert_eq!(world.show("new", world.wall + LIFE), Ok(()));
    assert_eq!(world.memory.refused_blindly(), 0);
}

#[test]
fn after_a_long_step_back_what_was_forgotten_is_refused_not_guessed() {
    let mut world = World::new(10);
    let until = world.wall + LIFE;
    assert_eq!(world.show("a", until), Ok(()));
    world.pass(1_000_000);
    world.memory.sweep(world.clocks());
    assert!(world.memory.is_empty());
    world.wall -= 1_000_000;
    assert_eq!(world.show("a", until), Err(Denial::ReplayFull));
    assert_eq!(world.memory.refused_blindly(), 1);
    assert_eq!(world.show("b", until + 60_000), Ok(()), "its stretch was never lived through");
}

/// RP-015: a leap second is a second that comes twice, and 2038 is when 32 bits end.
#[test]
fn odd_seconds_are_seconds() {
    let mut world = World::new(1000);
    world.wall = (1 << 31) * 1000 - 30_000;
    let until = world.wall + LIFE;
    assert_eq!(world.show("a", until), Ok(()));
    for n in 0..60 {
        world.pass(1000);
        if n == 40 {
            world.wall -= 1000;
        }
        assert_eq!(world.show("a", until), Err(Denial::ProofReplayed), "{n}");
        assert_eq!(world.show(&format!("at {n}"), world.wall + LIFE), Ok(()), "{n}");
    }
    assert_eq!(world.memory.refused_blindly(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Show { jti: u16, life: i64 },
    Replay { nth: usize },
    Pass(u64),
    Jump(i64),
}

fn steps(jumps: bool) -> impl Strategy<Value = Vec<Step>> {
    let jump = if jumps { 1 } else { 0 };
    let step = prop_oneof![
        8 => (any::<u16>(), 0..LIFE).prop_map(|(jti, life)| Step::Show { jti, life }),
        8 => any::<usize>().prop_map(|nth| Step::Replay { nth }),
        4 => (0..40_000_u64).prop_map(Step::Pass),
        jump => (-800_000..800_000_i64).prop_map(Step::Jump),
    ];
    prop::collection::vec(step, 1..300)
}

/// An answer, and whether the same proof had been accepted before.
type Answer = (Result<(), Denial>, bool);

/// Runs the steps against the naive model: every accepted (jti, until), for ever.
fn run(steps: Vec<Step>, max_entries: usize) -> (World, Vec<Answer>) {
    let mut world = World::new(max_entries);
    let mut accepted: HashMap<String, i64> = HashMap::new();
    let mut results = Vec::new();
    for step in steps {
        let shown: Vec<&String> = accepted.keys().collect();
        let (jti, until) = match step {
            Step::Pass(millis) => {
                world.pass(millis);
                continue;
            }
            Step::Jump(millis) => {
                world.wall += millis;
                continue;
            }
            Step::Show { jti, life } => (format!("{jti}@{}", world.wall), world.wall + life),
            Step::Replay { nth: _ } if shown.is_empty() => continue,
            Step::Replay { nth } => {
                let jti = shown[nth % shown.len()].clone();
                let until = accepted[&jti];
                if world.wall > until {
                    continue; // its iat check refuses it
                }
                (jti, until)
            }
        };
        let known = accepted.contains_key(&jti);
        let result = world.show(&jti, until);
        if result.is_ok() {
            accepted.insert(jti, until);
        }
        results.push((result, known));
        assert!(world.memory.len() <= max_entries);
    }
    (world, results)
}

proptest! {
    #[test]
    fn whatever_the_wall_clock_does_no_acceptable_proof_is_accepted_twice(steps in steps(true), max in 1..60_usize) {
        for (result, known) in run(steps, max).1 {
            prop_assert!(!(known && result.is_ok()));
        }
    }

    #[test]
    fn under_a_steady_clock_the_answer_is_exact(steps in steps(false)) {
        let (world, results) = run(steps, 100_000);
        for (result, known) in results {
            prop_assert_eq!(result, if known { Err(Denial::ProofReplayed) } else { Ok(()) });
        }
        prop_assert_eq!(world.memory.refused_blindly(), 0);
    }

    #[test]
    fn full_means_that_many_lives_have_not_ended(count in 1..200_usize, max in 1..100_usize, gap in 0..3000_u64) {
        let mut world = World::new(max);
        let mut ends: Vec<i64> = Vec::new();
        for n in 0..count {
            world.pass(gap);
            match world.show(&n.to_string(), world.wall + LIFE) {
                Ok(()) => ends.push(world.wall + LIFE),
                Err(_) => {
                    // A bucket is 16 s wide and has 1 s of slack.
                    let alive = ends.iter().filter(|end| **end + 17_000 >= world.wall).count();
                    prop_assert!(alive >= max);
                }
            }
        }
    }
}
