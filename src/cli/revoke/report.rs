//! What `clinch revoke` prints.

use super::rfc3339;
use super::wait::Word;
use crate::pop::Timestamp;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::feed::publish::Published;
use std::io::{self, Write};
use std::time::Duration;

/// All there is to tell.
pub(super) struct Report<'a> {
    pub(super) event: &'a Plain,
    /// The feed's name.
    pub(super) feed: String,
    pub(super) published: &'a Published,
    /// When it was handed to the feed.
    pub(super) at: Timestamp,
}

impl Report<'_> {
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let event = self.event;
        match event.fact {
            Some(fact) => writeln!(out, "published {} {:?} of {}", fact.name(), event.value, event.issuer)?,
            None => writeln!(out, "published all tokens of {}", event.issuer)?,
        }
        if event.fact.is_none_or(|fact| !fact.is_for_ever()) {
            writeln!(out, "issued    until {}", rfc3339(event.at))?;
        }
        writeln!(out, "event     {}, at {}", event.id, precise(self.at))?;
        match &self.published.sequence {
            Some(sequence) => writeln!(out, "feed      {}, sequence {sequence}", self.feed),
            None => writeln!(out, "feed      {}", self.feed),
        }
    }

    /// Where nobody waits for replicas.
    pub(super) fn print_effect(out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "effect    when a replica reads it; one without this issuer rejects it")
    }

    pub(super) fn print_words(words: &[Word], limit: Duration, out: &mut impl Write) -> io::Result<()> {
        words.iter().try_for_each(|word| writeln!(out, "replica   {}", word.line(limit)))
    }

    /// `words`: what the replicas said, where they were asked.
    pub(super) fn print_json(&self, words: Option<&[Word]>, out: &mut impl Write) -> io::Result<()> {
        let event = self.event;
        let revoke = match event.fact {
            Some(fact) => serde_json::json!({ fact.name(): event.value }),
            None => serde_json::json!({ "all": true }),
        };
        let mut object = serde_json::json!({
            "id": event.id, "iss": event.issuer, "revoke": revoke, "at": rfc3339(event.at),
            "until": event.until.map(rfc3339), "published": true, "published_at": precise(self.at),
            "feed": self.feed, "sequence": sequence(self.published),
            "journal_created": self.published.journal_created,
        });
        if let Some(words) = words {
            object["replicas"] = words.iter().map(Word::json).collect();
            object["applied_everywhere"] = words.iter().all(Word::is_applied).into();
        }
        writeln!(out, "{object}")
    }
}

/// A number where the feed counts, a text where it does not.
fn sequence(published: &Published) -> Option<serde_json::Value> {
    let sequence = published.sequence.as_deref()?;
    Some(sequence.parse::<u64>().map_or_else(|_| sequence.into(), Into::into))
}

/// To the millisecond.
fn precise(time: Timestamp) -> String {
    let since_1970 = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(0));
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since_1970).to_string()
}
