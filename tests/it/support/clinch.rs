//! The shipped binary, run as an operator runs it.

use super::program::Program;
use super::wire::{Answer, plain_get};
use super::{PATIENCE, eventually};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

/// A running sidecar; killed on drop.
pub struct Clinch {
    /// Where requests come in.
    pub address: SocketAddr,
    /// Where metrics, `/live` and `/ready` are.
    pub admin: SocketAddr,
    /// Where security events are pushed, if anywhere.
    pub push: Option<SocketAddr>,
    /// The process.
    pub program: Program,
}

impl Clinch {
    /// Starts `clinch run --config` and waits until it is ready.
    pub async fn start(config: &Path) -> Clinch {
        let clinch = Clinch::start_unready(config).await;
        clinch.becomes_ready().await;
        clinch
    }

    /// Starts it and waits only until its ports are bound.
    pub async fn start_unready(config: &Path) -> Clinch {
        let mut command = command();
        // What a run leaves on the machine goes with the test's folder.
        command.env("STATE_DIRECTORY", config.parent().expect("a folder of the test's own"));
        Clinch::listening(Program::start(command.args(["run", "--config"]).arg(config))).await
    }

    /// A sidecar that the test has started in its own way, once it is ready.
    pub async fn of(program: Program) -> Clinch {
        let clinch = Clinch::listening(program).await;
        clinch.becomes_ready().await;
        clinch
    }

    async fn listening(mut program: Program) -> Clinch {
        let (address, admin, push) = program.hear("clinch to listen", listening).await;
        Clinch { address, admin, push, program }
    }

    /// What `/ready` says now.
    pub async fn ready(&self) -> Option<Answer> {
        plain_get(self.admin, "/ready").await
    }

    /// Waits for `/ready` to answer 200.
    pub async fn becomes_ready(&self) {
        let ready = async || self.ready().await.filter(|answer| answer.status == 200);
        eventually("clinch to be ready", ready).await;
    }

    /// Waits for `/ready` to answer anything else.
    pub async fn becomes_unready(&self) -> Answer {
        let unready = async || self.ready().await.filter(|answer| answer.status != 200);
        eventually("clinch to say that it is not ready", unready).await
    }
}

/// The shipped binary, without its environment's colours and log settings.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinch"));
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Runs a command of the shipped binary to its end.
pub async fn finish(command: &mut Command) -> Output {
    let mut command = std::mem::replace(command, Command::new("spent"));
    let run = tokio::task::spawn_blocking(move || command.output().expect("clinch starts"));
    tokio::time::timeout(PATIENCE, run).await.expect("clinch does not end").expect("no panic")
}

/// The log line that names the bound ports: the one place that knows its form.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr, Option<SocketAddr>)> {
    let record: Value = serde_json::from_str(line).ok()?;
    let fields = record.get("fields").unwrap_or(&record);
    let address = |name: &str| fields.get(name)?.as_str()?.parse().ok();
    Some((address("address")?, address("admin")?, address("push")))
}
