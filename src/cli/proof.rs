//! `clinch proof`
use std::process::ExitCode;

/// Arguments of `clinch proof`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    todo!()
}
