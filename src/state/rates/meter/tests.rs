#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

fn meter() -> Meter {
    Meter::new([7; 16], Instant::now())
}

fn of(meter: &Meter, number: u64) -> Key {
    meter.key(&[&number.to_be_bytes()])
}

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second, burst }
}

const ONE: Duration = Duration::from_secs(1);

/// Each of so many nanoseconds is worth one.
fn each(rate: Rate) -> u64 {
    SECOND / u64::from(rate.per_second)
}

proptest! {
    /// DS-012: in no stretch of time does a key get more than its burst and its rate, however it asks.
    #[test]
    fn a_key_never_gets_more_than_its_rate(
        per_second in 1_u32..100_000,
        burst in 1_u32..50,
        pauses in prop::collection::vec(0_u64..3_000_000_000, 1..300),
    ) {
        let (meter, rate) = (meter(), rate(per_second, burst));
        let key = of(&meter, 1);
        let (mut at, mut taken) = (0_u64, Vec::new());
        for pause in pauses {
            // A third of the pauses are none, and most are about as long as one is worth.
            at += match pause % 3 { 0 => 0, 1 => pause % (2 * each(rate)), _ => pause };
            if meter.take(key, rate, meter.began + Duration::from_nanos(at)).is_ok() {
                taken.push(at);
            }
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let most = u64::from(burst) + (to - from) / each(rate);
                prop_assert!((last - first + 1) as u64 <= most, "{} in {} ns", last - first + 1, to - from);
            }
        }
    }

    /// A key alone is never refused while it asks no faster than its rate, after a burst that it may have.
    #[test]
    fn a_key_within_its_rate_is_never_refused(per_second in 1_u32..1_000_000, burst in 1_u32..50, steps in 1_u64..200) {
        let (meter, rate) = (meter(), rate(per_second, burst));
        let key = of(&meter, 1);
        for _ in 0..burst {
            prop_assert_eq!(meter.take(key, rate, meter.began), Ok(()));
        }
        for step in 1..=steps {
            let at = meter.began + Duration::from_nanos(step * each(rate));
            prop_assert_eq!(meter.take(key, rate, at), Ok(()), "step {}", step);
        }
    }

    /// What it says about the next one is true, to the nanosecond; asking takes nothing.
    #[test]
    fn the_wait_is_true(per_second in 1_u32..1_000_000, burst in 1_u32..50, at in 0_u64..1_000_000_000_000) {
        let (meter, rate) = (meter(), rate(per_second, burst));
        let (key, now) = (of(&meter, 1), meter.began + Duration::from_nanos(at));
        let wait = (0..=burst).find_map(|_| meter.take(key, rate, now).err()).unwrap();
        prop_assert!(wait.as_nanos() <= u128::from(each(rate)));
        let early = now + wait - Duration::from_nanos(1);
        prop_assert_eq!(meter.ask(key, rate, early), Err(Duration::from_nanos(1)));
        for _ in 0..3 {
            prop_assert_eq!(meter.ask(key, rate, now + wait), Ok(()));
        }
        prop_assert_eq!(meter.take(key, rate, now + wait), Ok(()));
        prop_assert!(meter.take(key, rate, now + wait).is_err());
    }
}

/// 1000 keys far over their rate; of 100 000 others fewer than one in 100 000 may be held to theirs (five in a hundred
/// million by the formula above).
#[test]
fn many_keys_do_not_starve_another() {
    let (meter, rate) = (meter(), rate(10, 10));
    for greedy in 0..1000 {
        while meter.take(of(&meter, greedy), rate, meter.began).is_ok() {}
    }
    let held = (0..100_000).filter(|n| meter.ask(of(&meter, 1_000_000 + n), rate, meter.began).is_err());
    assert!(held.count() <= 1);
}

/// Keys within their rates add nothing up: as many of them as there are cells, and each gets all of its burst.
#[test]
fn keys_within_their_rates_do_not_add_up() {
    let (meter, rate) = (meter(), rate(10, 10));
    let held = (0..CELLS as u64)
        .flat_map(|number| [number; 5])
        .filter(|number| meter.take(of(&meter, *number), rate, meter.began).is_err())
        .count();
    assert_eq!(held, 0);
}

/// Threads that race for one key get no more of it together than one alone.
#[test]
fn a_race_gets_nothing_for_free() {
    const BURST: u32 = 20_000;
    let (meter, taken, start) = (meter(), AtomicUsize::new(0), Barrier::new(4));
    let key = of(&meter, 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                while meter.take(key, rate(1, BURST), meter.began).is_ok() {
                    taken.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), BURST as usize);
}

/// A moment before the last one, before the beginning, and at the end of time.
#[test]
fn time_may_stand_still_but_never_pays_twice() {
    let (meter, rate) = (meter(), rate(1, 1));
    let (key, hour) = (of(&meter, 1), Duration::from_secs(3600));
    assert_eq!(meter.take(key, rate, meter.began + hour), Ok(()));
    assert_eq!(meter.take(key, rate, meter.began), Err(hour + ONE));
    let before = meter.began.checked_sub(Duration::from_secs(1)).unwrap_or(meter.began);
    assert_eq!(meter.take(key, rate, before), Err(hour + ONE));
    assert!(next([u64::MAX; ROWS], rate, u64::MAX).is_ok(), "584 years on, nobody is shut out for ever");
    assert!(next([u64::MAX; ROWS], rate, 0).is_err());
    assert!(next([0; ROWS], Rate { per_second: 0, burst: 0 }, 0).is_ok(), "no division by zero");
}

/// A rate that is changed by a reload counts from the next request on.
#[test]
fn another_rate_goes_on_from_what_was_taken() {
    let meter = meter();
    let key = of(&meter, 1);
    for _ in 0..10 {
        assert_eq!(meter.take(key, rate(10, 10), meter.began), Ok(()));
    }
    assert_eq!(meter.take(key, rate(10, 5), meter.began), Err(Duration::from_millis(600)));
    assert_eq!(meter.take(key, rate(10, 12), meter.began), Ok(()));
}

#[test]
fn keys_differ_by_where_their_parts_end_and_by_the_secret() {
    let one = meter();
    assert_ne!(one.key(&[b"ab", b"c"]), one.key(&[b"a", b"bc"]));
    assert_ne!(one.key(&[b"abc"]), Meter::new([8; 16], one.began).key(&[b"abc"]));
    assert_eq!(one.cells.len() * size_of::<AtomicU64>(), 2 << 20, "2 MiB");
}
