//! Whether audit logs are as they were written: pure over whatever they are read from, in constant memory.
//!
//! A chain of records is whole when each is what was sealed, and each is bound to the one before (see
//! [`chain`](super::chain)); over several files, which may come in any order. What that proves depends on who vouches for
//! the end: whoever can write the file can cut the end off, or seal everything again. So
//!
//! - a signature vouches for everything before it, to whoever has the public key;
//! - an anchor, the number and hash of a record that was noted elsewhere, does so too;
//! - a process that starts signs on top of what it finds, so a signature vouches only for what did not wait too long for
//!   one, wherever in the log;
//! - the end itself is beyond doubt only where an anchor names it: an earlier orderly stop is an orderly end, too.
//!
//! Not decided here: whether what the records say is true, and whether the times are right.

mod fault;
mod heads;
mod keys;
mod lines;
mod members;
mod stretch;
mod suspect;
mod walk;

pub use fault::{Fault, What};
pub use keys::{Key, spki};
pub use lines::{LONGEST, Line, Lines};
pub(super) use members::{members, time, time_and_kind};

use super::chain::End;
use heads::{Head, Place, head, number, place};
use std::io::{self, BufRead};
use std::time::Duration;
use walk::Walk;

/// What a log has to satisfy.
#[derive(Clone, Debug)]
pub struct Demands {
    /// Whose signatures are believed; none: signatures are not checked.
    pub keys: Vec<Key>,
    /// Records that must be there.
    pub anchors: Vec<End>,
    /// Where logs may begin whose earlier files were archived: the last record of those.
    pub from: Vec<End>,
    /// They may begin anywhere.
    pub partial: bool,
    /// They must end in order.
    pub closed: bool,
    /// How long records may go on without a signature, where there are keys: anywhere, not at the end only. `None`: as the
    /// last signed checkpoint has it, and a minute.
    pub max_unsigned: Option<Duration>,
}

/// What was found out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Each log that the files were of.
    pub logs: Vec<Log>,
    /// Anchors that are in none of the logs, and where they should be.
    pub anchors: Vec<Fault>,
    /// Whether everything that was demanded is so.
    pub fine: bool,
}

/// One log, that is one chain.
#[derive(Clone, Debug)]
pub struct Log {
    /// What it is called, if its files say so.
    pub id: Option<String>,
    /// Its files in the order of their records.
    pub files: Vec<String>,
    /// Why it may begin where it does.
    pub beginning: Beginning,
    /// The number of its first record.
    pub first: u64,
    /// When that was written.
    pub first_time: String,
    /// The last record that is in order.
    pub last: End,
    /// When that was written.
    pub last_time: String,
    /// How many records are in order.
    pub records: u64,
    /// The last record that is signed; by whom is known only where there are keys.
    pub signed: Option<u64>,
    /// How many records come after it.
    pub unsigned: u64,
    /// When the first of them was written.
    pub unsigned_since: String,
    /// The names of the keys that signed.
    pub keys: Vec<String>,
    /// Who wrote it, as its records say: the first ones.
    pub replicas: Vec<Replica>,
    /// How often that changed, and one.
    pub replica_count: u64,
    /// How many records could not be written, as the log itself says.
    pub lost: u64,
    /// How often a file ended within a line, and the next said so.
    pub recovered: u64,
    /// How often clinch found that others had changed a file, or that something of the log was not there.
    pub touched: u64,
    /// How often a process began although the one before had not ended in order.
    pub crashes: u64,
    /// The first processes that found records without a signature when they began.
    pub unsigned_starts: Vec<UnsignedStart>,
    /// How many did.
    pub unsigned_start_count: u64,
    /// How many records are of a kind that is not known here.
    pub unknown: u64,
    /// How many records are older by minutes than the one before.
    pub back: u64,
    /// The first of them.
    pub first_back: Option<u64>,
    /// How it ends.
    pub ending: Ending,
    /// The first thing that is wrong with it. Nothing after it was checked.
    pub fault: Option<Fault>,
    before: End,
    anchors: Vec<End>,
    differs: Vec<Fault>,
}

/// A process began after records that no signature vouched for: those since the last checkpoint before a crash, or what
/// somebody put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsignedStart {
    /// Its `start`.
    pub record: u64,
    /// How many there were.
    pub unsigned: u64,
}

/// Who wrote records: from this one on, up to where that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// As the records say.
    pub name: String,
    /// The first of them.
    pub from: u64,
}

/// Why a log may begin where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It is the first record of all.
    First,
    /// What was before is known to end there.
    From,
    /// It is not known what was before.
    Unknown,
}

