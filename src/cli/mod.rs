//! The command line: `clinch run`, `check`, `explain`, `demo`, `schema`, `proof`, `revoke`, `revocations`, `audit`,
//! `inject`, `injector`, `redirect`, `ready`.
//!
//! Exit codes: 0 fine, 1 failed, 64 wrong usage or config (sysexits `EX_USAGE`).

mod audit;
mod check;
mod demo;
mod explain;
pub mod holder;
mod inject;
mod injector;
mod proof;
mod ready;
mod redirect;
mod replica;
mod revocations;
mod revoke;
mod run;
mod schema;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A wrong command line or configuration.
pub(crate) const EX_USAGE: u8 = 64;

#[derive(Parser)]
#[command(
    name = "clinch",
    version,
    about = "A proof-of-possession sidecar: a stolen access token is worthless",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the sidecar
    Run(run::Arguments),
    /// Check a configuration file and name every fault in it
    Check(check::Arguments),
    /// Say in words which route a request takes and which rules apply
    Explain(explain::Arguments),
    /// Show on embedded parts why a stolen token is worthless
    Demo(demo::Arguments),
    /// Print the JSON Schema of the configuration file
    Schema(schema::Arguments),
    /// Print a DPoP proof, for curl
    Proof(proof::Arguments),
    /// Publish a revocation to a feed
    Revoke(revoke::Arguments),
    /// Ask a replica what it knows to be revoked
    Revocations(revocations::Arguments),
    /// Verify, look at or export the audit log
    Audit(audit::Arguments),
    /// Put the sidecar into the manifests of a file
    Inject(inject::Arguments),
    /// Run the admission webhook that puts the sidecar into pods
    Injector(injector::Arguments),
    /// Have the kernel send what comes for the application's port to the sidecar (in a pod's init container)
    Redirect(redirect::Arguments),
    /// Whether a sidecar is ready
    Ready(ready::Arguments),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EX_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        Command::Run(arguments) => run::main(&arguments),
        Command::Check(arguments) => check::main(&arguments),
        Command::Explain(arguments) => explain::main(&arguments),
        Command::Demo(arguments) => demo::main(&arguments),
        Command::Schema(arguments) => schema::main(&arguments),
        Command::Proof(arguments) => proof::main(&arguments),
        Command::Revoke(arguments) => revoke::main(&arguments),
        Command::Revocations(arguments) => revocations::main(&arguments),
        Command::Audit(arguments) => audit::main(&arguments),
        Command::Inject(arguments) => inject::main(&arguments),
        Command::Injector(arguments) => injector::main(&arguments),
        Command::Redirect(arguments) => redirect::main(&arguments),
        Command::Ready(arguments) => ready::main(&arguments),
    }
}
