//! `clinch run`: the sidecar, until SIGTERM or SIGINT.
//!
//! A faulty configuration ends it with exit code 64 before any port is bound, a failed start with 1.
//! The first signal drains, the second one ends everything at once.

use super::EX_USAGE;
use crate::config::Config;
use crate::serve::Server;
use crate::telemetry;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Arguments of `clinch run`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(problems) => {
            say(format_args!("{problems}"));
            return ExitCode::from(EX_USAGE);
        }
    };
    let _logging = telemetry::install_logging(&config.telemetry);
    for about in &config.warnings {
        tracing::warn!(%about, "the configuration is good, but mind this");
    }
    report_panics();
    match runtime().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("clinch: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let server = Server::start(config).await?;
    tracing::info!(address = %server.address(), admin = %server.admin_address(), "listening");
    stopped(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping: requests in flight may end");
    tokio::select! {
        () = server.shutdown() => tracing::info!("stopped"),
        () = stopped(&mut terminate, &mut interrupt) => tracing::warn!("stopped at once"),
    }
    Ok(())
}

async fn stopped(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// One thread where there is one processor: no work is passed between threads then.
fn runtime() -> std::io::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

/// A panic goes to the log with its place. Its message goes along only if it is a fixed text: one that
/// was put together may contain what a request brought.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(message withheld)");
        tracing::error!(place, message, "panic");
    }));
}

fn say(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}
