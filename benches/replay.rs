//! The replay memory at one million live entries: what an insert costs, and what an entry takes.
//!
//! Prints the figures first (each insert timed by itself, so they include the clock's own 20 to 50 ns), then
//! lets criterion measure inserts among so many live entries, by a wall clock that runs with the load so
//! that buckets are opened as they would be. The monotonic clock stands almost still meanwhile, so none is
//! given up.

// Criterion's own macros and a report on standard output.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use clinch::pop::Timestamp;
use clinch::pop::jwk::Thumbprint;
use clinch::state::replay::memory::Memory;
use criterion::Criterion;
use std::hint::black_box;
use std::time::{Duration, Instant};

const LIVE: usize = 1_000_000;
/// `max_age` and `max_future` of the default config, in milliseconds.
const LIFE: i64 = 65_000;

fn main() {
    report();
    let mut criterion = Criterion::default().configure_from_args();
    steady(&mut criterion);
    criterion.final_summary();
}

/// Proofs of one key, each made at its time: `rate` a second.
struct Load {
    memory: Memory,
    key: Thumbprint,
    start: i64,
    count: u64,
    per_second: u64,
}

impl Load {
    fn new(per_second: u64) -> Load {
        let key = Thumbprint::parse("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
        let start = Timestamp::from_system(std::time::SystemTime::now()).as_millis();
        Load { memory: Memory::new(LIVE * 2), key, start, count: 0, per_second }
    }

    /// A jti as clients make them: 36 characters.
    fn next(&mut self) -> (String, Timestamp) {
        self.count += 1;
        let millis = i64::try_from(self.count * 1000 / self.per_second).unwrap();
        (format!("5e2b9a1c-7d4f-4c1b-8a6e-{:012x}", self.count), Timestamp::from_millis(self.start + millis))
    }

    fn insert(&self, jti: &str, now: Timestamp) {
        let until = Timestamp::from_millis(now.as_millis() + LIFE);
        black_box(self.memory.insert(&self.key, jti, until, now)).unwrap();
    }
}

fn report() {
    let before = resident();
    let mut load = Load::new(LIVE as u64 * 1000 / LIFE as u64);
    for _ in 0..LIVE {
        let (jti, now) = load.next();
        load.insert(&jti, now);
    }
    let (grown, tables) = (resident() - before, load.memory.bytes());
    let mut times: Vec<u64> = Vec::with_capacity(200_000);
    for _ in 0..200_000 {
        let (jti, now) = load.next();
        let started = Instant::now();
        load.insert(&jti, now);
        times.push(started.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    let percentile = |p: usize| times[times.len() * p / 1000];
    println!("replay memory, {LIVE} live entries");
    println!("  tables    {:6.1} bytes an entry (budget 32)", tables as f64 / LIVE as f64);
    println!("  resident  {:6.1} bytes an entry", grown as f64 / LIVE as f64);
    println!(
        "  insert    p50 {} ns, p99 {} ns (budget 500), p99.9 {} ns, max {} ns",
        percentile(500),
        percentile(990),
        percentile(999),
        times[times.len() - 1]
    );
    println!("  clock     p50 {} ns of the above", clock());
}

/// What timing itself costs.
fn clock() -> u64 {
    let mut times: Vec<u64> = (0..10_000).map(|_| Instant::now().elapsed().as_nanos() as u64).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn steady(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    group.measurement_time(Duration::from_secs(5));
    let mut load = Load::new(LIVE as u64 * 1000 / LIFE as u64);
    for _ in 0..LIVE {
        let (jti, now) = load.next();
        load.insert(&jti, now);
    }
    group.bench_function("insert", |bencher| {
        bencher.iter_custom(|iterations| timed(&mut load, iterations));
    });
    group.finish();
}

/// Times inserts only: jtis are made beforehand, in lots; a full memory is begun anew between lots.
fn timed(load: &mut Load, iterations: u64) -> Duration {
    let (mut left, mut total) = (iterations, Duration::ZERO);
    while left > 0 {
        if load.memory.len() + 50_000 > LIVE * 2 {
            let mut fresh = Load { memory: Memory::new(LIVE * 2), ..Load::new(load.per_second) };
            for _ in 0..load.per_second * LIFE as u64 / 1000 {
                let (jti, now) = fresh.next();
                fresh.insert(&jti, now);
            }
            *load = fresh;
        }
        let lot: Vec<_> = (0..left.min(50_000)).map(|_| load.next()).collect();
        let started = Instant::now();
        for (jti, now) in &lot {
            load.insert(jti, *now);
        }
        total += started.elapsed();
        left -= lot.len() as u64;
    }
    total
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
