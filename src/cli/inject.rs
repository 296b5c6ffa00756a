//! `clinch inject`

use super::EX_USAGE;
use std::process::ExitCode;

/// Arguments of `clinch inject`.
#[derive(clap::Args)]
pub(super) struct Arguments {}

pub(super) fn main(_arguments: &Arguments) -> ExitCode {
    ExitCode::from(EX_USAGE)
}
