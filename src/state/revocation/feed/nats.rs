//! Events from a NATS JetStream stream: all that it retains, then each as it is published.
//!
//! Every replica reads the whole stream with an ephemeral push consumer of its own; there is no queue
//! group, so every replica sees every event (ATTACKS RV-027). The feed has caught up when all that was
//! pending on subscription has been applied. One session follows one consumer on one connection; at the
//! first doubt (connection lost, silence, a gap in the consumer's sequence) it ends and the next one
//! begins behind the last event applied. Idle heartbeats are the signs of life between events.
//!
//! When events come faster than they are applied, the client drops some and says so: that too ends the session, and
//! what was dropped is read again. A stream that is not the one of before, or that has forgotten events which were not
//! read here, is read from its start (ATTACKS RV-026).
//!
//! The beginning of a bad event is also published to [`REJECTED`], best effort, for whoever mends it.

mod connect;
mod ended;
mod retention;
mod session;

use super::attempts::Attempts;
use super::{Intake, Progress};
use crate::config;
use anyhow::anyhow;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectOptions, ServerAddr};
use connect::{backoff, options};
use ended::Ended;
use parking_lot::Mutex;
use session::{Mark, Position, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::watch;

/// A stream being followed until dropped.
#[derive(Debug)]
pub(in crate::state::revocation) struct Follower {
    task: tokio::task::AbortHandle,
    mark: Arc<Mark>,
    stream: String,
    seen: Arc<Seen>,
}

/// How far the stream has been read, for whoever asks from outside.
#[derive(Debug)]
struct Seen {
    sequence: AtomicU64,
    /// Events of ours in the stream behind that one; [`UNKNOWN`] before the stream has told.
    pending: AtomicU64,
    /// How often events came faster than they were applied.
    overflows: AtomicU64,
    retention_warning: Mutex<Option<String>>,
}

impl Follower {
    /// Follows the stream from this position; a server that can't be reached is tried again for ever.
    pub(super) fn start(
        nats: &config::Nats,
        intake: Arc<Intake>,
        position: Option<&[u8]>,
    ) -> anyhow::Result<Follower> {
        Follower::with_room(nats, intake, position, ROOM)
    }

    /// With room for so many events that have come and were not applied yet.
    fn with_room(
        nats: &config::Nats,
        intake: Arc<Intake>,
        position: Option<&[u8]>,
        room: usize,
    ) -> anyhow::Result<Follower> {
        let (servers, options) = options(nats)?;
        let options = options.subscription_capacity(room);
        let (stream, subject) = (nats.stream.clone(), nats.subject.clone());
        let (sequence, pending) = (AtomicU64::new(0), AtomicU64::new(UNKNOWN));
        let (overflows, retention_warning) = (AtomicU64::new(0), Mutex::default());
        let seen = Arc::new(Seen { sequence, pending, overflows, retention_warning });
        let source = Source { stream: stream.clone(), subject, intake, seen: Arc::clone(&seen) };
        let position = position.and_then(Position::from_bytes).unwrap_or_default();
        let mark = position.mark();
        let alive = source.intake.health.alive();
        let follow = async move {
            let _alive = alive;
            source.follow(servers, options, position).await;
        };
        Ok(Follower { task: tokio::spawn(follow).abort_handle(), mark, stream, seen })
    }

    pub(super) fn progress(&self) -> Progress {
        let known = |number: u64| (number != UNKNOWN).then_some(number);
        let sequence = known(self.seen.sequence.load(Relaxed)).filter(|sequence| *sequence > 0);
        Progress {
            position: sequence.map(|sequence| format!("sequence {sequence} of {}", self.stream)),
            lag: known(self.seen.pending.load(Relaxed)),
            retention_warning: self.seen.retention_warning.lock().clone(),
        }
    }

    /// See [`Feed::place`](super::Feed::place).
    pub(super) fn place(&self) -> u64 {
        self.mark.sequence()
    }

    /// See [`Feed::position`](super::Feed::position).
    pub(super) fn position(&self) -> Option<Vec<u8>> {
        self.mark.to_bytes()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes one event and waits until the stream has it. Returns its sequence in the stream.
///
/// # Errors
/// No server, no such stream behind the subject, or no acknowledgement.
pub(super) async fn publish(nats: &config::Nats, id: &str, payload: &[u8]) -> anyhow::Result<u64> {
    put(&connect(nats).await?, nats, id, payload).await
}

/// A connection to publish on; it mends itself once it was there.
pub(super) async fn connect(nats: &config::Nats) -> anyhow::Result<Context> {
    let (servers, options) = options(nats)?;
    Ok(async_nats::jetstream::new(open(&servers, &options).await?))
}

/// One attempt. What went wrong names the servers without the logins that their addresses may hold.
async fn open(servers: &[ServerAddr], options: &ConnectOptions) -> anyhow::Result<Client> {
    let named: Vec<String> = servers.iter().map(|s| format!("{}:{}", s.host(), s.port())).collect();
    // Errors of async-nats name their cause themselves, so as the cause of ours it would be told twice.
    let connected = options.clone().connect(servers).await;
    connected.map_err(|error| anyhow!("can't connect to NATS at {}: {error}", named.join(", ")))
}

/// Publishes on a connection that is there, as [`publish`] does.
pub(super) async fn put(
    jetstream: &Context,
    nats: &config::Nats,
    id: &str,
    payload: &[u8],
) -> anyhow::Result<u64> {
    let (stream, subject) = (&nats.stream, &nats.subject);
    let message =
        PublishMessage::build().payload(payload.to_vec().into()).message_id(id).expected_stream(stream);
    let sent = jetstream.send_publish(subject.to_owned(), message).await;
    let acknowledged = match sent {
        Ok(acknowledgement) => acknowledgement.await,
        Err(error) => Err(error),
    };
    let acknowledged = acknowledged
        .map_err(|error| anyhow!("the stream {stream} did not take an event on {subject}: {error}"))?;
    Ok(acknowledged.sequence)
}

/// What is followed, and where events go.
struct Source {
    stream: String,
    subject: String,
    intake: Arc<Intake>,
    seen: Arc<Seen>,
}

impl Source {
    async fn follow(self, servers: Vec<ServerAddr>, options: ConnectOptions, mut position: Position) {
        let (connections, mut connected) = watch::channel(Connection::default());
        let (troubles, mut trouble) = watch::channel(String::new());
        let notes = Arc::new((connections, troubles));
        let options = options.event_callback(move |event| {
            let notes = Arc::clone(&notes);
            async move { note(&notes.0, &notes.1, &event) }
        });
        let mut attempts = Attempts::default();
        // Not by the client, which would try for ever without a word of why.
        let client = loop {
            match open(&servers, &options).await {
                Ok(client) => break client,
                Err(trouble) => attempts.ended(false, &trouble).await,
            }
        };
        loop {
            // From here on the client tries again by itself, and says why it fails.
            let connection = tokio::select! {
                biased;
                up = connected.wait_for(|connection| connection.up) => up.map(|connection| *connection),
                Ok(()) = trouble.changed() => {
                    attempts.tell(false, &*trouble.borrow_and_update());
                    continue;
                }
            };
            let Ok(connection) = connection else { return };
            let session = Session { source: &self, client: &client, position: &mut position };
            let ended = tokio::select! {
                ended = session.run() => ended,
                now = connected.wait_for(|now| *now != connection) => match now {
                    Ok(now) if now.overflows != connection.overflows => Ended::Overflow,
                    Ok(_) | Err(_) => Ended::ConnectionLost,
                },
            };
            self.intake.health.lost();
            if matches!(ended, Ended::Overflow) {
                self.seen.overflows.fetch_add(1, Relaxed);
            }
            let failures = attempts.tell(position.take_progress(), &ended);
            tokio::time::sleep(backoff(failures)).await;
        }
    }
}

/// Which connection this is, and how often something that came on it was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Connection {
    up: bool,
    count: u64,
    overflows: u64,
}

fn note(
    connections: &watch::Sender<Connection>,
    troubles: &watch::Sender<String>,
    event: &async_nats::Event,
) {
    use async_nats::{ClientError, Event};
    match event {
        Event::Connected => connections.send_modify(|c| (c.up, c.count) = (true, c.count + 1)),
        Event::Disconnected | Event::Closed => connections.send_modify(|c| c.up = false),
        Event::SlowConsumer(_) => connections.send_modify(|c| c.overflows += 1),
        Event::ClientError(ClientError::Other(why)) => {
            troubles.send_replace(format!("can't connect to NATS again: {why}"));
        }
        Event::LameDuckMode | Event::Draining | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::debug!(%event, "NATS");
        }
    }
}

/// Where bad events are kept aside. Events on this subject are never read, so they can't come round again.
pub const REJECTED: &str = "clinch.revocations.rejected";
/// The stream when none is named.
pub const DEFAULT_STREAM: &str = "CLINCH_REVOCATIONS";
/// The subject of plain events when none is named.
pub const DEFAULT_SUBJECT: &str = "clinch.revocations.plain";
/// A number that nobody has told yet.
const UNKNOWN: u64 = u64::MAX;
/// More events than the server's flow control lets be on their way (32 MiB): then nothing is dropped as a rule.
const ROOM: usize = 1 << 18;

#[cfg(test)]
mod tests;
