//! The first line of a journal that was compacted: which file it continues.
//!
//! `{"compacted":{"device":1,"inode":2,"bytes":2097152,"kept":1024}}`: of the first `bytes` of that file, `kept` bytes
//! are left, and follow here. The line has the same length always, so that it can be written when all is known.

use super::lock::identity;
use serde_json::{Value, json};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Continued {
    /// Device and inode of the former journal.
    pub(super) of: (u64, u64),
    /// How much of it was looked at: all there was.
    pub(super) bytes: u64,
    /// How much of that follows.
    pub(super) kept: u64,
}

impl Continued {
    /// In bytes, with the newline.
    pub(super) const LENGTH: u64 = 160;

    pub(super) fn new(former: &Metadata, bytes: u64, kept: u64) -> Continued {
        Continued { of: identity(former), bytes, kept }
    }

    pub(super) fn line(&self) -> String {
        let Continued { of: (device, inode), bytes, kept } = self;
        let line = json!({ "compacted": {"device": device, "inode": inode, "bytes": bytes, "kept": kept} });
        format!("{:<1$}\n", line.to_string(), Continued::LENGTH as usize - 1)
    }

    pub(super) fn parse(line: &[u8]) -> Option<Continued> {
        let told: Value = if line.starts_with(b"{\"compacted\":") {
            serde_json::from_slice(line).ok()?
        } else {
            return None;
        };
        let number = |name: &str| told["compacted"][name].as_u64();
        let of = (number("device")?, number("inode")?);
        Some(Continued { of, bytes: number("bytes")?, kept: number("kept")? })
    }

    /// What a journal says of itself, if it does.
    pub(super) fn read(journal: &File) -> io::Result<Option<Continued>> {
        let mut line = [0; Continued::LENGTH as usize];
        match journal.read_exact_at(&mut line, 0) {
            Ok(()) => Ok(line.strip_suffix(b"\n").and_then(Continued::parse)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_fits_always() {
        for n in [0, 1, u64::MAX] {
            let continued = Continued { of: (n, n), bytes: n, kept: n };
            assert_eq!(continued.line().len() as u64, Continued::LENGTH);
            assert_eq!(Continued::parse(continued.line().trim_end().as_bytes()), Some(continued));
        }
        assert_eq!(Continued::parse(br#"{"compacted":true}"#), None);
        assert_eq!(Continued::parse(br#"{"id":"compacted"}"#), None);
    }
}
