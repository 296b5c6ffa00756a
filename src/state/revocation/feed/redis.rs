//! Events from a Redis stream (6.2 or later, or Valkey): all that it retains, then each as it is added.
//!
//! Every replica reads the whole stream from ids of its own with `XREAD BLOCK`, on a connection of its own. There is
//! no consumer group, so every replica sees every event (RV-027), and no pub/sub, so nothing falls into a gap between
//! two connections (RV-028). The feed has caught up when everything up to the last id that the stream had generated
//! is applied. A stream that does not exist at the start is an empty one.
//!
//! What revokes is not believed to be complete when the stream vanishes after it existed: then the feed is silent
//! until it exists again. Another run of the server, a failover, a stream that was made anew or set back: everything
//! it retains is read again, for events are idempotent.
//!
//! A user of Redis needs `+xread +xinfo|stream +info`, and `+xadd` to publish, on the stream's key alone.

mod entry;
mod server;
mod session;

use super::attempts::Attempts;
use super::{Intake, Progress};
use crate::config;
use crate::state::audit;
use anyhow::{Context, anyhow};
use server::{Trouble, connect};
use session::{Position, Reached, Session};
use std::sync::Arc;
use std::time::Duration;

/// A stream being followed until dropped.
#[derive(Debug)]
pub(in crate::state::revocation) struct Follower {
    task: tokio::task::AbortHandle,
    stream: String,
    reached: Reached,
}

impl Follower {
    /// Follows the stream; a server that can't be reached is tried again for ever.
    pub(super) fn start(redis: &config::Redis, intake: Arc<Intake>) -> anyhow::Result<Follower> {
        server::check(redis).context("revocation.feed.url: an address of Redis")?;
        let (reached, alive) = (Reached::default(), intake.health.alive());
        let follow = follow(redis.clone(), intake, Arc::clone(&reached));
        let task = tokio::spawn(async move {
            let _alive = alive;
            follow.await;
        });
        Ok(Follower { task: task.abort_handle(), stream: redis.stream.clone(), reached })
    }

    pub(super) fn progress(&self) -> Progress {
        let position = self.reached.read().map(|id| format!("entry {id} of {}", self.stream));
        Progress { position, ..Progress::default() }
    }

    /// See [`Feed::place`](super::Feed::place).
    pub(super) fn place(&self) -> Option<audit::Position> {
        self.reached.read().map(|id| audit::Position::Entry(id.millis, id.number))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(redis: config::Redis, intake: Arc<Intake>, reached: Reached) {
    let (mut position, mut attempts, mut moved) = (Position::of(reached), Attempts::default(), None);
    let patience = intake.health.heartbeat() + PATIENCE;
    loop {
        let hinted = moved.take();
        let trouble = match connect(&redis, hinted.as_ref(), patience).await {
            Ok(connection) => {
                let session = Session { redis: &redis, intake: &intake, connection, position: &mut position };
                session.run().await
            }
            Err(trouble) => trouble,
        };
        match (trouble, hinted) {
            // The cluster says who has the stream: that is an answer, not a trouble.
            (Trouble::Moved(server), None) => moved = Some(server),
            (trouble, _) => {
                intake.health.lost();
                attempts.ended(position.take_caught_up(), &trouble).await;
            }
        }
    }
}

/// Publishes one event and waits until the stream has it; makes the stream if there is none. Returns its id there.
///
/// # Errors
/// No server, or one that does not take it.
pub(super) async fn publish(redis: &config::Redis, event: &str) -> anyhow::Result<String> {
    server::check(redis)?;
    let mut moved = None;
    for _ in 0..=MOST_MOVES {
        let cannot = |trouble: Trouble| anyhow!("{trouble}");
        let mut connection = connect(redis, moved.as_ref(), PATIENCE).await.map_err(cannot)?;
        let mut add = ::redis::cmd("XADD");
        add.arg(&redis.stream).arg("*").arg(FIELD).arg(event);
        match add.query_async(&mut connection).await.map_err(Trouble::from) {
            Ok(id) => return Ok(id),
            Err(Trouble::Moved(server)) => moved = Some(server),
            Err(trouble) => return Err(cannot(trouble)),
        }
    }
    Err(anyhow!("the cluster does not agree on who has the stream"))
}

/// Whether URLs that begin so are ours.
pub(super) fn is_scheme(scheme: &str) -> bool {
    scheme.split('+').next().is_some_and(|base| ["redis", "rediss"].contains(&base))
}

/// What a command line's URL points to: an address, with `?stream=NAME` or without. The TLS of `rediss` trusts the
/// system's anchors, or those of the environment's `SSL_CERT_FILE`.
///
/// # Errors
/// In words what is wrong with it.
pub(super) fn of_url(url: &str) -> Result<config::Redis, String> {
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let stream = match (query, query.strip_prefix("stream=")) {
        ("", _) => DEFAULT_STREAM,
        (_, Some(stream)) if !stream.is_empty() && !stream.contains('&') => stream,
        (_, Some(_) | None) => return Err("a redis: feed takes stream= only".to_owned()),
    };
    let address = config::RedisAddress::parse(url).ok_or(NO_ADDRESS)?;
    Ok(config::Redis { address, ca: Vec::new(), stream: stream.to_owned() })
}

/// The field of an entry that holds the event.
const FIELD: &str = "event";
/// The stream when none is named.
pub const DEFAULT_STREAM: &str = "clinch:revocations";
/// For a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a cluster may say that the stream is elsewhere before an event is given up.
const MOST_MOVES: usize = 3;
const NO_ADDRESS: &str = "this is no address of Redis; expected redis://[USER:PASSWORD@]HOST[:PORT][/DB], \
    redis+sentinel://HOST:PORT,HOST:PORT/MASTER or redis+cluster://HOST:PORT,HOST:PORT, or rediss for TLS";

#[cfg(test)]
mod tests;
