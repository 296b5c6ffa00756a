//! Along one chain, from record to record, until it ends or something is wrong.

use super::super::chain::{End, Seal, unseal};
use super::fault::{Fault, What};
use super::heads::Head;
use super::lines::{Line, Lines};
use super::members::{Kind, is_object, members, time_and_kind};
use super::suspect::{Suspect, broken};
use super::{Beginning, Demands, Ending, Log};
use std::io::{self, BufRead};

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
    /// The time of the last record.
    time: Vec<u8>,
    /// The first checkpoint without a signature since the last with one: file, line, number.
    bare: Option<(String, u64, u64)>,
    /// What the last file has after its last record.
    rest: Option<Rest>,
    /// The first unsigned record's time.
    unsigned_since: Vec<u8>,
    pub(super) log: Log,
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
            time: Vec::new(),
            bare: None,
            rest: None,
            unsigned_since: Vec::new(),
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
                Line::End => return Ok(()),
            };
            let Err(suspect) = suspect else { continue };
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
        let (time, kind) =
            time_and_kind(line).filter(|_| is_object(line)).ok_or_else(|| clear(What::Strange))?;
        if let Some(rest) = self.rest.take() {
            let told = members(line).bytes.filter(|_| kind == Kind::Recovered);
            if told.is_none_or(|told| told < rest.bytes) {
                return Err(rest.fault.map_or(clear(What::CutShort), |fault| clear(fault.what)));
            }
        }
        if kind == Kind::Start && self.log.id.is_none() {
            self.log.id = members(line).log;
        }
        self.end = End { sequence: seal.sequence, hash: seal.hash };
        self.vouch(&seal, kind, line, (file, at))?;
        self.note(time, kind, line);
        Ok(())
    }

    /// Whether this can be how the next record begins.
    fn begins_next(&self, part: &[u8]) -> bool {
        let begin = format!(r#"{{"seq":{},"#, self.end.sequence + 1);
        let common = part.len().min(begin.len());
        part[..common] == begin.as_bytes()[..common]
    }

    /// Anchors and signatures: who vouches for everything up to here?
    fn vouch(
        &mut self,
        seal: &Seal<'_>,
        kind: Kind,
        line: &[u8],
        (file, at): (&str, u64),
    ) -> Result<(), Suspect> {
        let since = self.vouched + 1;
        if self.anchor == seal.sequence {
            let mut same = self.demands.named().filter(|anchor| anchor.sequence == seal.sequence);
            if same.any(|anchor| anchor.hash == seal.hash) {
                self.log.anchors.push(self.end);
                self.vouched = seal.sequence;
            } else {
                let what = What::Anchor { anchor: seal.sequence };
                self.log.differs.push(Fault { file: file.to_owned(), line: at, record: since, what });
            }
            self.next_anchor();
        }
        let Some((signed, signature)) = seal.signed else {
            if kind == Kind::Checkpoint && self.bare.is_none() {
                self.bare = Some((file.to_owned(), at, seal.sequence));
            }
            return Ok(());
        };
        if !self.demands.keys.is_empty() {
            let Some(key) = self.demands.keys.iter().find(|key| key.made(&signature, signed)) else {
                return Err(self.by_whom(line, seal.sequence, since));
            };
            self.vouched = seal.sequence;
            if !self.log.keys.iter().any(|name| name == key.name()) {
                self.log.keys.push(key.name().to_owned());
            }
        }
        self.bare = None;
        self.log.signed = Some(seal.sequence);
        Ok(())
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

    /// What the record says that the end of the log will be told by.
    fn note(&mut self, time: &[u8], kind: Kind, line: &[u8]) {
        let after_an_end = self.kinds == [Kind::Stop, Kind::Checkpoint];
        self.log.crashes += u64::from(kind == Kind::Start && self.log.records > 0 && !after_an_end);
        self.log.records += 1;
        self.kinds = [self.kinds[1], kind];
        self.time.clear();
        self.time.extend_from_slice(time);
        if self.log.first_time.is_empty() {
            self.log.first_time = String::from_utf8_lossy(time).into_owned();
        }
        if self.log.signed == Some(self.end.sequence) {
            self.unsigned_since.clear();
        } else if self.unsigned_since.is_empty() {
            self.unsigned_since.extend_from_slice(time);
        }
        match kind {
            Kind::Lost => self.log.lost += members(line).records.unwrap_or(0),
            Kind::Unknown => self.log.unknown += 1,
            Kind::Recovered => self.log.recovered += 1,
            Kind::Start | Kind::Stop | Kind::Checkpoint | Kind::Rotated | Kind::Plain => {}
        }
    }

    fn next_anchor(&mut self) {
        let after = self.demands.named().map(|anchor| anchor.sequence);
        self.anchor = after.filter(|sequence| *sequence > self.end.sequence).min().unwrap_or(u64::MAX);
    }

    /// What is told at the end.
    pub(super) fn finish(mut self) -> Log {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.log.last = self.end;
        self.log.last_time = text(&self.time);
        let first = self.log.first.saturating_sub(1);
        self.log.unsigned = self.end.sequence - self.log.signed.unwrap_or(first);
        self.log.unsigned_since = text(&self.unsigned_since);
        self.log.ending = match (&self.rest, self.kinds) {
            (Some(rest), _) => Ending::Incomplete { bytes: rest.bytes },
            (None, [Kind::Stop, Kind::Checkpoint]) => Ending::Closed,
            (None, [Kind::Rotated, Kind::Checkpoint] | [_, Kind::Rotated]) => Ending::Rotated,
            (None, _) => Ending::Open,
        };
        if self.log.fault.is_none() {
            self.log.fault = self.at_the_end();
        }
        self.log
    }

    /// What is wrong although every record follows the one before.
    fn at_the_end(&self) -> Option<Fault> {
        let next = self.end.sequence + 1;
        let file = self.log.files.last().cloned().unwrap_or_default();
        let fault = |line, record, what| Some(Fault { file: file.clone(), line, record, what });
        if let Some(Rest { fault: Some(fault), .. }) = &self.rest {
            return Some(fault.clone());
        }
        if !self.demands.keys.is_empty() {
            let unsigned = self.log.signed.map_or(self.log.first, |signed| signed + 1);
            if let Some((file, line, checkpoint)) = &self.bare {
                let what = What::Unsigned { checkpoint: *checkpoint };
                return Some(Fault { file: file.clone(), line: *line, record: unsigned, what });
            }
            if self.log.signed.is_none() {
                return fault(0, self.log.first, What::NothingSigned);
            }
            let seconds = seconds_between(&self.unsigned_since, &self.time);
            if seconds > self.demands.max_unsigned.as_secs() {
                return fault(0, unsigned, What::SignedTooLongAgo { seconds });
            }
        }
        let closed = self.log.ending == Ending::Closed;
        (self.demands.closed && !closed).then(|| fault(0, next, What::NotClosed)).flatten()
    }
}

/// How much later the second time is; as long as can be where one of them is no time.
fn seconds_between(from: &[u8], to: &[u8]) -> u64 {
    if from.is_empty() {
        return 0;
    }
    let time = |text| std::str::from_utf8(text).ok().and_then(|text| humantime::parse_rfc3339(text).ok());
    match (time(from), time(to)) {
        (Some(from), Some(to)) => to.duration_since(from).map_or(0, |between| between.as_secs()),
        (Some(_) | None, _) => u64::MAX,
    }
}
