//! Along one chain, from record to record, until it ends or something is wrong.

use super::super::chain::{End, Seal, unseal};
use super::fault::{Fault, What};
use super::heads::Head;
use super::lines::{Line, Lines};
use super::members::{Kind, is_object, members, replica, time, time_and_kind};
use super::stretch::Stretch;
use super::suspect::{Suspect, broken};
use super::{Beginning, Demands, Log, Replica};
use std::io::{self, BufRead};
use std::time::{Duration, SystemTime};

mod ends;
mod vouch;

/// One chain as far as it has been read.
pub(super) struct Walk<'a> {
    demands: &'a Demands,
    end: End,
    /// The last record that a signature, an anchor or `--from` vouches for.
    vouched: u64,
    /// The number of the next anchor.
    anchor: u64,
    /// The kinds of the last two records.
    kinds: [Kind; 2],
    /// Whether the last process ended in order, and none began since.
    over: bool,
    /// The time of the last record, as it is written and as it is read.
    time: Vec<u8>,
    moment: Option<SystemTime>,
    /// The first checkpoint without a signature since the last with one: file, line, number.
    bare: Option<(String, u64, u64)>,
    /// Who wrote the last record, as it is written.
    replica: Vec<u8>,
    /// What the last file has after its last record.
    rest: Option<Rest>,
    /// Whether it has nothing at all.
    empty: bool,
    /// The first unsigned record's time.
    unsigned_since: Vec<u8>,
    /// What nobody vouches for yet.
    stretch: Stretch,
    /// How long the last signature says that records wait for the next one.
    interval: Option<Duration>,
    /// The last good signature of each key, by its name.
    signatures: Vec<(String, End)>,
    /// What went unsigned for too long, unless an anchor is still to come that vouches for it.
    doubt: Option<Fault>,
    /// The last record before that for which something vouches, and its time.
    sound: (End, String),
    pub(super) log: Log,
}

/// The next record.
struct Entry<'a> {
    seal: Seal<'a>,
    kind: Kind,
    /// Its time as it is written, and as it is read.
    written: &'a [u8],
    time: SystemTime,
    line: &'a [u8],
    file: &'a str,
    at: u64,
}

impl Entry<'_> {
    /// Something that is seen here.
    fn fault(&self, record: u64, what: What) -> Fault {
        Fault { file: self.file.to_owned(), line: self.at, record, what }
    }
}

/// What a file has after its last record.
struct Rest {
    bytes: u64,
    /// What is wrong if the next file does not say that it was left by a crash; nothing if it is a record's beginning.
    fault: Option<Fault>,
}

