//! `clinch schema`: the JSON Schema of the configuration file, for editors and for reading.

use std::io::Write;
use std::process::ExitCode;

/// Arguments of `clinch schema`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// That of the injector's file instead
    #[arg(long)]
    injector: bool,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let schema = if arguments.injector { crate::config::injector_schema() } else { crate::config::schema() };
    match writeln!(std::io::stdout(), "{schema:#}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
