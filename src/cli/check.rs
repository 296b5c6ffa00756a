//! `clinch check`
use std::process::ExitCode;

/// Arguments of `clinch check`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    todo!()
}