impl<'a> Walk<'a> {
    /// Begins after `end`.
    pub(super) fn new(demands: &'a Demands, end: End, beginning: Beginning) -> Walk<'a> {
        let mut walk = Walk {
            demands,
            end,
            vouched: end.sequence,
            anchor: 0,
            kinds: [Kind::Plain; 2],
            over: false,
            time: Vec::new(),
            moment: None,
            bare: None,
            replica: Vec::new(),
            rest: None,
            empty: false,
            unsigned_since: Vec::new(),
            stretch: Stretch::new(beginning != Beginning::First),
            interval: None,
            signatures: Vec::new(),
            doubt: None,
            sound: (end, String::new()),
            log: Log::new(end, beginning),
        };
        walk.next_anchor();
        walk
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// Goes on through a file.
    pub(super) fn read<R: BufRead>(
        &mut self,
        file: &str,
        head: &Head,
        lines: &mut Lines<R>,
    ) -> io::Result<()> {
        self.log.files.push(file.to_owned());
        if self.log.fault.is_some() {
            return Ok(());
        }
        loop {
            let (at, from) = (lines.number + 1, lines.ended);
            let suspect = match lines.next()? {
                Line::Whole(line) => {
                    if at == 1 && !head.is_of(line) {
                        return Err(io::Error::other("it was rotated meanwhile: do it again"));
                    }
                    self.follow(line, file, at)
                }
                Line::Partial(part) if self.begins_next(part) => {
                    self.rest = Some(Rest { bytes: part.len() as u64, fault: None });
                    Ok(())
                }
                Line::Partial(_) => Err(Suspect::Broken { claims: false }),
                Line::TooLong => Err(Suspect::Clear { record: self.end.sequence + 1, what: What::TooLong }),
                Line::End => {
                    self.empty = lines.read == 0;
                    return Ok(());
                }
            };
            let Err(suspect) = suspect else { continue };
            // What the file before ends with is no end of it, if this is not what follows.
            if let Some(Rest { fault: Some(fault), .. }) = &self.rest {
                self.log.fault = Some(fault.clone());
                return Ok(());
            }
            let (record, what) = suspect.explained(self.end, self.vouched, lines)?;
            let fault = Fault { file: file.to_owned(), line: at, record, what };
            if matches!(fault.what, What::NoRecord | What::TooLong) && lines.next()? == Line::End {
                // Blocks that were never written, perhaps: the next file will tell.
                self.rest = Some(Rest { bytes: lines.read - from, fault: Some(fault) });
            } else {
                self.log.fault = Some(fault);
            }
            return Ok(());
        }
    }

    /// Takes one line if it is the next record.
    fn follow(&mut self, line: &[u8], file: &str, at: u64) -> Result<(), Suspect> {
        let expected = self.end.sequence + 1;
        let clear = |what| Suspect::Clear { record: expected, what };
        let seal = unseal(line).map_err(|_| broken(line, self.end))?;
        if seal.sequence != expected {
            return Err(Suspect::Number(seal.sequence));
        }
        if seal.prev != self.end.hash {
            return Err(Suspect::Binding(seal.hash));
        }
        let strange = || clear(What::Strange);
        let (written, kind) = time_and_kind(line).filter(|_| is_object(line)).ok_or_else(strange)?;
        let time = time(written).ok_or_else(strange)?;
        if let Some(rest) = self.rest.take() {
            let told = members(line).bytes.filter(|_| kind == Kind::Recovered);
            if told.is_none_or(|told| told < rest.bytes) {
                return Err(rest.fault.map_or(clear(What::CutShort), |fault| clear(fault.what)));
            }
        }
        if self.over && !self.can_follow_the_end(kind) {
            return Err(clear(What::AfterStop));
        }
        if kind == Kind::Start && self.log.id.is_none() {
            self.log.id = members(line).log;
        }
        self.end = End { sequence: seal.sequence, hash: seal.hash };
        let entry = Entry { seal, kind, written, time, line, file, at };
        self.vouch(&entry)?;
        self.note(&entry);
        Ok(())
    }

    /// Whether this can be how the next record begins.
    fn begins_next(&self, part: &[u8]) -> bool {
        let begin = format!(r#"{{"seq":{},"#, self.end.sequence + 1);
        let common = part.len().min(begin.len());
        part[..common] == begin.as_bytes()[..common]
    }

    /// The key may be that of several replicas: it does not say whose log this is.
    fn note_replica(&mut self, line: &[u8]) {
        let written = replica(line).unwrap_or_default();
        if self.log.replica_count > 0 && self.replica == written {
            return;
        }
        self.replica.clear();
        self.replica.extend_from_slice(written);
        self.log.replica_count += 1;
        if self.log.replicas.len() < MOST_NOTED {
            let name = members(line).replica.unwrap_or_default();
            self.log.replicas.push(Replica { name, from: self.end.sequence });
        }
    }

    /// What the record says that the end of the log will be told by.
    fn note(&mut self, entry: &Entry<'_>) {
        let Entry { kind, written, line, .. } = *entry;
        let after_an_end = self.kinds == STOPPED;
        self.log.crashes += u64::from(kind == Kind::Start && self.log.records > 0 && !after_an_end);
        self.log.records += 1;
        self.kinds = [self.kinds[1], kind];
        self.over = kind != Kind::Start && (self.over || self.kinds == STOPPED);
        self.note_replica(line);
        self.time.clear();
        self.time.extend_from_slice(written);
        let back = self.moment.replace(entry.time).and_then(|last| last.duration_since(entry.time).ok());
        if back.is_some_and(|back| back > TOLERATED) {
            self.log.back += 1;
            self.log.first_back.get_or_insert(self.end.sequence);
        }
        if self.log.first_time.is_empty() {
            self.log.first_time = String::from_utf8_lossy(written).into_owned();
        }
        if self.log.signed == Some(self.end.sequence) {
            self.unsigned_since.clear();
        } else if self.unsigned_since.is_empty() {
            self.unsigned_since.extend_from_slice(written);
        }
        match kind {
            Kind::Lost => {
                self.log.lost = self.log.lost.saturating_add(members(line).records.unwrap_or(0));
            }
            Kind::Unknown => self.log.unknown += 1,
            Kind::Recovered => self.log.recovered += 1,
            Kind::Touched => self.log.touched += 1,
            Kind::Start
            | Kind::Stop
            | Kind::Checkpoint
            | Kind::Rotated
            | Kind::Unsynced
            | Kind::Decision
            | Kind::Plain => {}
        }
    }
}

/// How many replicas are told one by one.
const MOST_NOTED: usize = 16;
/// How a process ends that ends in order.
const STOPPED: [Kind; 2] = [Kind::Stop, Kind::Checkpoint];
/// How a file ends that made way for the next.
const ROTATED: [Kind; 2] = [Kind::Rotated, Kind::Checkpoint];
/// By how much a record may be older than the one before without being noted: requests of one moment wait for one another.
const TOLERATED: Duration = Duration::from_secs(300);
