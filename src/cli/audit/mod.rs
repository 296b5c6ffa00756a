//! `clinch audit`: what can be done with the audit log once it is written: `verify`, `tail`, `export`, and the `key` that signs it.

mod export;
mod files;
mod key;
mod record;
mod safe;
mod tail;
mod verify;

use std::process::ExitCode;

/// Arguments of `clinch audit`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether audit logs are as they were written, and name the first record that is not
    Verify(verify::Arguments),
    /// Show the last records, readable, and those that are yet to come
    Tail(tail::Arguments),
    /// Print records as a SIEM takes them
    Export(export::Arguments),
    /// Make a key that signs checkpoints, or print the public half of one
    Key(key::Arguments),
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Verify(arguments) => verify::main(arguments),
        Command::Tail(arguments) => tail::main(arguments),
        Command::Export(arguments) => export::main(arguments),
        Command::Key(arguments) => key::main(arguments),
    }
}

/// A complaint on standard error, and the exit code.
fn complain(command: &str, fault: &str, code: u8) -> ExitCode {
    use std::io::Write as _;
    // The names of files are strangers' text, too.
    let fault: Vec<String> = fault.lines().map(safe::safe).collect();
    let _ = writeln!(std::io::stderr(), "clinch audit {command}: {}", fault.join("\n"));
    ExitCode::from(code)
}
