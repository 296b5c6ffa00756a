//! The configured feed as a place to put what was received: with a connection that is kept, for many events may come.
//!
//! Where events go is where every replica reads.

use super::nats;
use super::publish::Publisher;
use crate::config;
use anyhow::Context;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A publisher that keeps its connection.
#[derive(Debug)]
pub(in crate::state::revocation) struct Bus {
    publisher: Publisher,
    nats: Mutex<Option<async_nats::jetstream::Context>>,
}

impl Bus {
    /// To where a configured feed reads; connects when there is something to publish.
    pub(in crate::state::revocation) fn of(feed: &config::Feed) -> Bus {
        Bus { publisher: Publisher::for_sets(feed), nats: Mutex::new(None) }
    }

    /// As [`Publisher::publish`], within a bounded time.
    pub(in crate::state::revocation) async fn publish(&self, id: &str, event: &str) -> anyhow::Result<()> {
        let published = async {
            if let Publisher::Nats(nats) = &self.publisher {
                let connection = self.connection(nats).await?;
                return nats::put(&connection, nats, id, event.as_bytes()).await.map(drop);
            }
            self.publisher.publish(id, event).await.map(drop)
        };
        timeout(PATIENCE, published).await.context("the feed does not answer")?
    }

    /// The connection, made by the first who needs it. From then on it mends itself.
    async fn connection(&self, nats: &config::Nats) -> anyhow::Result<async_nats::jetstream::Context> {
        let mut kept = self.nats.lock().await;
        match &*kept {
            Some(connection) => Ok(connection.clone()),
            None => Ok(kept.insert(nats::connect(nats).await?).clone()),
        }
    }
}

/// For one event, with a connection if there is none.
const PATIENCE: Duration = Duration::from_secs(5);
