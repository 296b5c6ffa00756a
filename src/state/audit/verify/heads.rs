//! Which file comes after which: by the number of its first record, and by what that is bound to.

use super::super::chain::{End, FIRST, Hash, NOTHING, unseal};
use super::lines::{Line, Lines};
use super::walk::Walk;
use super::{Beginning, Demands};
use std::io::{self, BufRead};

/// What the order of a file is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of its first record, as most of the first records say: one of them may have been put there.
    pub(super) order: u64,
    /// The first line says that it is the first record of all.
    pub(super) begins: bool,
    /// The second record is not bound to the first.
    pub(super) lone: bool,
    /// The seal of the first line: its number, what it is bound to, and its hash.
    first: Option<(u64, Hash, Hash)>,
}

impl Head {
    /// Whether this is the first line of the same file.
    pub(super) fn is_of(&self, line: &[u8]) -> bool {
        self.first == seal(line)
    }
}

/// Reads as much of a file as is needed.
pub(super) fn head<R: BufRead>(lines: &mut Lines<R>) -> io::Result<Head> {
    let mut head = Head { order: u64::MAX, begins: false, lone: false, first: None };
    let mut orders = Vec::with_capacity(ENOUGH);
    while orders.len() < ENOUGH {
        let number = lines.number + 1;
        match lines.next()? {
            Line::Whole(line) => {
                let seal = seal(line);
                if let Some((sequence, prev, _)) = seal {
                    orders.push(sequence.saturating_sub(number - 1).max(1));
                    head.lone |= number == 2 && head.first.is_some_and(|(_, _, hash)| hash != prev);
                }
                if number == 1 {
                    // A first record that was changed is still bound to nothing.
                    let unbound = || line.windows(FIRST.len()).any(|part| part == FIRST.as_slice());
                    head.begins =
                        seal.map_or_else(unbound, |(sequence, prev, _)| sequence == 1 && prev == FIRST);
                    head.first = seal;
                }
            }
            Line::Partial(_) | Line::TooLong => {}
            Line::End => break,
        }
    }
    // Of two, the second may have been put behind the first from anywhere: the first is what the file began with.
    if orders.len() > 2 {
        orders.sort_unstable();
    }
    // Without any it can only be the last file, whose process ended in its first record, unless its name says otherwise.
    head.order = orders.get(orders.len().saturating_sub(1) / 2).copied().unwrap_or(u64::MAX);
    if head.begins && !head.lone {
        head.order = 1;
    }
    Ok(head)
}

/// The number that a file's name says its first record has.
pub(super) fn number(name: &str) -> Option<u64> {
    let (_, digits) = name.rsplit_once('.').map_or(name, |(stem, _)| stem).rsplit_once('.')?;
    let sound = digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| sound && *number > 0)
}

/// A line end that another system would write is none of ours, and tells as much of the order.
fn seal(line: &[u8]) -> Option<(u64, Hash, Hash)> {
    unseal(line.strip_suffix(b"\r").unwrap_or(line)).ok().map(|seal| (seal.sequence, seal.prev, seal.hash))
}

/// Which of the chains a file goes on, or that it begins one.
pub(super) enum Place {
    /// This one.
    Of(usize),
    /// A new one, after this.
    New(End, Beginning),
}

/// Finds it. The seal decides; where it does not, the name of the file does, and then the numbers.
pub(super) fn place(head: &Head, name: &str, walks: &[Walk<'_>], demands: &Demands) -> Place {
    let named = (0..walks.len()).filter(|at| stem(&walks[*at].log.files[0]) == stem(name));
    let named = named.max_by_key(|at| walks[*at].end().sequence);
    if named.is_none() && head.begins || head.order == 1 && !(head.lone && named.is_some()) {
        return Place::New(NOTHING, Beginning::First);
    }
    let bound = |end: End| {
        head.first.is_some_and(|(own, prev, _)| own.checked_sub(1) == Some(end.sequence) && prev == end.hash)
    };
    if let Some(at) = walks.iter().position(|walk| bound(walk.end())) {
        return Place::Of(at);
    }
    if let Some(from) = demands.from.iter().find(|from| bound(**from)) {
        return Place::New(*from, Beginning::From);
    }
    match (named, head.first) {
        (Some(at), _) => Place::Of(at),
        (None, _) if head.order == u64::MAX => Place::New(NOTHING, Beginning::First),
        (None, Some((own, prev, _))) if own > 0 && own <= head.order => {
            Place::New(End { sequence: own - 1, hash: prev }, Beginning::Unknown)
        }
        (None, _) => Place::New(End { sequence: head.order - 1, hash: FIRST }, Beginning::Unknown),
    }
}

/// What the files of one chain have in common: the name without the number of the first record, and its ending.
fn stem(name: &str) -> &str {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    match stem.rsplit_once('.') {
        Some((stem, number)) if number.len() >= DIGITS && number.bytes().all(|b| b.is_ascii_digit()) => stem,
        Some(_) | None => stem,
    }
}

/// Digits of the number in a file's name, at least.
const DIGITS: usize = 12;
/// How many first records tell which one is the odd one out.
const ENOUGH: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_named_alike() {
        assert_eq!(stem("a/audit.000000000017.jsonl"), "a/audit");
        assert_eq!(stem("a/audit.jsonl"), "a/audit");
        assert_eq!(stem("a/audit.4711.jsonl"), "a/audit.4711");
        assert_eq!(stem("a/audit.4711.000000000017.jsonl"), "a/audit.4711");
        assert_eq!(stem("audit"), "audit");
    }
}
