//! Revocation at ten million live entries: memory, intake, look-ups beside a writer, catch-up and propagation over NATS.
//!
//! `cargo bench --bench revocation` prints every figure beside its budget, from one run. Each look-up is timed by
//! itself, so its figure includes the clock's own 20 to 50 ns, which are printed too. `nats-server` is started from
//! `target/test-tools/bin` or `CLINCH_NATS_SERVER`. Arguments choose parts: `index`, `catch-up`, `propagation`.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

mod index;
mod nats;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|name| name == part);
    if wanted("index") {
        index::report();
    }
    if wanted("catch-up") {
        nats::catch_up();
    }
    if wanted("propagation") {
        nats::propagation();
    }
}

/// Of sorted figures, the one that so many thousandths do not exceed.
fn percentile(sorted: &[u64], thousandths: usize) -> u64 {
    sorted[(sorted.len() - 1) * thousandths / 1000]
}
