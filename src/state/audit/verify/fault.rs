//! What is wrong with a log, in words: the first thing that is.

use std::fmt;

/// The first thing wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file in which it was seen.
    pub file: String,
    /// The line there; 0 where it is about the end of the file.
    pub line: u64,
    /// The first record that is not, or may not be, as it was written.
    pub record: u64,
    /// What it is.
    pub what: What,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The record is not the text that was sealed.
    Changed,
    /// Where the record should be is a line that is none.
    NoRecord,
    /// A line that is no record stands before it.
    Inserted,
    /// Where the record should be is a line longer than any record.
    TooLong,
    /// It was sealed, but is not written as clinch writes records.
    Strange,
    /// From this record to that one nothing is there.
    Missing {
        /// The last one.
        to: u64,
    },
    /// Another record stands in its place.
    Misplaced {
        /// The number of the other.
        found: u64,
    },
    /// A record with its number stands in its place, bound to nothing here.
    Replaced,
    /// The record after it is bound to another one: it was changed and sealed again, or what follows is from elsewhere.
    Unbound,
    /// It and what follows are from elsewhere: what is before it is vouched for.
    Elsewhere,
    /// The file before ends with something that is no record, and this one does not say so.
    CutShort,
    /// A checkpoint's signature is wrong: something from this record to the checkpoint was changed and sealed again.
    Signature {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// A checkpoint is signed with a key that is not believed.
    OtherKey {
        /// The checkpoint.
        checkpoint: u64,
        /// What it calls the key.
        key: Option<String>,
    },
    /// A checkpoint is not signed.
    Unsigned {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// No record of the log is signed.
    NothingSigned,
    /// From this record on more is unsigned than there should be, even if a later signature vouches for it.
    SignedTooLongAgo {
        /// From the earliest unsigned record to the latest, in seconds.
        seconds: u64,
    },
    /// From this record on a process decided on requests that never signed anything, and the next one found that.
    NeverSigned,
    /// A process begins, and what it says about the last signature before it is not so.
    Continues,
    /// After an orderly stop something follows although no process began.
    AfterStop,
    /// An anchor says that the record `anchor` is another: something up to it was changed and sealed again.
    Anchor {
        /// The record that the anchor names.
        anchor: u64,
    },
    /// An anchor names a record that comes after the end: from this one on the log was cut off.
    CutOff {
        /// The record that the anchor names.
        anchor: u64,
    },
    /// The last record says that the log goes on in another file.
    GoesOn {
        /// That file was given, and has nothing in it.
        empty: bool,
    },
    /// The log does not end in order.
    NotClosed,
    /// The log begins later than at its first record.
    Begins {
        /// Where it begins.
        at: u64,
    },
}

impl Fault {
    /// The last record of those that may be meant, [`record`](Fault::record) being the first.
    #[must_use]
    pub fn to(&self) -> u64 {
        match &self.what {
            What::Missing { to } => *to,
            What::Signature { checkpoint }
            | What::OtherKey { checkpoint, .. }
            | What::Unsigned { checkpoint } => *checkpoint,
            What::Anchor { anchor } | What::CutOff { anchor } => *anchor,
            What::Unbound => self.record + 1,
            What::Begins { at } => at.saturating_sub(1),
            What::Changed
            | What::NoRecord
            | What::Inserted
            | What::TooLong
            | What::Strange
            | What::Misplaced { .. }
            | What::Replaced
            | What::Elsewhere
            | What::CutShort
            | What::NothingSigned
            | What::SignedTooLongAgo { .. }
            | What::NeverSigned
            | What::Continues
            | What::AfterStop
            | What::GoesOn { .. }
            | What::NotClosed => self.record,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (record, to) = (self.record, self.to());
        match &self.what {
            What::Changed => write!(f, "record {record} was changed"),
            What::NoRecord => write!(f, "where record {record} should be is a line that is no record"),
            What::Inserted => write!(f, "a line that is no record was put before record {record}"),
            What::TooLong => write!(f, "where record {record} should be is a line longer than any record"),
            What::Strange => write!(f, "record {record} is sealed, but not as clinch writes records"),
            What::Missing { .. } if record == to => write!(f, "record {record} is missing"),
            What::Missing { .. } => write!(f, "records {record} to {to} are missing"),
            What::Misplaced { found } => write!(f, "record {found} stands where {record} should"),
            What::Replaced => {
                write!(f, "record {record} was replaced: it is bound to nothing before or after it")
            }
            What::Unbound => write!(
                f,
                "record {to} is bound to another record {record} than the one before it: either {record} was changed \
                 and sealed again, or everything from {to} on is from elsewhere"
            ),
            What::Elsewhere => write!(f, "record {record} and what follows are from elsewhere"),
            What::CutShort => {
                write!(f, "the file before ends within record {record}, and this one does not say how far")
            }
            What::Signature { .. } if record == to => write!(f, "the signature of record {record} is wrong"),
            What::Signature { .. } => write!(
                f,
                "the signature of record {to} is wrong: one of the records {record} to {to} was changed and sealed again"
            ),
            What::OtherKey { checkpoint, key: Some(key) } => {
                write!(f, "record {checkpoint} is signed with another key, {key:?}")
            }
            What::OtherKey { checkpoint, key: None } => {
                write!(f, "record {checkpoint} is signed with another key")
            }
            What::Unsigned { checkpoint } => write!(
                f,
                "record {checkpoint} is a checkpoint without a signature: what was said from record {record} on is \
                 nobody's word"
            ),
            What::NothingSigned => write!(f, "no record is signed"),
            What::SignedTooLongAgo { seconds } => write!(
                f,
                "from record {record} on nothing is signed for {seconds} seconds: longer than --max-unsigned"
            ),
            What::NeverSigned => write!(
                f,
                "from record {record} on requests were decided by a process that signed nothing, which clinch does first"
            ),
            What::Continues => write!(
                f,
                "record {record} is a start that goes on after another signature than the last one here"
            ),
            What::AfterStop => {
                write!(f, "record {record} follows an orderly stop, and no process began before it")
            }
            What::Anchor { .. } if record == to => {
                write!(f, "record {to} is not the one that --anchor names")
            }
            What::Anchor { .. } => write!(
                f,
                "record {to} is not the one that --anchor names: one of the records {record} to {to} was changed and \
                 sealed again"
            ),
            What::CutOff { .. } => {
                write!(f, "the log was cut off before record {record}: --anchor knows a record {to}")
            }
            What::GoesOn { empty: true } => {
                write!(
                    f,
                    "record {record} and what follows are missing: the file before goes on in this one, which is empty"
                )
            }
            What::GoesOn { empty: false } => write!(
                f,
                "record {record} and what follows are missing: this file goes on in another, which was not given"
            ),
            What::NotClosed => write!(f, "the log does not end in order"),
            What::Begins { at } => write!(f, "it begins at record {at}; what was before can't be checked"),
        }
    }
}
