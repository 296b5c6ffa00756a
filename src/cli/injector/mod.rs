//! `clinch injector`: the admission webhook, until SIGTERM or SIGINT; and `clinch injector audit`.
//!
//! A faulty configuration ends it with exit code 64 before any port is bound, a failed start with 1. The configuration is read
//! again at SIGHUP and when a file of it changes.

mod audit;
mod follow;

use super::EX_USAGE;
use super::run::{Signals, say};
use crate::config::{Injector, InjectorTls};
use crate::inject::api::{Api, own_namespace};
use crate::inject::authority::Keeper;
use crate::inject::webhook::Webhook;
use crate::telemetry;
use clap::Subcommand;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `clinch injector`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// List the pods that should have the sidecar and don't, or have one that is not ours
    Audit(audit::Arguments),
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match (&arguments.command, &arguments.config) {
        (Some(Command::Audit(arguments)), _) => audit::main(arguments),
        (None, Some(file)) => serve(file),
        // clap asks for it.
        (None, None) => ExitCode::from(EX_USAGE),
    }
}

fn serve(file: &Path) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Some(own) = config.namespace.clone().or_else(own_namespace) else {
        say(format_args!("{NO_NAMESPACE}"));
        return ExitCode::from(EX_USAGE);
    };
    let _logging = telemetry::install_logging(&config.telemetry);
    for about in &config.warnings {
        tracing::warn!(%about, "the configuration is good, but mind this");
    }
    telemetry::report_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(config, own, file)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("clinch: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The configuration, or the exit code after its faults were told.
fn load(file: &Path) -> Result<Injector, ExitCode> {
    Injector::load(file).map_err(|problems| {
        say(format_args!("{problems}"));
        ExitCode::from(EX_USAGE)
    })
}

async fn run(config: Injector, own: String, file: &Path) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let hangup = signal(SignalKind::hangup())?;
    let files = config.files.clone();
    let managed = match &config.listen.tls {
        InjectorTls::SelfManaged(managed) => Some((Api::new(&config.kubernetes)?, managed.clone())),
        InjectorTls::Files { .. } => None,
    };
    let webhook = Webhook::start(config, own.clone()).await?;
    let keeper = managed
        .map(|(api, managed)| Keeper::new(api, managed, own.clone(), webhook.leaf(), webhook.metrics()));
    let keeping = async {
        match keeper {
            Some(keeper) => keeper.run().await,
            None => std::future::pending::<Infallible>().await,
        }
    };
    let (address, admin) = (webhook.address(), webhook.admin_address());
    tracing::info!(%address, %admin, namespace = own, "listening");
    tokio::select! {
        () = signals.stop() => {}
        never = keeping => match never {},
        never = follow::follow(&webhook, file, files, hangup) => match never {},
    }
    tracing::info!("stopping: reviews under way may end");
    tokio::select! {
        () = webhook.shutdown() => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

const NO_NAMESPACE: &str = "clinch: the injector's own namespace is not known: set `namespace` in the configuration, or \
                            POD_NAMESPACE in the environment";
