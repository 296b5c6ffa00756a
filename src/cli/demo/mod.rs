//! `clinch demo`: shows on embedded parts why a stolen token is worthless.
//!
//! An authorization server, a service, a revocation journal and clinch itself run in this process, on
//! loopback and over real connections. Ends with 0 only if every verdict was the expected one.

mod authority;
mod caller;
mod document;
mod hosting;
mod issuer;
mod outcome;
mod revocation;
mod scratch;
mod service;
mod stage;
mod stay;
mod story;
mod telling;

use crate::pop::Timestamp;
use anyhow::Context as _;
use stage::Stage;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};
use story::Told;
use telling::Telling;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Arguments of `clinch demo`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Go on running after the story, and print lines for curl to try everything by hand
    #[arg(long)]
    stay: bool,
    /// Print one JSON document instead of the story
    #[arg(long)]
    json: bool,
    /// For tests: let this step go the wrong way, which must end with 1
    #[arg(long, value_name = "STEP", hide = true, value_parser = clap::value_parser!(u8).range(1..=i64::from(story::STEPS)))]
    sabotage: Option<u8>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match run(arguments) {
        Ok(Ended::AsExpected) => ExitCode::SUCCESS,
        Ok(Ended::Otherwise) => ExitCode::FAILURE,
        Ok(Ended::Interrupted) => {
            let _ = writeln!(io::stderr(), "clinch demo: interrupted");
            ExitCode::FAILURE
        }
        Err(error) => {
            let gone =
                error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
            if !gone {
                let _ = writeln!(io::stderr(), "clinch demo: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What became of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Every verdict was the expected one.
    AsExpected,
    /// A verdict was not.
    Otherwise,
    /// It was not told to its end.
    Interrupted,
}

fn run(arguments: &Arguments) -> anyhow::Result<Ended> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime")?;
    runtime.block_on(async {
        let mut stop = Stop::listen()?;
        let stage = tokio::select! {
            stage = Stage::build() => stage?,
            () = stop.asked() => return Ok(Ended::Interrupted),
        };
        let ended = tokio::select! {
            ended = perform(&stage, arguments) => ended,
            () = stop.asked() => Ok(Ended::Interrupted),
        };
        if arguments.stay && matches!(ended, Ok(Ended::AsExpected | Ended::Otherwise)) {
            stop.asked().await;
        }
        stage.strike().await;
        ended
    })
}

/// Plays the story and tells it.
async fn perform(stage: &Stage, arguments: &Arguments) -> anyhow::Result<Ended> {
    let mut telling = Telling::new();
    let started = Instant::now();
    let told = if arguments.json {
        story::play(stage, arguments.sabotage, |_| Ok(())).await?
    } else {
        telling.opening(stage)?;
        story::play(stage, arguments.sabotage, |told| Ok(telling.step(told)?)).await?
    };
    let took = started.elapsed();
    let offers = if arguments.stay { stay::offers(stage)? } else { Vec::new() };
    if arguments.json {
        let document = document::document(stage, &told, took, &offers);
        writeln!(io::stdout(), "{document:#}")?;
    } else {
        telling.ending(&told, took)?;
        if arguments.stay {
            telling.invitation(&offers)?;
        } else {
            telling.hint()?;
        }
    }
    Ok(if told.iter().all(Told::as_expected) { Ended::AsExpected } else { Ended::Otherwise })
}

/// Ctrl-C, SIGTERM or a closed terminal, heard from before the first line is told.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Stop> {
        Ok(Stop {
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            // A closed terminal is no reason to leave the demo's keys on the disk.
            hangup: signal(SignalKind::hangup()).context("SIGHUP")?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The clock, read at the demo's edges.
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
