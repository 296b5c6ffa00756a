//! In the place of Kafka where clinch was built without it.

use super::Intake;
use crate::config;
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
}

/// Says that there is none.
pub(super) async fn publish(_: &config::Kafka, _: &str, _: &str) -> anyhow::Result<String> {
    bail!(ABSENT)
}

const ABSENT: &str = "this clinch was built without Kafka (cargo build --release --features kafka)";
