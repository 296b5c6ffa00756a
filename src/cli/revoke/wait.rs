//! Waiting until replicas have an event: each is asked again and again what became of it.

use crate::cli::replica::{Replica, encoded};
use crate::pop::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// What one replica made of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) replica: String,
    pub(super) fate: Fate,
}

/// What became of the event there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It counts since then, this long after its publication by the two clocks.
    Applied { at: String, after: Duration },
    /// It counts for nothing: `rejected` or `ignored`, and why.
    Not { result: &'static str, reason: String },
    /// The replica answers, and has not had it.
    Missing,
    /// The replica gives no answer, and why.
    Silent(String),
}

/// Asks all of them until each has said something for good, or until the time is over.
pub(super) async fn wait(replicas: &[Replica], id: &str, published: Timestamp, limit: Duration) -> Vec<Word> {
    let path = format!("/revocations?id={}", encoded(id));
    let deadline = Instant::now() + limit;
    let words = replicas.iter().map(async |replica| {
        let fate = settled(replica, &path, published, deadline).await;
        Word { replica: replica.url().to_owned(), fate }
    });
    futures_util::future::join_all(words).await
}

async fn settled(replica: &Replica, path: &str, published: Timestamp, deadline: Instant) -> Fate {
    let mut last = Fate::Silent("no answer in time".to_owned());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, replica.ask(path)).await {
            Ok(Ok(Some(answer))) => return fate(&answer, published),
            Ok(Ok(None)) => last = Fate::Missing,
            Ok(Err(why)) => last = Fate::Silent(why),
            Err(_) => return last,
        }
        if Instant::now() + PAUSE >= deadline {
            return last;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn fate(answer: &Value, published: Timestamp) -> Fate {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match answer["result"].as_str() {
        Some("applied") => {
            let at = text("at");
            let time = humantime::parse_rfc3339(&at).unwrap_or(SystemTime::UNIX_EPOCH);
            Fate::Applied { after: Timestamp::from_system(time).since(published), at }
        }
        Some("ignored") => Fate::Not { result: "ignored", reason: text("reason") },
        Some(_) | None => Fate::Not { result: "rejected", reason: text("reason") },
    }
}

impl Word {
    pub(super) fn is_applied(&self) -> bool {
        matches!(self.fate, Fate::Applied { .. })
    }

    /// One line, without its beginning.
    pub(super) fn line(&self, limit: Duration) -> String {
        let replica = &self.replica;
        match &self.fate {
            Fate::Applied { at, after } => {
                format!("{replica} applied it at {at}, {} ms after publication", after.as_millis())
            }
            Fate::Not { result, reason } => format!("{replica} {result} it: {reason}"),
            Fate::Missing => format!("{replica} has not had it within {}", humantime::format_duration(limit)),
            Fate::Silent(why) => format!("{replica} gives no answer: {why}"),
        }
    }

    pub(super) fn json(&self) -> Value {
        let replica = &self.replica;
        match &self.fate {
            Fate::Applied { at, after } => {
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                json!({ "replica": replica, "result": "applied", "at": at, "after_ms": after })
            }
            Fate::Not { result, reason } => json!({ "replica": replica, "result": result, "reason": reason }),
            Fate::Missing => json!({ "replica": replica, "result": "missing" }),
            Fate::Silent(why) => json!({ "replica": replica, "result": "no_answer", "reason": why }),
        }
    }
}

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(4);
