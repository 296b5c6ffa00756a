//! `clinch schema`
use std::process::ExitCode;

/// Arguments of `clinch schema`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    todo!()
}
