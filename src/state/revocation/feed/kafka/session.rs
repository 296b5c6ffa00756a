//! All partitions of the topic, from the earliest offset to the first doubt.

use super::super::{Delivery, Intake, RETRY_FULL, Taken};
use super::PATIENCE;
use super::reached::Reached;
use crate::config::Kafka;
use crate::pop::Timestamp;
use parking_lot::Mutex;
use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::RecordAndOffset;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Why a topic can't be read or written.
#[derive(Debug)]
pub(super) enum Trouble {
    Failed(String),
    Slow,
    NoTopic(String),
    FewerPartitions,
    /// Retention, or a topic made anew, took away what was to be read next.
    OutOfRange(i32),
    /// There is something at the end of the partition that is no record, or not one yet.
    Hidden(i32),
    Ended,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Failed(why) => write!(f, "Kafka: {why}"),
            Trouble::Slow => f.write_str("Kafka gave no answer in time"),
            Trouble::NoTopic(topic) => write!(f, "there is no topic {topic}"),
            Trouble::FewerPartitions => f.write_str("the topic has lost a partition"),
            Trouble::OutOfRange(partition) => write!(f, "partition {partition} is no longer what it was"),
            Trouble::Hidden(partition) => {
                write!(f, "partition {partition} has a transaction, and transactions can't be read")
            }
            Trouble::Ended => f.write_str("a partition is not read any more"),
        }
    }
}

/// Runs until there is a doubt; also whether it had caught up before.
pub(super) async fn run(kafka: &Kafka, intake: &Arc<Intake>, reached: &Arc<Reached>) -> (bool, Trouble) {
    let round = Arc::new(Mutex::new(Round::default()));
    match follow(kafka, intake, reached, &round).await {
        Ok(never) => match never {},
        Err(trouble) => {
            let caught_up = round.lock().completed;
            (caught_up, trouble)
        }
    }
}

/// Follows each partition by a task of its own, those that are added later too.
async fn follow(
    kafka: &Kafka,
    intake: &Arc<Intake>,
    reached: &Arc<Reached>,
    round: &Arc<Mutex<Round>>,
) -> Result<std::convert::Infallible, Trouble> {
    let client = connect(kafka).await?;
    let (mut known, mut tasks) = (BTreeSet::new(), JoinSet::new());
    loop {
        let now = partitions(&client, &kafka.topic).await?;
        if !known.is_subset(&now) {
            return Err(Trouble::FewerPartitions);
        }
        round.lock().expect(now.difference(&known).copied());
        for &number in now.difference(&known) {
            let opened = client.partition_client(&kafka.topic, number, UnknownTopicHandling::Error);
            let partition = Partition {
                client: within(PATIENCE, opened).await?,
                number,
                intake: Arc::clone(intake),
                reached: Arc::clone(reached),
                round: Arc::clone(round),
            };
            tasks.spawn(partition.run());
        }
        known = now;
        tokio::select! {
            ended = tasks.join_next() => return Err(ended.and_then(Result::ok).unwrap_or(Trouble::Ended)),
            () = sleep(REFRESH) => (),
        }
    }
}

/// A client that tries again itself for a moment only: our attempts are bounded, told once, and seen by `/ready`.
pub(super) async fn connect(kafka: &Kafka) -> Result<Client, Trouble> {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(500),
        base: 2.0,
        deadline: Some(Duration::from_millis(200)),
    };
    let brokers = kafka.brokers.iter().map(ToString::to_string).collect();
    let builder = ClientBuilder::new(brokers).client_id("clinch").max_message_size(MOST_BYTES);
    within(PATIENCE, builder.backoff_config(backoff).build()).await
}

/// The partitions of a topic that exists.
pub(super) async fn partitions(client: &Client, topic: &str) -> Result<BTreeSet<i32>, Trouble> {
    let topics = within(PATIENCE, client.list_topics()).await?;
    let found = topics.into_iter().find(|found| found.name == topic).map(|found| found.partitions);
    found.filter(|found| !found.is_empty()).ok_or_else(|| Trouble::NoTopic(topic.to_owned()))
}

/// The client has no bounds of its own.
pub(super) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match timeout(patience, answer).await {
        Ok(answer) => answer.map_err(|error| Trouble::Failed(error.to_string())),
        Err(_) => Err(Trouble::Slow),
    }
}

