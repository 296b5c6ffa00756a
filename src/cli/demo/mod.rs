//! `clinch demo`
use std::process::ExitCode;

/// Arguments of `clinch demo`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    todo!()
}