/// How a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order: the process stopped, and vouched for it.
    Closed,
    /// It goes on in a file that was not given.
    Rotated,
    /// After some record: the process is running, or ended without warning.
    Open,
    /// Within a record: the same.
    Incomplete {
        /// How much of the record there is.
        bytes: u64,
    },
}

/// A file could not be read.
#[derive(Debug)]
pub struct Unread {
    /// Which.
    pub file: String,
    /// Why.
    pub error: io::Error,
}

/// Verifies what is in the files, given in any order and opened by `open`, twice each and one at a time.
///
/// # Errors
/// A file can't be read. Everything else is in the outcome.
pub fn verify<R: BufRead>(
    files: &[String],
    mut open: impl FnMut(&str) -> io::Result<R>,
    demands: &Demands,
) -> Result<Outcome, Unread> {
    let mut heads: Vec<(Head, &String)> = Vec::with_capacity(files.len());
    for file in files {
        let read = open(file).and_then(|input| head(&mut Lines::new(input)));
        let mut head = read.map_err(|error| Unread { file: file.clone(), error })?;
        if head.order == u64::MAX {
            head.order = number(file).unwrap_or(u64::MAX);
        }
        heads.push((head, file));
    }
    heads.sort_by_key(|(head, _)| (head.order, head.lone));
    let mut walks: Vec<Walk<'_>> = Vec::new();
    for (head, file) in heads {
        let at = match place(&head, file, &walks, demands) {
            Place::Of(at) => at,
            Place::New(end, beginning) => {
                walks.push(Walk::new(demands, end, beginning));
                walks.len() - 1
            }
        };
        let read = open(file).and_then(|input| walks[at].read(file, &head, &mut Lines::new(input)));
        read.map_err(|error| Unread { file: file.clone(), error })?;
    }
    Ok(outcome(walks.into_iter().map(Walk::finish).collect(), demands))
}

fn outcome(logs: Vec<Log>, demands: &Demands) -> Outcome {
    let begins = |log: &Log, end: &End| log.beginning == Beginning::From && log.before == *end;
    let met = |end: &&End| logs.iter().any(|log| log.anchors.contains(*end) || begins(log, end));
    let anchors: Vec<Fault> =
        demands.named().filter(|end| !met(end)).filter_map(|end| unmet(*end, &logs)).collect();
    let right = |log: &Log| log.fault.is_none() && (log.beginning != Beginning::Unknown || demands.partial);
    let fine = !logs.is_empty() && anchors.is_empty() && logs.iter().all(right);
    Outcome { logs, anchors, fine }
}

/// Where a record that is in none of the logs should be; nothing if something else kept it from being found.
fn unmet(anchor: End, logs: &[Log]) -> Option<Fault> {
    let named = anchor.sequence;
    let mut differs = logs.iter().flat_map(|log| &log.differs);
    if let Some(fault) = differs.find(|fault| fault.what == What::Anchor { anchor: named }) {
        return Some(fault.clone());
    }
    if logs.iter().any(|log| log.fault.is_some()) {
        return None;
    }
    let short = logs.iter().filter(|log| log.last.sequence < named).max_by_key(|log| log.last.sequence);
    let (log, record, what) = match (short, logs.first()) {
        (Some(log), _) => (log, log.last.sequence + 1, What::CutOff { anchor: named }),
        (None, Some(log)) => (log, named, What::Begins { at: log.first }),
        (None, None) => return None,
    };
    let file = log.files.last().cloned().unwrap_or_default();
    Some(Fault { file, line: 0, record, what })
}

impl Demands {
    /// Every record that is named with its hash.
    fn named(&self) -> impl Iterator<Item = &End> {
        self.anchors.iter().chain(&self.from)
    }
}

impl Log {
    fn new(before: End, beginning: Beginning) -> Log {
        Log {
            id: None,
            files: Vec::new(),
            beginning,
            first: before.sequence + 1,
            first_time: String::new(),
            last: before,
            last_time: String::new(),
            records: 0,
            signed: None,
            unsigned: 0,
            unsigned_since: String::new(),
            keys: Vec::new(),
            replicas: Vec::new(),
            replica_count: 0,
            lost: 0,
            recovered: 0,
            touched: 0,
            crashes: 0,
            unsigned_starts: Vec::new(),
            unsigned_start_count: 0,
            unknown: 0,
            back: 0,
            first_back: None,
            ending: Ending::Open,
            fault: None,
            before,
            anchors: Vec::new(),
            differs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
