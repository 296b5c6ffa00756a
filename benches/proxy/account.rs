//! CPU time of other processes, and what to say of a series of measurements.

use std::path::PathBuf;

/// Nanoseconds of CPU that all threads of a process have had, by the scheduler's account.
pub(crate) fn cpu_nanos(process: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.map(|thread| nanos(thread.unwrap().path().join("schedstat"))).sum()
}

/// The same of the calling thread.
pub(crate) fn own_cpu_nanos() -> u64 {
    nanos(PathBuf::from("/proc/thread-self/schedstat"))
}

fn nanos(account: PathBuf) -> u64 {
    // A thread may end between the listing and the reading.
    let text = std::fs::read_to_string(account).unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// One value per round.
pub(crate) struct Series {
    pub(crate) name: String,
    values: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: &str) -> Series {
        Series { name: name.to_owned(), values: Vec::new() }
    }
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
    }
    pub(crate) fn median(&self) -> f64 {
        self.sorted()[self.values.len() / 2]
    }
    pub(crate) fn least(&self) -> f64 {
        self.sorted()[0]
    }
    pub(crate) fn most(&self) -> f64 {
        self.sorted()[self.values.len() - 1]
    }
    /// Round by round, so that a slow moment of the machine disturbs both sides.
    pub(crate) fn over(&self, other: &Series, beside: Option<&Series>) -> Series {
        let beside = |round: usize| beside.map_or(0.0, |series| series.values[round]);
        let ratio = |(round, value): (usize, &f64)| value / (other.values[round] + beside(round));
        Series { name: String::new(), values: self.values.iter().enumerate().map(ratio).collect() }
    }
    pub(crate) fn print(&self) {
        println!("  {:<60} {:6.1} ({:.1} to {:.1})", self.name, self.median(), self.least(), self.most());
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values
    }
}
