//! Lines of a file from the last to the first, in constant memory. What comes after the last line end is left out.

use super::verify::LONGEST;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Reads lines backward.
#[derive(Debug)]
pub(crate) struct Back {
    file: File,
    /// Where `buffer` begins in the file.
    start: u64,
    /// What was read and not yet given. Once the first line end was found it ends with one.
    buffer: Vec<u8>,
    ended: bool,
}

impl Back {
    /// From the end that the file has now.
    pub(crate) fn new(file: File) -> io::Result<Back> {
        let start = file.metadata()?.len();
        Ok(Back { file, start, buffer: Vec::new(), ended: false })
    }

    /// The line before, without its end, and where it begins. A line that is too long for a record is left out.
    pub(crate) fn previous(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let within = self.buffer.len() - usize::from(self.ended);
            if let Some(at) = self.buffer[..within].iter().rposition(|byte| *byte == b'\n') {
                let line = self.buffer.split_off(at + 1);
                if std::mem::replace(&mut self.ended, true) {
                    let begin = self.start + at as u64 + 1;
                    return Ok(Some((begin, line[..line.len() - 1].to_vec())));
                }
            } else if self.start > 0 {
                self.more()?;
            } else if self.ended && !self.buffer.is_empty() {
                self.ended = false;
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some((0, line[..line.len() - 1].to_vec())));
            } else {
                return Ok(None);
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let size = self.start.min(BLOCK);
        let mut block = vec![0; usize::try_from(size).unwrap_or_default()];
        self.start -= size;
        self.file.read_exact_at(&mut block, self.start)?;
        if self.buffer.len() > LONGEST {
            // No record: what is known of it is forgotten, and what comes before its beginning ends there.
            self.ended = false;
            self.buffer.clear();
        }
        block.append(&mut self.buffer);
        self.buffer = block;
        Ok(())
    }
}

const BLOCK: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn lines(text: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let path = std::env::temp_dir().join(format!("clinch-back-{}-{}", std::process::id(), text.len()));
        File::create(&path).unwrap().write_all(text).unwrap();
        let mut back = Back::new(File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        std::iter::from_fn(|| back.previous().unwrap()).collect()
    }

    #[test]
    fn lines_come_from_the_last_to_the_first() {
        let found = lines(b"one\n\nthree\npart");
        assert_eq!(found, [(5, b"three".to_vec()), (4, Vec::new()), (0, b"one".to_vec())]);
        assert!(lines(b"").is_empty() && lines(b"part").is_empty());
        assert_eq!(lines(b"\n"), [(0, Vec::new())]);
    }

    #[test]
    fn blocks_do_not_show() {
        let text: Vec<u8> = (0..30_000).flat_map(|at| format!("line {at}\n").into_bytes()).collect();
        let found = lines(&text);
        assert_eq!(found.len(), 30_000);
        assert!(
            found.iter().rev().enumerate().all(|(at, (_, line))| *line == format!("line {at}").into_bytes())
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let long = vec![b'x'; 5 * LONGEST];
        let found = lines(&[&b"one\n"[..], &long, b"\nlast line\n"].concat());
        assert_eq!(
            found.iter().map(|(_, line)| line.len()).filter(|length| *length < 100).collect::<Vec<_>>(),
            [9, 3]
        );
        assert!(found.iter().all(|(_, line)| line.len() <= 2 * LONGEST));
    }
}
