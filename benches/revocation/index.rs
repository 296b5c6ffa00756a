//! The index by itself: what an entry takes, how fast events go in, what a look-up costs.

use crate::percentile;
use clinch::pop::Timestamp;
use clinch::state::revocation::event::Fact;
use clinch::state::revocation::measured::{ISSUER, Measured, Token};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

const ENTRIES: u64 = 10_000_000;
const LOOKS: u64 = 500_000;
const WRITES_PER_SECOND: u64 = 200_000;
/// What one entry can be about, besides all tokens of the issuer.
const FACTS: [Fact; 7] = [
    Fact::TokenId,
    Fact::Subject,
    Fact::Session,
    Fact::Client,
    Fact::Key,
    Fact::Certificate,
    Fact::SigningKey,
];

pub(crate) fn report() {
    println!("revocation index");
    println!("  clock     p50 {} ns of each look-up below", clock());
    for shapes in [1, 8] {
        let before = resident();
        let index = Measured::new(3 * ENTRIES as usize);
        fill(&index, shapes, before);
        looks(&index, shapes, "no writer");
        beside_a_writer(&index, shapes);
    }
}

fn fill(index: &Measured, shapes: u64, before: usize) {
    let now = now();
    if shapes > 1 {
        // Of long ago: it is looked up, and hits none of the tokens here.
        let until = now.as_secs() + 86_400;
        let all =
            format!(r#"{{"id":"all","iss":"{ISSUER}","revoke":{{"all":true}},"at":1,"until":{until}}}"#);
        assert!(index.take(all.as_bytes(), now));
    }
    // Events are written between the timed lots.
    let mut busy = Duration::ZERO;
    for lot in 0..ENTRIES / LOT {
        let events: Vec<String> = (lot * LOT..(lot + 1) * LOT).map(|n| event(n, shapes, now)).collect();
        let lot_started = Instant::now();
        for event in &events {
            assert!(index.take(black_box(event.as_bytes()), now));
        }
        busy += lot_started.elapsed();
        let entries = (lot + 1) * LOT;
        if entries == ENTRIES / 10 || entries == ENTRIES {
            drop(events);
            memory(index, entries, shapes, before);
            let rate = entries as f64 / busy.as_secs_f64();
            println!("  intake    {rate:9.0} events/s, one thread, {entries} events (budget 200000)");
        }
    }
}

fn memory(index: &Measured, entries: u64, shapes: u64, before: usize) {
    let each = |bytes: usize| bytes as f64 / entries as f64;
    let (tables, now, peak) =
        (index.bytes(), resident().saturating_sub(before), peak().saturating_sub(before));
    println!("  {entries} entries of {shapes} shapes, {} in the index", index.entries());
    println!(
        "  tables    {:6.1} bytes an entry, {} MB (budget 400 MB at ten million)",
        each(tables),
        tables / 1_000_000
    );
    if shapes > 1 {
        // The allocator still holds what the first index had.
        return;
    }
    println!(
        "  resident  {:6.1} bytes an entry, {} MB; peak {:.1}, {} MB",
        each(now),
        now / 1_000_000,
        each(peak),
        peak / 1_000_000
    );
}

fn beside_a_writer(index: &Measured, shapes: u64) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(index, shapes, &done));
        looks(index, shapes, "beside a writer");
        done.store(true, Relaxed);
        let rate = writer.join().unwrap();
        println!("  writer    {rate:9.0} events/s meanwhile (wanted {WRITES_PER_SECOND})");
    });
}

/// New entries at a steady rate. Returns the rate that came of it.
fn write(index: &Measured, shapes: u64, done: &AtomicBool) -> f64 {
    let (now, started) = (now(), Instant::now());
    let mut written = 0;
    while !done.load(Relaxed) {
        let due = started.elapsed().as_micros() as u64 * WRITES_PER_SECOND / 1_000_000;
        while written < due {
            assert!(index.take(event(2 * ENTRIES + written, shapes, now).as_bytes(), now));
            written += 1;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    written as f64 / started.elapsed().as_secs_f64()
}

/// Single look-ups of tokens in no order, half of them revoked.
fn looks(index: &Measured, shapes: u64, how: &str) {
    for (what, from) in [("hit ", 0), ("miss", 7 * ENTRIES)] {
        let mut times = Vec::with_capacity(LOOKS as usize);
        for lot in 0..LOOKS / FEW {
            // Few at a time: a request's own token has just been verified, and is at hand.
            let numbers = lot * FEW..(lot + 1) * FEW;
            let tokens: Vec<Token> = numbers.map(|n| token(from + scatter(n), shapes)).collect();
            for token in &tokens {
                let started = Instant::now();
                let revoked = black_box(index.is_revoked(black_box(token)));
                times.push(started.elapsed().as_nanos() as u64);
                assert_eq!(revoked, from == 0);
            }
        }
        times.sort_unstable();
        println!(
            "  {what}      p50 {} ns (budget 300), p99 {} ns, p99.9 {} ns, {shapes} shapes, {how}",
            percentile(&times, 500),
            percentile(&times, 990),
            percentile(&times, 999),
        );
    }
}

/// A number below [`ENTRIES`], in no order.
fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ENTRIES
}

fn event(n: u64, shapes: u64, now: Timestamp) -> String {
    let (fact, value, at) = (fact(n, shapes), value(n), now.as_secs());
    let name = fact.name();
    format!(r#"{{"id":"{n}","iss":"{ISSUER}","revoke":{{"{name}":"{value}"}},"at":{at}}}"#)
}

/// A token of which the fact of event `n` holds, and no other is known.
fn token(n: u64, shapes: u64) -> Token {
    let named = fact(n, shapes);
    let other = |fact: Fact| 1_000_000_000 * (fact as u64 + 2) + n;
    let facts = FACTS.iter().map(|fact| (*fact, value(if *fact == named { n } else { other(*fact) })));
    // Issued before the events, so that any fact counts.
    let issued_at = Timestamp::from_secs(now().as_secs() - 3_000);
    Token { issued_at, facts: facts.collect() }
}

fn fact(n: u64, shapes: u64) -> Fact {
    if shapes == 1 { Fact::TokenId } else { FACTS[(n % 7) as usize] }
}

/// As long as the identifiers that are around: 36 characters.
fn value(n: u64) -> String {
    format!("5e2b9a1c-7d4f-4c1b-8a6e-{n:012x}")
}

fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// What timing itself costs.
fn clock() -> u64 {
    let mut times: Vec<u64> = (0..10_000).map(|_| Instant::now().elapsed().as_nanos() as u64).collect();
    times.sort_unstable();
    percentile(&times, 500)
}

/// Resident memory in bytes.
fn resident() -> usize {
    status("VmRSS:")
}

/// The most that it ever was.
fn peak() -> usize {
    status("VmHWM:")
}

fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

const LOT: u64 = 10_000;
const FEW: u64 = 20;
