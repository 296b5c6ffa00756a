//! Who vouches for the records up to here, and whether they went without that for too long.
//!
//! A later signature does not make good what was unsigned for too long before it: a process that starts signs on top of
//! whatever it finds. Only an anchor does, which was noted elsewhere.

use super::super::super::chain::{End, Hash};
use super::super::fault::{Fault, What};
use super::super::members::{Kind, Members, members};
use super::super::suspect::Suspect;
use super::super::{Beginning, UnsignedStart};
use super::{Entry, Walk};
use std::time::Duration;

impl Walk<'_> {
    /// Anchors and signatures.
    pub(super) fn vouch(&mut self, entry: &Entry<'_>) -> Result<(), Suspect> {
        let sequence = entry.seal.sequence;
        let since = self.vouched + 1;
        if matches!(entry.kind, Kind::Start | Kind::Recovered) && !self.demands.keys.is_empty() {
            self.begin_run(entry);
        }
        // When something is signed says nothing of when it was written: it can have waited for the disk.
        if entry.seal.signed.is_none() {
            self.stretch.takes(sequence, entry.time, entry.kind == Kind::Decision);
        }
        if self.anchor == sequence {
            let mut same = self.demands.named().filter(|anchor| anchor.sequence == sequence);
            if same.any(|anchor| anchor.hash == entry.seal.hash) {
                self.log.anchors.push(self.end);
                self.doubt = None;
                self.settle(entry);
            } else {
                let what = What::Anchor { anchor: sequence };
                self.log.differs.push(entry.fault(since, what));
            }
            self.next_anchor();
        }
        let Some((signed, signature)) = entry.seal.signed else {
            if entry.kind == Kind::Checkpoint && self.bare.is_none() && self.stretch.first().is_some() {
                self.bare = Some((entry.file.to_owned(), entry.at, sequence));
            }
            return Ok(());
        };
        if !self.demands.keys.is_empty() {
            let Some(key) = self.demands.keys.iter().find(|key| key.made(&signature, signed)) else {
                return Err(self.by_whom(entry.line, sequence, since));
            };
            let name = key.name();
            if !self.log.keys.iter().any(|known| known == name) {
                self.log.keys.push(name.to_owned());
            }
            match self.signatures.iter_mut().find(|(known, _)| known == name) {
                Some((_, last)) => *last = self.end,
                None => self.signatures.push((name.to_owned(), self.end)),
            }
            self.doubt_what_is_signed(entry);
            self.settle(entry);
            self.interval = members(entry.line).every_ms.map(Duration::from_millis);
        }
        self.bare = None;
        self.log.signed = Some(sequence);
        Ok(())
    }

    /// From here on nothing before is in question.
    fn settle(&mut self, entry: &Entry<'_>) {
        self.vouched = entry.seal.sequence;
        self.bare = None;
        self.stretch.ends();
        if self.doubt.is_none() {
            self.sound = (self.end, String::from_utf8_lossy(entry.written).into_owned());
        }
    }

    fn doubt(&mut self, fault: Fault) {
        self.doubt.get_or_insert(fault);
    }

    /// A good signature: what it vouches for may have waited too long for it all the same.
    fn doubt_what_is_signed(&mut self, entry: &Entry<'_>) {
        let first = self.stretch.first().unwrap_or(entry.seal.sequence);
        if let Some((file, line, checkpoint)) = self.bare.take() {
            self.doubt(Fault { file, line, record: first, what: What::Unsigned { checkpoint } });
        }
        let never = self.vouched < self.log.first && self.log.beginning == Beginning::First;
        let length = if never { self.stretch.of_all() } else { self.stretch.of_run() };
        if length > self.max_unsigned() {
            self.doubt(entry.fault(first, What::SignedTooLongAgo { seconds: length.as_secs() }));
        }
    }

    /// How far unsigned records may lie apart: what was demanded, or what the last signature says. A later one can't be
    /// asked, for whoever signs it signs on top of what is found.
    fn max_unsigned(&self) -> Duration {
        let said = || self.interval.map_or(LONGEST, |interval| interval.saturating_add(SPARE).min(LONGEST));
        self.demands.max_unsigned.unwrap_or_else(said)
    }

    /// A process begins: what the ones before left unsigned can't be more than they could leave. Its first record is
    /// `start`, or `recovered` and then `start`.
    fn begin_run(&mut self, entry: &Entry<'_>) {
        if entry.kind == Kind::Recovered || self.kinds[1] != Kind::Recovered {
            let length = self.stretch.of_all();
            if let Some(first) = self.stretch.first().filter(|_| length > self.max_unsigned()) {
                self.doubt(entry.fault(first, What::SignedTooLongAgo { seconds: length.as_secs() }));
            }
            self.stretch.pauses();
        }
        if entry.kind == Kind::Start {
            let told = members(entry.line);
            self.note_unsigned(entry, told.unsigned.unwrap_or(0));
            // Who tells how much is unsigned signs before the first decision.
            if let Some(first) = self.stretch.first()
                && told.unsigned.is_some()
                && self.stretch.has_decided()
            {
                self.doubt(entry.fault(first, What::NeverSigned));
            }
            if !self.continues(entry, &told) {
                self.doubt(entry.fault(entry.seal.sequence, What::Continues));
            }
            self.stretch.begins();
        }
    }

    fn note_unsigned(&mut self, entry: &Entry<'_>, unsigned: u64) {
        if unsigned > 0 {
            self.log.unsigned_start_count += 1;
            if self.log.unsigned_starts.len() < MOST_NOTED {
                let record = entry.seal.sequence;
                self.log.unsigned_starts.push(UnsignedStart { record, unsigned });
            }
        }
    }

    /// Whether what the `start` says it goes on after is so.
    fn continues(&self, entry: &Entry<'_>, told: &Members) -> bool {
        let last = entry.seal.sequence - 1;
        let Some(text) = &told.continues else {
            return told.unsigned.is_none_or(|unsigned| unsigned <= last);
        };
        let Some(claimed) = parsed(text).filter(|claimed| claimed.sequence <= last) else { return false };
        let known = claimed.sequence >= self.log.first;
        let signed = self.signatures.iter().any(|(_, end)| *end == claimed);
        // `recovered` was written after the file was opened.
        let recovered = u64::from(self.kinds[1] == Kind::Recovered);
        let distance = last - claimed.sequence;
        let counts = |unsigned: u64| unsigned == distance || unsigned.saturating_add(recovered) == distance;
        (signed || !known) && told.unsigned.is_some_and(counts)
    }

    /// A signature by none of our keys: is it a wrong one, or another's?
    fn by_whom(&self, line: &[u8], checkpoint: u64, since: u64) -> Suspect {
        let key = members(line).key;
        let ours = key.as_ref().is_some_and(|name| self.demands.keys.iter().any(|key| key.name() == name));
        if ours {
            Suspect::Clear { record: since, what: What::Signature { checkpoint } }
        } else {
            Suspect::Clear { record: since, what: What::OtherKey { checkpoint, key } }
        }
    }

    pub(super) fn next_anchor(&mut self) {
        let after = self.demands.named().map(|anchor| anchor.sequence);
        self.anchor = after.filter(|sequence| *sequence > self.end.sequence).min().unwrap_or(u64::MAX);
    }

    /// What is wrong with the records that no signature followed.
    pub(super) fn unsigned_at_the_end(&self) -> Option<Fault> {
        if self.demands.keys.is_empty() {
            return None;
        }
        let first = self.stretch.first().unwrap_or(self.end.sequence + 1);
        let file = self.log.files.last().cloned().unwrap_or_default();
        let fault = |what| Some(Fault { file: file.clone(), line: 0, record: first, what });
        if let Some((file, line, checkpoint)) = &self.bare {
            let what = What::Unsigned { checkpoint: *checkpoint };
            return Some(Fault { file: file.clone(), line: *line, record: first, what });
        }
        if self.log.signed.is_none() {
            return fault(What::NothingSigned);
        }
        let length = self.stretch.of_run();
        (length > self.max_unsigned())
            .then(|| fault(What::SignedTooLongAgo { seconds: length.as_secs() }))
            .flatten()
    }
}

/// `17:the hash of record 17`
fn parsed(text: &str) -> Option<End> {
    let (sequence, hash) = text.split_once(':')?;
    Some(End { sequence: sequence.parse().ok()?, hash: Hash::try_from(hash.as_bytes()).ok()? })
}

/// The longest interval that can be configured, and what a slow disk gets: where no signature says less.
const LONGEST: Duration = Duration::from_secs(65 * 60);
/// How much later than its time a checkpoint may come.
const SPARE: Duration = Duration::from_secs(60);
/// How many starts are told one by one.
const MOST_NOTED: usize = 16;
