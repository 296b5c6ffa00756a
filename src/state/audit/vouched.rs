//! How far a file that is found at the start can be believed: whether it is one chain, and what our signatures vouch for.
//!
//! Who can write the file and has no key can replace it by records of the same form. If the next process simply went on
//! after them, its signature would vouch for them, too. So the whole file is read, in constant memory, before
//! anything is bound to it; what follows from that is for `file` to decide.

use super::chain::{End, FIRST, Hash, unseal};
use super::verify::{Key, Line, Lines, members, time, time_and_kind};
use aws_lc_rs::signature::Ed25519KeyPair;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::time::SystemTime;

/// What is known of the records before this process, and goes into its `start`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vouched {
    /// The last record that a signature of ours vouches for.
    pub(super) continues: Option<End>,
    /// The last record that is signed by whatever key; 0 if there is none.
    pub(super) signed: u64,
    /// Whose signature that says to be, if it is none of ours. It can't be checked here.
    pub(super) other_key: Option<String>,
    /// When the first and the last record after that were written, if there are any.
    pub(super) unsigned: Option<(SystemTime, SystemTime)>,
    /// What the file is called now that was not gone on with.
    pub(super) set_aside: Option<String>,
}

/// What a file says, read from its beginning to the last whole record.
#[derive(Debug)]
pub(super) struct Contents {
    /// What the first record is bound to.
    pub(super) before: End,
    pub(super) end: End,
    pub(super) vouched: Vouched,
}

/// Why nothing may be bound to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A record is not what was sealed, or does not follow the one before.
    Broken,
    /// A signature in our name is not ours.
    Forged,
    /// No record is signed.
    Unsigned,
}

impl Doubt {
    /// For the log.
    pub(super) fn text(self) -> &'static str {
        match self {
            Doubt::Broken => "its chain is broken",
            Doubt::Forged => "a signature in the name of our key is not good",
            Doubt::Unsigned => "none of its records is signed",
        }
    }
}

/// Reads so many bytes of a file: whole records.
pub(super) fn read(mut file: &File, bytes: u64, key: &Ed25519KeyPair) -> io::Result<Result<Contents, Doubt>> {
    file.seek(SeekFrom::Start(0))?;
    let mut lines = Lines::new(BufReader::with_capacity(PIECE, file.take(bytes)));
    let key = Key::of_pair(key);
    let mut contents: Option<Contents> = None;
    loop {
        let line = match lines.next()? {
            Line::Whole(line) => line,
            Line::End => return Ok(contents.ok_or(Doubt::Broken)),
            Line::Partial(_) | Line::TooLong => return Ok(Err(Doubt::Broken)),
        };
        let Ok(seal) = unseal(line) else { return Ok(Err(Doubt::Broken)) };
        let contents = contents.get_or_insert_with(|| Contents::after(seal.sequence, seal.prev));
        let follows = contents.end.sequence.checked_add(1) == Some(seal.sequence);
        if !follows || seal.prev != contents.end.hash || (seal.sequence == 1) != (seal.prev == FIRST) {
            return Ok(Err(Doubt::Broken));
        }
        contents.end = End { sequence: seal.sequence, hash: seal.hash };
        match seal.signed {
            None => contents.vouched.goes_on(line),
            Some((text, signature)) if key.made(&signature, text) => {
                contents.vouched = Vouched::by_us(contents.end);
            }
            Some(_) => match members(line).key {
                Some(name) if name == key.name() => return Ok(Err(Doubt::Forged)),
                name => contents.vouched = Vouched::by_another(contents.end.sequence, name),
            },
        }
    }
}

impl Contents {
    fn after(first: u64, hash: Hash) -> Contents {
        let before = End { sequence: first.saturating_sub(1), hash };
        Contents { before, end: before, vouched: Vouched::default() }
    }
}

impl Vouched {
    fn by_us(end: End) -> Vouched {
        Vouched { continues: Some(end), signed: end.sequence, ..Vouched::default() }
    }

    fn by_another(signed: u64, name: Option<String>) -> Vouched {
        Vouched { signed, other_key: Some(name.unwrap_or_default()), ..Vouched::default() }
    }

    /// Whether a signature of whatever key was found.
    pub(super) fn is_signed(&self) -> bool {
        self.continues.is_some() || self.other_key.is_some()
    }

    /// One more record without a signature.
    fn goes_on(&mut self, line: &[u8]) {
        // A time that can't be read is as far away as can be.
        let time = time_and_kind(line).and_then(|(written, _)| time(written));
        let (first, last) = self.unsigned.unwrap_or_else(|| {
            let time = time.unwrap_or(SystemTime::UNIX_EPOCH);
            (time, time)
        });
        let time = time.unwrap_or_else(SystemTime::now);
        self.unsigned = Some((first.min(time), last.max(time)));
    }

    /// What the records of a file add to what was known of those before it.
    pub(super) fn then(self, next: Vouched) -> Vouched {
        if next.is_signed() {
            return next;
        }
        let unsigned = match (self.unsigned, next.unsigned) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
        Vouched { unsigned, ..self }
    }
}

/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;
