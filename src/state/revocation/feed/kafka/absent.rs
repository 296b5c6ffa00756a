//! In the place of Kafka where clinch was built without it.

use super::{Intake, Progress};
use crate::config;
use crate::state::audit::Position;
use anyhow::bail;
use std::sync::Arc;

/// There is none.
#[derive(Debug)]
pub(in crate::state::revocation) enum Follower {}

impl Follower {
    /// Says that there is none; the check of the configuration has said so before.
    pub(super) fn start(_: &config::Kafka, _: Arc<Intake>) -> anyhow::Result<Follower> {
        bail!(ABSENT)
    }
    pub(super) fn place(&self) -> Option<Position> {
        match *self {}
    }
    pub(super) fn progress(&self) -> Progress {
        match *self {}
    }
}

/// Says that there is none.
pub(super) async fn publish(_: &config::Kafka, _: &str, _: &str) -> anyhow::Result<String> {
    bail!(ABSENT)
}

const ABSENT: &str = "this clinch was built without Kafka (cargo build --release --features kafka)";
