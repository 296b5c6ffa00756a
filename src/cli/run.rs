//! `clinch run`: the sidecar, until SIGTERM or SIGINT.
//!
//! A faulty configuration ends it with exit code 64 before any port is bound, a failed start with 1.
//! The first signal drains, the second one ends everything at once. SIGHUP reads the configuration again, and so
//! does a change of its files (`reload`).

mod mark;
mod placed;
pub(super) mod reload;

use super::EX_USAGE;
use crate::config::Config;
use crate::pop::Timestamp;
use crate::serve::Server;
use crate::state::replay::era::Before;
use crate::telemetry;
use mark::Mark;
use placed::Placed;
use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

/// Arguments of `clinch run`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What to take from the pod instead of the file, JSON as the injector writes it [env: CLINCH_POD]
    #[arg(long, value_name = "JSON")]
    pod: Option<String>,
    /// The pod's addresses, separated by commas (status.podIPs) [env: CLINCH_POD_IPS]
    #[arg(long, value_name = "LIST")]
    pod_ips: Option<String>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let loaded = Placed::named(arguments).and_then(|placed| Ok((placed.load()?, placed)));
    let (config, placed) = match loaded {
        Ok(both) => both,
        Err(fault) => {
            say(format_args!("{fault}"));
            return ExitCode::from(EX_USAGE);
        }
    };
    let _logging = telemetry::install_logging(&config.telemetry);
    for about in &config.warnings {
        tracing::warn!(%about, "the configuration is good, but mind this");
    }
    telemetry::report_panics();
    let (mark, before) = Mark::leave(&arguments.config);
    if mark.is_some() && before == Before::Unknown {
        tracing::warn!(
            "the process before this one did not stop in order: the first proofs will need a nonce"
        );
    }
    let life = Life { begun, mark, before, placed };
    match runtime(config.worker_threads)
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(config, life)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("clinch: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// When this process began, and what it knows of the one before it.
struct Life {
    begun: Instant,
    mark: Option<Mark>,
    before: Before,
    placed: Placed,
}

async fn run(config: Config, life: Life) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let hangup = signal(SignalKind::hangup())?;
    let files = config.files.clone();
    let server = tokio::select! {
        started = Server::start(config, life.before) => started?,
        () = signals.stop() => return Ok(()),
    };
    let push = server.push_address().map(tracing::field::display);
    let (admin, workers) = (server.admin_address(), Handle::current().metrics().num_workers());
    tracing::info!(address = %server.address(), %admin, push, workers, "listening");
    tokio::select! {
        () = signals.stop() => {}
        never = tell_readiness(&server, life.begun) => match never {},
        never = reload::follow(&server, &life.placed, files, hangup) => match never {},
    }
    tracing::info!("stopping: requests in flight may end");
    tokio::select! {
        () = end(server, life.mark) => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Drains, and then waits for at most a few seconds: until no proof that was admitted here can be taken for a new
/// one by the process that comes after us and remembers nothing (RP-005). Where that is further away, or the wall
/// clock was set back meanwhile, the mark stays: for who comes after us this was no orderly end.
async fn end(server: Server, mark: Option<Mark>) {
    let settled = server.shutdown().await;
    let settles = settles(settled, || Timestamp::from_system(SystemTime::now())).await;
    match mark {
        Some(mark) if settles => mark.remove(),
        Some(_) => {
            tracing::warn!("proofs from the future were admitted: after the next start they need a nonce")
        }
        None => {}
    }
}

/// Whether that moment comes within the time that a stop may take; if so, it has come.
async fn settles(settled: Timestamp, clock: impl Fn() -> Timestamp) -> bool {
    let begun = Instant::now();
    loop {
        let left = settled.since(clock());
        if left.is_zero() {
            return true;
        }
        if begun.elapsed() + left > LONGEST_SETTLING {
            return false;
        }
        sleep(left).await;
    }
}

/// One line when requests can be decided for the first time; until then, now and then, what is missing.
async fn tell_readiness(server: &Server, begun: Instant) -> Infallible {
    let mut patience = FIRST_WAIT;
    while timeout(patience, server.ready()).await.is_err() {
        let missing = server.missing().join(", ");
        tracing::warn!(missing, waited_s = begun.elapsed().as_secs(), "not ready yet");
        patience = NEXT_WAIT;
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(took_ms, "ready");
    std::future::pending().await
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when one came that asks us to stop.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One thread where there is one processor, or as much of one as the control group's limit allows: no work is passed
/// between threads then.
fn runtime(threads: Option<usize>) -> std::io::Result<Runtime> {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = threads.unwrap_or_else(available);
    let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

pub(super) fn say(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// How long a stop waits for the last proofs.
const LONGEST_SETTLING: Duration = Duration::from_secs(10);
/// Before the first line on what is missing: whoever watches the start should not wonder long.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// Before each further one.
const NEXT_WAIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SETTLED: Timestamp = Timestamp::from_secs(1_800_000_000);

    /// RP-005
    #[tokio::test]
    async fn a_moment_that_is_near_is_waited_for_and_one_that_is_not_near_is_not() {
        let real = || Timestamp::from_system(SystemTime::now());
        assert!(settles(SETTLED, || SETTLED.plus(LONGEST_SETTLING)).await, "long past");
        let near = real().plus(Duration::from_millis(20));
        assert!(settles(near, real).await && real() >= near);
        let begun = Instant::now();
        assert!(!settles(SETTLED, || SETTLED.minus(LONGEST_SETTLING + Duration::from_secs(1))).await);
        assert!(begun.elapsed() < LONGEST_SETTLING);
    }

    /// RP-005
    #[tokio::test]
    async fn a_clock_that_is_set_back_meanwhile_ends_the_wait() {
        let asked = Cell::new(0);
        let clock = || {
            asked.set(asked.get() + 1);
            SETTLED.minus(if asked.get() == 1 { Duration::from_millis(5) } else { Duration::from_secs(100) })
        };
        assert!(!settles(SETTLED, clock).await);
    }
}
