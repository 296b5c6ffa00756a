//! One connection, from its beginning to the first doubt about it.

use super::super::{Delivery, Intake, RETRY_FULL, Taken};
use super::entry::{Entry, Id, Survey, entries};
use super::server::Trouble;
use crate::config::Redis;
use crate::pop::Timestamp;
use crate::state::redis::{evicts, run_id};
use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, RedisError, Value};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// How far the stream has been applied; outlives sessions.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// Which run of which server was read: another one may have lost what this one had.
    run: Option<String>,
    /// The id of the last entry applied.
    last: Id,
    /// How many entries the stream had ever had when `last` was its last.
    added: Option<u64>,
    /// Whether there was a stream.
    existed: bool,
    caught_up: bool,
    told: bool,
    /// `last` for whoever asks from outside.
    reached: Reached,
}

/// The last entry of the stream that has been applied, with all before it; `None` before there was a stream to read.
pub(super) type Reached = Arc<RwLock<Option<Id>>>;

impl Position {
    /// Nothing has been read; what is going to be, is told here.
    pub(super) fn of(reached: Reached) -> Position {
        Position { reached, ..Position::default() }
    }

    /// Whether a session has caught up since this was last asked.
    pub(super) fn take_caught_up(&mut self) -> bool {
        std::mem::take(&mut self.caught_up)
    }

    /// Everything is to be read again: events are idempotent (RV-013).
    fn start_over(&mut self) {
        self.added = None;
        self.advance(Id::default());
    }

    /// Everything up to here has been applied.
    fn advance(&mut self, last: Id) {
        self.last = last;
        *self.reached.write() = Some(last);
    }
}

/// A session about to run.
pub(super) struct Session<'a> {
    pub(super) redis: &'a Redis,
    pub(super) intake: &'a Intake,
    pub(super) connection: MultiplexedConnection,
    pub(super) position: &'a mut Position,
}

impl Session<'_> {
    /// Runs until there is a doubt.
    pub(super) async fn run(mut self) -> Trouble {
        match self.follow().await {
            Ok(never) => match never {},
            Err(trouble) => trouble,
        }
    }

    /// Reads up to what there is, says so, waits for more for at most a heartbeat, and looks again what there is.
    async fn follow(&mut self) -> Result<std::convert::Infallible, Trouble> {
        self.arrive().await?;
        let block = self.intake.health.heartbeat().as_millis().to_string();
        loop {
            let survey = self.survey().await?;
            while self.position.last < survey.last {
                let batch = self.read(None).await?;
                if batch.is_empty() {
                    // The last ones were deleted.
                    self.position.advance(survey.last);
                }
                self.apply(batch).await;
            }
            if self.position.last == survey.last {
                self.position.added = survey.added;
            }
            self.position.caught_up = true;
            self.position.advance(self.position.last);
            self.intake.heard();
            let batch = self.read(Some(&block)).await?;
            self.apply(batch).await;
        }
    }

    /// Who is this? Another run of a server, or another server, may lack what was read, and have what was not.
    async fn arrive(&mut self) -> Result<(), Trouble> {
        let run = run_id(&mut self.connection).await?;
        match &run {
            None if !std::mem::replace(&mut self.position.told, true) => tracing::warn!(
                "Redis does not let us ask INFO: the stream is read again whenever the connection was lost"
            ),
            None => (),
            Some(_) => self.must_be_master().await?,
        }
        if run.is_none() || run != self.position.run {
            self.position.start_over();
            if let Some(policy) = evicts(&mut self.connection).await {
                tracing::warn!(%policy, "Redis may forget revocations to make room: set maxmemory-policy to noeviction");
            }
        }
        self.position.run = run;
        Ok(())
    }

    async fn must_be_master(&mut self) -> Result<(), Trouble> {
        let info: String = ::redis::cmd("INFO").arg("replication").query_async(&mut self.connection).await?;
        if info.lines().any(|line| line.trim() == "role:slave") { Err(Trouble::Replica) } else { Ok(()) }
    }

    /// What the stream has now; goes back to the start if it is not the one that was read before.
    async fn survey(&mut self) -> Result<Survey, Trouble> {
        let asked = ::redis::cmd("XINFO").arg("STREAM").arg(&self.redis.stream).to_owned();
        let answer: Result<HashMap<String, Value>, RedisError> =
            asked.query_async(&mut self.connection).await;
        let answer = match answer {
            Err(error) if is_no_such_key(&error) => return self.absent(),
            answer => answer?,
        };
        let survey = Survey::read(answer).ok_or(Trouble::Unintelligible("XINFO STREAM"))?;
        self.position.existed = true;
        self.place(&survey);
        Ok(survey)
    }

    /// Redis answers and has no such stream: nothing was ever revoked there, or what was is lost (fail closed).
    fn absent(&mut self) -> Result<Survey, Trouble> {
        if self.position.existed {
            self.position.start_over();
            return Err(Trouble::Disappeared(self.redis.stream.clone()));
        }
        Ok(Survey::default())
    }

    fn place(&mut self, survey: &Survey) {
        let position = &mut *self.position;
        let is_another = survey.last < position.last || survey.added < position.added;
        let stream = &self.redis.stream;
        if is_another {
            tracing::warn!(
                stream,
                "the revocation stream was made anew or set back: reading what it retains"
            );
            position.start_over();
        } else if let Some(lost) = lost(position, survey) {
            tracing::warn!(stream, lost, "the revocation stream was trimmed beyond what was read of it");
            position.start_over();
        }
    }

    /// The next entries; waits for them for so many milliseconds.
    async fn read(&mut self, block: Option<&str>) -> Result<Vec<Entry>, Trouble> {
        let mut command = Cmd::new();
        command.arg("XREAD").arg("COUNT").arg(BATCH);
        if let Some(millis) = block {
            command.arg("BLOCK").arg(millis);
        }
        command.arg("STREAMS").arg(&self.redis.stream).arg(self.position.last.to_string());
        let answer = command.query_async(&mut self.connection).await?;
        entries(answer).ok_or(Trouble::Unintelligible("XREAD"))
    }

    /// Applies each, and waits with one for which there is no room.
    async fn apply(&mut self, batch: Vec<Entry>) {
        for Entry { id, event } in batch {
            let place = Place { id, stream: &self.redis.stream, is_event: event.is_some() };
            let published = i64::try_from(id.millis).ok().map(Timestamp::from_millis);
            let bytes = event.unwrap_or_default();
            let delivery = Delivery { bytes: &bytes, place: &place, published };
            while self.intake.take(&delivery, Timestamp::from_system(SystemTime::now())) == Taken::Full {
                tokio::time::sleep(RETRY_FULL).await;
            }
            self.position.advance(id);
        }
    }
}

/// How many entries were added and trimmed away since; at least one where Redis does not count.
fn lost(position: &Position, survey: &Survey) -> Option<u64> {
    let nothing_read = position.last == Id::default() || survey.last == position.last;
    let first_is_there = survey.first.is_some_and(|first| first <= position.last);
    if nothing_read || first_is_there {
        return None;
    }
    match (position.added, survey.added) {
        (Some(then), Some(now)) => now.checked_sub(then + survey.length).filter(|lost| *lost > 0),
        (None, _) | (_, None) => Some(1),
    }
}

fn is_no_such_key(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("no such key"))
}

/// Where in the stream an entry is.
struct Place<'a> {
    id: Id,
    stream: &'a str,
    is_event: bool,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} of {}", self.id, self.stream)?;
        if self.is_event { Ok(()) } else { f.write_str(", which has no field `event`, or several") }
    }
}

/// How many entries are asked for at once.
const BATCH: &str = "256";
