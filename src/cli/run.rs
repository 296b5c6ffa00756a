//! `clinch run`
use std::process::ExitCode;

/// Arguments of `clinch run`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    todo!()
}
