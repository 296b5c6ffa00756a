//! `clinch schema`: the JSON Schema of the configuration file, for editors and for reading.

use std::io::Write;
use std::process::ExitCode;

/// Arguments of `clinch schema`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    let schema = crate::config::schema();
    match writeln!(std::io::stdout(), "{schema:#}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
