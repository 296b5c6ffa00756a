//! `clinch explain`
use std::process::ExitCode;

/// Arguments of `clinch explain`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    todo!()
}
