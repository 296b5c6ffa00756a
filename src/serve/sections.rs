//! Whether a header section of HTTP/2 has begun and is not complete, as the frames that come tell (RFC 9113 section 6.10).
//!
//! hyper tells of a request when all of its head is there. Until then its client keeps what has come of it in memory, and
//! nothing else can come on the connection: no window, no ping, no end of another stream. So somebody has to keep the
//! time (DS-002), whatever else is open there. Frames are taken as they say they are; what is wrong about them is the
//! protocol's to find.

/// How far the frames are.
#[derive(Debug)]
pub(super) struct Sections {
    /// Of the connection's preface or a frame's payload.
    left: usize,
    head: [u8; HEAD],
    known: usize,
    is_open: bool,
    /// The payload that is coming completes the section.
    is_last: bool,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// A section has been completed.
    pub(super) ended: bool,
    /// One is not complete.
    pub(super) open: bool,
}

impl Sections {
    /// Of a connection that has just begun.
    pub(super) fn new() -> Sections {
        Sections { left: PREFACE, head: [0; HEAD], known: 0, is_open: false, is_last: false }
    }

    /// Takes what has come.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Seen {
        let mut ended = false;
        while !bytes.is_empty() {
            let wanted = if self.left > 0 { self.left } else { HEAD - self.known };
            let (came, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.left > 0 {
                self.left -= came.len();
            } else {
                let known = self.known + came.len();
                self.head[self.known..known].copy_from_slice(came);
                self.known = known % HEAD;
                if known < HEAD {
                    continue;
                }
                self.begin_frame();
            }
            if self.left == 0 && self.is_last {
                (self.is_open, self.is_last, ended) = (false, false, true);
            }
        }
        Seen { ended, open: self.is_open }
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let is_of_section = kind == HEADERS || kind == CONTINUATION;
        self.is_open |= is_of_section;
        self.is_last = is_of_section && flags & END_HEADERS != 0;
    }
}

/// RFC 9113 sections 3.4 and 4.1, in bytes.
const PREFACE: usize = 24;
const HEAD: usize = 9;

/// RFC 9113 sections 6.2 and 6.10.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![b'x'; usize::from(length)]].concat()
    }

    /// DS-002
    #[test]
    fn a_section_is_open_until_its_last_byte_however_it_is_cut() {
        let data = frame(0, 1, 200);
        let (begun, goes_on, last) = (frame(1, 1, 50), frame(9, 0, 0), frame(9, END_HEADERS, 20));
        let whole = frame(1, END_HEADERS | 1, 30);
        let all = [vec![b'p'; PREFACE], data.clone(), begun, goes_on, last, data, whole].concat();
        let begins_at = PREFACE + HEAD + 200;
        let ends_at = begins_at + HEAD + 50 + HEAD + HEAD + 20;
        for at in 0..all.len() {
            let mut sections = Sections::new();
            let first = sections.read(&all[..at]);
            let is_in_first = (begins_at + HEAD..ends_at).contains(&at);
            let is_in_last = at >= all.len() - 30;
            assert_eq!(first.open, is_in_first || is_in_last, "{at}");
            assert_eq!(first.ended, at >= ends_at, "{at}");
            assert_eq!(sections.read(&all[at..]), Seen { ended: true, open: false }, "{at}");
        }
        let mut sections = Sections::new();
        let seen: Vec<Seen> = all.chunks(1).map(|byte| sections.read(byte)).collect();
        assert_eq!(seen.iter().filter(|seen| seen.ended).count(), 2);
    }
}
