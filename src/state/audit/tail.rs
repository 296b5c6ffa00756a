//! The two ends of a file that another process wrote: its first record, and its last complete one.
//!
//! A crash or a power failure leaves half a record at the end, or bytes that were never written. They are looked over
//! from the back, in pieces, however large the file is.

use super::back::Back;
use super::chain::{self, End, Hash};
use super::verify::{members, time, time_and_kind};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

/// The first record of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    /// What it is bound to.
    pub(super) prev: Hash,
    pub(super) time: Option<SystemTime>,
}

/// The end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its last complete record; `None` if it has none.
    pub(super) end: Option<End>,
    /// What is behind that: bytes of no record.
    pub(super) cut: u64,
}

/// Reads the first record; `None` if the file does not begin with one.
pub(super) fn head(file: &File) -> io::Result<Option<Head>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(WINDOW).min(WINDOW)];
    file.read_exact_at(&mut bytes, 0)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(seal) = chain::unseal(line) else { return Ok(None) };
    let time = time_and_kind(line).and_then(|(written, _)| time(written));
    Ok(Some(Head { sequence: seal.sequence, prev: seal.prev, time }))
}

/// Looks for the last complete record.
pub(super) fn tail(file: &File) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    let mut lines = Back::new(file.try_clone()?)?;
    while let Some((begin, line)) = lines.previous()? {
        if let Ok(seal) = chain::unseal(&line) {
            let end = End { sequence: seal.sequence, hash: seal.hash };
            return Ok(Tail { end: Some(end), cut: length - (begin + line.len() as u64 + 1) });
        }
    }
    Ok(Tail { end: None, cut: length })
}

/// Who wrote the last complete record.
pub(super) fn replica(file: &File) -> io::Result<Option<String>> {
    let mut lines = Back::new(file.try_clone()?)?;
    while let Some((_, line)) = lines.previous()? {
        if chain::unseal(&line).is_ok() {
            return Ok(members(&line).replica);
        }
    }
    Ok(None)
}

/// More than twice the longest record.
const WINDOW: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::audit::chain::NOTHING;
    use std::fs;

    fn records(count: u64) -> (Vec<u8>, End) {
        let (mut text, mut end) = (Vec::new(), NOTHING);
        for _ in 0..count {
            let from = text.len();
            end.begin(&mut text);
            text.extend_from_slice(br#","time":"2026-11-21T16:00:00.000001Z","kind":"stop""#);
            end.seal(&mut text, from, None);
        }
        (text, end)
    }

    fn read(name: &str, bytes: &[u8]) -> (Option<Head>, Tail) {
        let path = std::env::temp_dir().join(format!("clinch-tail-{name}-{}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        fs::remove_file(path).unwrap();
        (head(&file).unwrap(), tail(&file).unwrap())
    }

    #[test]
    fn the_last_complete_record_is_found_wherever_the_file_was_cut() {
        let (text, end) = records(3);
        let (before, last) = records(2);
        for length in before.len()..text.len() {
            let tail = read("cut", &text[..length]).1;
            assert_eq!(tail, Tail { end: Some(last), cut: (length - before.len()) as u64 }, "{length}");
        }
        let (head, tail) = read("whole", &text);
        assert_eq!(tail, Tail { end: Some(end), cut: 0 });
        let time = humantime::parse_rfc3339("2026-11-21T16:00:00.000001Z").unwrap();
        assert_eq!(head, Some(Head { sequence: 1, prev: chain::FIRST, time: Some(time) }));
    }

    #[test]
    fn what_is_no_record_is_passed_over_however_much_it_is() {
        let (text, end) = records(2);
        for rubbish in
            [vec![0; 3 * WINDOW], vec![b'\n'; 2 * WINDOW + 7], [vec![b'x'; WINDOW], vec![b'\n']].concat()]
        {
            let tail = read("rubbish", &[&text[..], &rubbish].concat()).1;
            assert_eq!(tail, Tail { end: Some(end), cut: rubbish.len() as u64 });
        }
        for none in [&b""[..], b"\n", b"{}\n", &text[1..100]] {
            let (head, tail) = read("none", none);
            assert_eq!((head, tail), (None, Tail { end: None, cut: none.len() as u64 }));
        }
    }

    #[test]
    fn a_record_that_lies_across_two_pieces_is_found() {
        let (text, end) = records(1);
        for more in 0..=text.len() {
            let rubbish = vec![b'x'; WINDOW - more];
            let tail = read("across", &[&text[..], &rubbish].concat()).1;
            assert_eq!(tail, Tail { end: Some(end), cut: rubbish.len() as u64 }, "{more}");
        }
    }
}
