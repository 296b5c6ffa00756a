//! Used proofs in Redis (6.2 or later) or Valkey.
//!
//! One transaction for each proof, in one round trip: `SET key 1 NX PXAT`, which is the put-if-absent; the time by
//! Redis' own clock, by which it also forgets; and the age of a mark that is as old as the memory. The mark is
//! made in the same transaction when it is missing, so whoever asks first after a FLUSHALL finds a memory that has
//! just begun. Its age is read off its time to live, which is why it has one.
//!
//! The mark bears the server's `run_id`: after a restart or a failover there is a new one, for the last writes
//! may be missing there (RP-006). That is refused for a moment with a nonce challenge.
//!
//! A user of Redis needs `+multi +exec +set +pttl +time +ping +info`, and the keys `clinch:replay:*`.

use super::shared::{Answer, Arrival, Claim, Trouble, Verdict};
use crate::pop::Timestamp;
use crate::state::redis;
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Pipeline};
use anyhow::Context;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::time::Duration;

/// A Redis server, known by its address.
pub(super) struct Target {
    client: Client,
}

impl Target {
    pub(super) fn new(url: &str, ca: &[CertificateDer<'static>]) -> anyhow::Result<Target> {
        let client = redis::client(url, ca).context("it is not one");
        Ok(Target { client: client.context("dpop.replay.url: an address of Redis")? })
    }

    /// Connects and learns which server this is.
    pub(super) async fn connect(&self, patience: Duration) -> Result<(Session, Arrival), Trouble> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let connected = self.client.get_multiplexed_async_connection_with_config(&settings).await;
        let mut connection = connected.map_err(Trouble::failed)?;
        let identity = identity(&mut connection).await?;
        warn_of_eviction(&mut connection).await;
        let session = Session { mark: format!("{PREFIX}since:{identity}"), connection };
        let (since, at) = session.age().await?;
        Ok((session, Arrival { identity, since, at, writes: 0 }))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

/// One connection, shared by all requests.
pub(super) struct Session {
    connection: MultiplexedConnection,
    mark: String,
}

impl Session {
    /// Remembers, if absent, until the store's own clock has passed the proof's last moment (RP-009, RP-010).
    pub(super) async fn claim(&self, claim: &Claim) -> Result<Answer, Trouble> {
        let (key, keep_until) = (format!("{PREFIX}{}", claim.key), claim.keep_until().as_millis());
        let mut transaction = self.aged();
        transaction.cmd("SET").arg(key).arg(1).arg("NX").arg("PXAT").arg(keep_until);
        let answered: (i64, (i64, i64), Option<String>) =
            transaction.query_async(&mut self.connection.clone()).await.map_err(Trouble::failed)?;
        let (left, time, set) = answered;
        let (since, at) = age(left, time)?;
        let verdict = if set.is_none() {
            Verdict::Seen
        } else if at > claim.until {
            Verdict::Late // Redis forgets at once what should be forgotten already.
        } else if at < claim.from {
            Verdict::Early
        } else {
            Verdict::Fresh
        };
        Ok(Answer::new(verdict, since, at))
    }

    /// A sign of life.
    pub(super) async fn check(&self) -> Result<(), Trouble> {
        ::redis::cmd("PING").exec_async(&mut self.connection.clone()).await.map_err(Trouble::failed)
    }

    async fn age(&self) -> Result<(Timestamp, Timestamp), Trouble> {
        let asked = self.aged().query_async(&mut self.connection.clone()).await;
        let (left, time) = asked.map_err(Trouble::failed)?;
        age(left, time)
    }

    /// A transaction that finds or makes the mark, and answers with its time to live and the time.
    fn aged(&self) -> Pipeline {
        let mut transaction = ::redis::pipe();
        transaction.atomic();
        transaction.cmd("SET").arg(&self.mark).arg(1).arg("NX").arg("PX").arg(MARK_LIFE).ignore();
        transaction.cmd("PTTL").arg(&self.mark);
        transaction.cmd("TIME");
        transaction
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("mark", &self.mark).finish_non_exhaustive()
    }
}

/// Since when the mark is there, and what time it is: milliseconds left to live, seconds and microseconds.
fn age(left: i64, (secs, micros): (i64, i64)) -> Result<(Timestamp, Timestamp), Trouble> {
    let at = secs.saturating_mul(1000).saturating_add(micros / 1000);
    if !(0..=MARK_LIFE).contains(&left) {
        return Err(Trouble::failed("somebody has changed the keys of clinch"));
    }
    Ok((Timestamp::from_millis(at - (MARK_LIFE - left)), Timestamp::from_millis(at)))
}

/// Which run of which server this is. A server that does not tell can't be told from its successor.
async fn identity(connection: &mut MultiplexedConnection) -> Result<String, Trouble> {
    let run = redis::run_id(connection).await.map_err(Trouble::failed)?;
    Ok(run.unwrap_or_else(|| {
        tracing::warn!("Redis does not let us ask INFO: a failover that loses writes goes unnoticed");
        "unknown".to_owned()
    }))
}

/// A server that makes room by forgetting would admit replays (RP-008).
async fn warn_of_eviction(connection: &mut MultiplexedConnection) {
    if let Some(policy) = redis::evicts(connection).await {
        tracing::warn!(%policy, "Redis may forget used proofs to make room: set maxmemory-policy to noeviction");
    }
}

const PREFIX: &str = "clinch:replay:";
/// Ten years in milliseconds. When they are over, the memory seems new for a moment.
const MARK_LIFE: i64 = 315_360_000_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_the_mark_is_read_off_its_time_to_live() {
        let (since, at) = age(MARK_LIFE - 5000, (1_800_000_000, 250_000)).unwrap();
        assert_eq!(at.as_millis(), 1_800_000_000_250);
        assert_eq!(since.as_millis(), 1_799_999_995_250);
        for left in [-2, -1, MARK_LIFE + 1] {
            assert!(age(left, (1_800_000_000, 0)).is_err(), "{left}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let target = Target::new("redis://clinch:s3cret@127.0.0.1:1/", &[]).unwrap();
        assert!(!format!("{target:?}").contains("s3cret"));
        let error = Target::new("redis://clinch:s3cret@:x/", &[]).unwrap_err();
        assert!(!format!("{error:?} {error:#}").contains("s3cret"));
    }
}