/// The partitions that have not said yet, since the feed last gave a word, that they are at their end.
#[derive(Debug, Default)]
struct Round {
    all: BTreeSet<i32>,
    open: BTreeSet<i32>,
    completed: bool,
}

impl Round {
    fn expect(&mut self, partitions: impl Iterator<Item = i32>) {
        for partition in partitions {
            self.all.insert(partition);
            self.open.insert(partition);
        }
    }

    /// Whether this was the last one.
    fn at_end(&mut self, partition: i32) -> bool {
        self.open.remove(&partition);
        if !self.open.is_empty() {
            return false;
        }
        self.open.clone_from(&self.all);
        self.completed = true;
        true
    }
}

struct Partition {
    client: PartitionClient,
    number: i32,
    intake: Arc<Intake>,
    reached: Arc<Reached>,
    round: Arc<Mutex<Round>>,
}

impl Partition {
    async fn run(self) -> Trouble {
        match self.follow().await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        }
    }

    async fn follow(&self) -> Result<std::convert::Infallible, Trouble> {
        let mut next = within(PATIENCE, self.client.get_offset(OffsetAt::Earliest)).await?;
        let mut end = within(PATIENCE, self.client.get_offset(OffsetAt::Latest)).await?;
        self.compare(next, end);
        let mut in_vain = 0;
        loop {
            let (records, high) = self.fetch(next).await?;
            if high < next {
                return Err(Trouble::OutOfRange(self.number));
            }
            in_vain = if records.is_empty() && next < high { in_vain + 1 } else { 0 };
            if in_vain > 0 {
                sleep(RETRY_FULL).await;
            }
            if in_vain > MOST_IN_VAIN {
                return Err(Trouble::Hidden(self.number));
            }
            for record in records {
                next = record.offset + 1;
                self.apply(record).await;
            }
            if next >= end {
                end = high;
                if self.round.lock().at_end(self.number) {
                    self.intake.heard();
                }
            }
        }
    }

    /// Says what there was and is no longer.
    fn compare(&self, earliest: i64, end: i64) {
        let Some(reached) = self.reached.begin(self.number, earliest) else { return };
        let partition = self.number;
        if end < reached {
            tracing::warn!(partition, "the revocation topic was made anew or set back");
        } else if earliest > reached {
            let lost = earliest - reached;
            tracing::warn!(partition, lost, "the revocation topic was trimmed beyond what was read of it");
        }
    }

    async fn fetch(&self, next: i64) -> Result<(Vec<RecordAndOffset>, i64), Trouble> {
        let wait = self.intake.health.heartbeat();
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let fetched = self.client.fetch_records(next, 1..FETCH_BYTES, millis);
        match timeout(wait + PATIENCE, fetched).await {
            Ok(Err(Error::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })) => {
                Err(Trouble::OutOfRange(self.number))
            }
            Ok(fetched) => fetched.map_err(|error| Trouble::Failed(error.to_string())),
            Err(_) => Err(Trouble::Slow),
        }
    }

    /// Applies one record, and waits with it if there is no room.
    async fn apply(&self, RecordAndOffset { record, offset }: RecordAndOffset) {
        let place = Place { partition: self.number, offset, topic: self.client.topic() };
        let published = Some(Timestamp::from_millis(record.timestamp.timestamp_millis()));
        let bytes = record.value.unwrap_or_default();
        let delivery = Delivery { bytes: &bytes, place: &place, published };
        while self.intake.take(&delivery, Timestamp::from_system(SystemTime::now())) == Taken::Full {
            sleep(RETRY_FULL).await;
        }
        self.reached.advance(self.number, offset);
    }
}

/// Where in the topic a record is.
struct Place<'a> {
    partition: i32,
    offset: i64,
    topic: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {} of partition {} of {}", self.offset, self.partition, self.topic)
    }
}

/// How often it is looked whether there are more partitions.
const REFRESH: Duration = Duration::from_secs(5);
/// What is asked for at once; a larger batch comes whole.
const FETCH_BYTES: i32 = 1 << 20;
/// An answer beyond this is not read.
const MOST_BYTES: usize = 64 << 20;
/// Answers without a record although there should be some, in a row.
const MOST_IN_VAIN: u32 = 3;
