//! Lines of a file, one at a time and none longer than a record can be: whatever the file, the memory is the same.

use std::io::{self, BufRead, Read as _};

/// The most bytes of a record, line end included. A longer line is none.
pub const LONGEST: usize = 64 * 1024;

/// What the next line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line, without its end.
    Whole(&'a [u8]),
    /// The file ends within it.
    Partial(&'a [u8]),
    /// Longer than a record can be; it was skipped.
    TooLong,
    /// There is none.
    End,
}

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The number of the line that was read last, from 1.
    pub number: u64,
    /// How many bytes there are up to the end of the last whole line.
    pub ended: u64,
    /// How many bytes were read.
    pub read: u64,
}

impl<R: BufRead> Lines<R> {
    /// Begins where `input` stands.
    pub fn new(input: R) -> Lines<R> {
        Lines { input, buffer: Vec::with_capacity(1024), number: 0, ended: 0, read: 0 }
    }

    /// The next line.
    ///
    /// # Errors
    /// It can't be read.
    #[allow(clippy::should_implement_trait, reason = "it lends what it reads, and an iterator can't")]
    pub fn next(&mut self) -> io::Result<Line<'_>> {
        self.buffer.clear();
        let mut bounded = self.input.by_ref().take(LONGEST as u64 + 1);
        if bounded.read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(Line::End);
        }
        self.number += 1;
        self.read += self.buffer.len() as u64;
        if self.buffer.len() > LONGEST {
            if self.buffer.last() != Some(&b'\n') {
                self.skip()?;
            }
            self.ended = self.read;
            return Ok(Line::TooLong);
        }
        Ok(match self.buffer.split_last() {
            Some((b'\n', line)) => {
                self.ended = self.read;
                Line::Whole(line)
            }
            Some(_) | None => Line::Partial(&self.buffer),
        })
    }

    /// Goes to the end of the line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let here = self.input.fill_buf()?;
            if here.is_empty() {
                return Ok(());
            }
            if let Some(at) = here.iter().position(|byte| *byte == b'\n') {
                self.input.consume(at + 1);
                self.read += at as u64 + 1;
                return Ok(());
            }
            let all = here.len();
            self.input.consume(all);
            self.read += all as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_partial_or_too_long() {
        let long = vec![b'x'; 3 * LONGEST];
        let text =
            [&b"a\n\n"[..], &long, b"\n", &long[..LONGEST - 1], b"\n", &long[..LONGEST], b"\nend"].concat();
        let mut lines = Lines::new(io::BufReader::with_capacity(100, text.as_slice()));
        assert_eq!(lines.next().unwrap(), Line::Whole(b"a"));
        assert_eq!(lines.next().unwrap(), Line::Whole(b""));
        assert_eq!(lines.next().unwrap(), Line::TooLong);
        assert_eq!(lines.next().unwrap(), Line::Whole(&long[..LONGEST - 1]));
        assert_eq!(lines.next().unwrap(), Line::TooLong);
        assert_eq!(lines.next().unwrap(), Line::Partial(b"end"));
        assert_eq!(lines.next().unwrap(), Line::End);
        assert_eq!((lines.number, lines.ended), (6, text.len() as u64 - 3));
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory() {
        let endless = io::BufReader::new(io::repeat(b'x').take(10 << 20));
        let mut lines = Lines::new(endless);
        assert_eq!(lines.next().unwrap(), Line::TooLong);
        assert_eq!(lines.next().unwrap(), Line::End);
        assert!(lines.buffer.capacity() < 4 * LONGEST);
    }
}
