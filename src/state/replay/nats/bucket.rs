//! The bucket: a stream as NATS' own tools make one for keys and values, and the mark of its age.

use super::super::shared::Trouble;
use super::clock::{self, Clock};
use crate::pop::Timestamp;
use async_nats::Client;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, DirectGetErrorKind, DiscardPolicy, Stream};
use async_nats::jetstream::{self, Context};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// An open bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    context: Context,
    stream: Stream,
    /// `$KV.<bucket>.`
    prefix: String,
    /// How long the bucket remembers; zero is for ever.
    max_age: Duration,
}

/// The message that tells how old the memory is.
#[derive(Debug)]
pub(super) struct Mark {
    /// When the first of its line was stored, by the server's clock.
    pub(super) since: Timestamp,
    /// When this one was.
    pub(super) stored: Timestamp,
    sequence: u64,
}

/// What a bucket says of itself.
#[derive(Debug)]
pub(super) struct State {
    /// When it was made.
    pub(super) created: String,
    /// The sequence of its last message.
    pub(super) writes: u64,
}

impl Bucket {
    /// Opens the bucket, or makes it; one that forgets too early is told to remember longer.
    pub(super) async fn open(client: Client, name: &str, longest: Duration) -> Result<Bucket, Trouble> {
        let context = jetstream::new(client);
        let needed = longest + MARGIN;
        let opened = context.get_or_create_stream(config(name, needed)).await;
        let mut stream = opened.map_err(Trouble::failed)?;
        let mut config = stream.cached_info().config.clone();
        if !config.allow_direct || config.max_messages_per_subject != 1 {
            return Err(Trouble::failed(
                "the bucket is not one that `nats kv add` makes with a history of 1",
            ));
        }
        if !config.max_age.is_zero() && config.max_age < needed {
            config.max_age = needed;
            context.update_stream(&config).await.map_err(Trouble::failed)?;
            stream = context.get_stream(&config.name).await.map_err(Trouble::failed)?;
        }
        warn_of_limits(&config);
        Ok(Bucket { context, stream, prefix: format!("$KV.{name}."), max_age: config.max_age })
    }

    /// Stores a message on the condition that `last` is the sequence of the last one under this key. Returns
    /// its own.
    pub(super) async fn put(&self, key: &str, last: u64, value: &str) -> Result<u64, PublishError> {
        let subject = format!("{}{key}", self.prefix);
        let message = PublishMessage::build()
            .payload(value.to_owned().into())
            .expected_stream(&self.stream.cached_info().config.name)
            .expected_last_subject_sequence(last);
        Ok(self.context.send_publish(subject, message).await?.await?.sequence)
    }

    /// The mark; a new one if there is none, and then the memory has just begun.
    pub(super) async fn mark_or_make(&self) -> Result<Mark, Trouble> {
        if let Some(mark) = self.mark().await? {
            return Ok(mark);
        }
        self.put_mark(0, "").await?;
        self.mark().await?.ok_or_else(|| Trouble::failed("the bucket does not keep what it took"))
    }

    /// Hands the age on to a new mark, unless another replica just did.
    pub(super) async fn renew(&self, mark: &Mark) -> Result<(), Trouble> {
        self.put_mark(mark.sequence, &mark.since.as_millis().to_string()).await
    }

    /// When a mark is old enough to be renewed.
    pub(super) fn renewal(&self) -> Duration {
        if self.max_age.is_zero() { Duration::MAX } else { self.max_age / 4 }
    }

    /// Whether what is stored at `at` may be forgotten before `until`.
    pub(super) fn forgets_before(&self, until: Timestamp, at: Timestamp) -> bool {
        !self.max_age.is_zero() && at.plus(self.max_age) < until
    }

    /// Reads the server's clock and the state of the stream.
    pub(super) async fn look(&self) -> Result<(Clock, State), Trouble> {
        let asked = Instant::now();
        let subject = format!("STREAM.INFO.{}", self.stream.cached_info().config.name);
        let told: Response<Info> = self.context.request(subject, &()).await.map_err(Trouble::failed)?;
        let info = match told {
            Response::Ok(info) => info,
            Response::Err { error } => return Err(Trouble::failed(error)),
        };
        let told = info.ts.as_deref().and_then(clock::parse);
        let told = told.ok_or_else(|| Trouble::failed("the server does not tell the time: it is too old"))?;
        Ok((Clock::read(told, asked), State { created: info.created, writes: info.state.last_seq }))
    }

    async fn mark(&self) -> Result<Option<Mark>, Trouble> {
        let subject = format!("{}{MARK}", self.prefix);
        match self.stream.direct_get_last_for_subject(subject).await {
            Ok(message) => read(&message).map(Some),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::failed(error)),
        }
    }

    async fn put_mark(&self, last: u64, value: &str) -> Result<(), Trouble> {
        match self.put(MARK, last, value).await {
            Ok(_) => Ok(()),
            // Another replica was quicker.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(Trouble::failed(error)),
        }
    }
}

/// The first of a line is empty and is as old as it is; the others hand on its age. A marker of a deletion, too,
/// is empty and begins a line.
fn read(message: &StreamMessage) -> Result<Mark, Trouble> {
    let millis = i64::try_from(message.time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let stored = Timestamp::from_millis(millis);
    let text = std::str::from_utf8(&message.payload).unwrap_or("?");
    let since = match text {
        "" => Some(stored),
        text => text.parse().ok().map(Timestamp::from_millis),
    };
    let since = since.ok_or_else(|| Trouble::failed("somebody has changed the keys of clinch"))?;
    Ok(Mark { since, stored, sequence: message.sequence })
}

/// Of the answer to STREAM.INFO, what we need. `ts` came with 2.10.
#[derive(Deserialize)]
struct Info {
    created: String,
    ts: Option<String>,
    state: InfoState,
}

#[derive(Deserialize)]
struct InfoState {
    last_seq: u64,
}

/// The stream of a bucket, as the key-value convention of NATS has it.
fn config(bucket: &str, max_age: Duration) -> Config {
    Config {
        name: format!("KV_{bucket}"),
        description: Some("used DPoP proofs, remembered by clinch".to_owned()),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        max_age,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        duplicate_window: Duration::from_secs(2).min(max_age),
        ..Config::default()
    }
}

/// A bucket that makes room by forgetting would admit replays (RP-008); one that never forgets only grows.
fn warn_of_limits(config: &Config) {
    let limited = config.max_bytes > 0 || config.max_messages > 0;
    if limited && config.discard == DiscardPolicy::Old {
        tracing::warn!(
            bucket = config.name,
            "the bucket forgets used proofs to make room: set discard to new"
        );
    }
    if config.max_age.is_zero() {
        tracing::warn!(bucket = config.name, "the bucket never forgets, and grows: set its max age");
    }
}

/// The key of the mark; no proof has it, for those have 22 characters.
const MARK: &str = "since";
/// For clocks that differ: a proof may come from a replica that is so much ahead of the server.
const MARGIN: Duration = Duration::from_secs(10);
