//! Events from a Kafka topic: all that it retains, then each as it is produced.
//!
//! Every replica reads every partition with fetches of its own; there is no consumer group, so every replica sees
//! every event (RV-027). The feed has caught up when each partition has been read up to the end it had at the start;
//! from then on it gives a word whenever every partition has answered that there is no more.
//!
//! Each session reads from the earliest offset: that a topic was made anew, or that an unclean election cut a
//! partition back and it grew again, can't be seen from offsets, and events are idempotent (RV-013).
//!
//! The client offers no TLS without a second cryptographic provider, so there is none, and no login, which would be
//! sent in clear. Transactions are not read either: what a marker hides is a trouble, never passed over.

mod reached;
mod session;

use super::attempts::Attempts;
use super::{Intake, Progress};
use crate::config;
use crate::pop::Timestamp;
use crate::state::audit::Position;
use anyhow::{Context, anyhow};
use reached::Reached;
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use session::{connect, partitions, within};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A topic being followed until dropped.
#[derive(Debug)]
pub(in crate::state::revocation) struct Follower {
    task: tokio::task::AbortHandle,
    topic: String,
    reached: Arc<Reached>,
}

impl Follower {
    /// Follows the topic; brokers that can't be reached are tried again for ever.
    pub(super) fn start(kafka: &config::Kafka, intake: Arc<Intake>) -> anyhow::Result<Follower> {
        let alive = intake.health.alive();
        let reached = Arc::<Reached>::default();
        let follow = follow(kafka.clone(), intake, Arc::clone(&reached));
        let task = tokio::spawn(async move {
            let _alive = alive;
            follow.await;
        });
        Ok(Follower { task: task.abort_handle(), topic: kafka.topic.clone(), reached })
    }

    pub(super) fn progress(&self) -> Progress {
        let position = self.place().map(|place| format!("partition:offset {place} of {}", self.topic));
        Progress { position, ..Progress::default() }
    }

    /// See [`Feed::place`](super::Feed::place).
    pub(super) fn place(&self) -> Option<Position> {
        self.reached.applied().map(Position::Offsets)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(kafka: config::Kafka, intake: Arc<Intake>, reached: Arc<Reached>) {
    let mut attempts = Attempts::default();
    loop {
        let (caught_up, trouble) = session::run(&kafka, &intake, &reached).await;
        intake.health.lost();
        attempts.ended(caught_up, &trouble).await;
    }
}

/// Publishes one event and waits until all replicas in sync have it. Returns its partition and offset.
///
/// # Errors
/// No brokers, no such topic, or no acknowledgement.
pub(super) async fn publish(kafka: &config::Kafka, id: &str, event: &str) -> anyhow::Result<String> {
    let client = connect(kafka).await.map_err(|trouble| anyhow!("{trouble}"))?;
    let all = partitions(&client, &kafka.topic).await.map_err(|trouble| anyhow!("{trouble}"))?;
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let at = usize::try_from(hasher.finish() % all.len().max(1) as u64)?;
    let partition = all.into_iter().nth(at).context("the topic has no partition")?;
    let opened = client.partition_client(&kafka.topic, partition, UnknownTopicHandling::Error);
    let opened = within(PATIENCE, opened).await.map_err(|trouble| anyhow!("{trouble}"))?;
    let now = Timestamp::from_system(SystemTime::now());
    let record = Record {
        key: Some(id.as_bytes().to_vec()),
        value: Some(event.as_bytes().to_vec()),
        headers: BTreeMap::new(),
        timestamp: DateTime::from_timestamp_millis(now.as_millis()).context("the clock is wrong")?,
    };
    let produced = opened.produce(vec![record], Compression::NoCompression);
    let offsets = within(PATIENCE, produced).await.map_err(|trouble| anyhow!("{trouble}"))?;
    let offset = offsets.first().context("the broker told no offset")?;
    Ok(format!("{partition}-{offset}"))
}

/// For a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
