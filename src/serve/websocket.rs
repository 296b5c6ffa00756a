//! Where the frames of a WebSocket end (RFC 6455 section 5.2), and the frame that ends it all (section 5.5.1).
//!
//! A Close frame can only be put between two frames, so whoever may have to send one follows the lengths in their
//! headers. Nothing else of a frame is looked at or judged.

/// How far a direction of a WebSocket is within its current frame.
#[derive(Clone, Debug)]
pub(super) struct Frames(At);

#[derive(Clone, Debug)]
enum At {
    /// So many bytes of a header have come; none means between two frames.
    Header([u8; LONGEST_HEADER], usize),
    /// So many bytes of content are still to come.
    Content(u64),
    /// This is no WebSocket.
    Lost,
}

const START: At = At::Header([0; LONGEST_HEADER], 0);

impl Frames {
    /// Before the first frame.
    pub(super) fn new() -> Frames {
        Frames(START)
    }

    /// Whether the last frame is complete.
    pub(super) fn at_boundary(&self) -> bool {
        matches!(self.0, At::Header(_, 0))
    }

    /// These bytes have passed.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            bytes = &bytes[taken..];
        }
    }

    /// How many of the bytes to come belong to the frame that has begun.
    pub(super) fn rest_in(&self, bytes: &[u8]) -> usize {
        let (mut ahead, mut count) = (self.clone(), 0);
        while count < bytes.len() && !ahead.at_boundary() {
            count += ahead.step(&bytes[count..]);
        }
        count
    }

    /// Takes bytes of one frame at most, and at least one; how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match &mut self.0 {
            At::Header(header, got) => {
                header[*got] = bytes[0];
                *got += 1;
                if let Some(content) = content_length(&header[..*got]) {
                    self.0 = match content {
                        Ok(0) => START,
                        Ok(length) => At::Content(length),
                        Err(NoLength) => At::Lost,
                    };
                }
                1
            }
            At::Content(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                if *left == 0 {
                    self.0 = START;
                }
                taken
            }
            At::Lost => bytes.len(),
        }
    }
}

/// A length with its highest bit set (RFC 6455 section 5.2).
struct NoLength;

/// The length of the content, once the header is complete.
fn content_length(header: &[u8]) -> Option<Result<u64, NoLength>> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & MASKED == 0 { 0 } else { 4 };
    let length = header.get(2..2 + extended)?;
    header.get(2 + extended..2 + extended + mask)?;
    if extended == 0 {
        return Some(Ok(u64::from(second & 0x7f)));
    }
    let length = length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    Some(if length >> 63 == 0 { Ok(length) } else { Err(NoLength) })
}

/// A Close frame with a code and its reason in words, at most 123 bytes. A client's is masked (RFC 6455 section 5.3).
pub(super) fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut content = code.to_be_bytes().to_vec();
    content.extend_from_slice(reason.as_bytes());
    content.truncate(125);
    let length = content.len() as u8; // at most 125
    let mut frame = vec![0x88, length];
    if let Some(mask) = mask {
        frame[1] |= MASKED;
        frame.extend_from_slice(&mask);
        content.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    frame.extend_from_slice(&content);
    frame
}

/// Going away (RFC 6455 section 7.4.1).
pub(super) const GOING_AWAY: u16 = 1001;
/// Policy violation.
pub(super) const POLICY_VIOLATION: u16 = 1008;

const MASKED: u8 = 0x80;
const LONGEST_HEADER: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of this much content, as a server or a client would send it.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { MASKED } else { 0 };
        let mut frame = match length {
            0..126 => vec![0x82, mask | length as u8],
            126..65536 => [&[0x82, mask | 126], &(length as u16).to_be_bytes()[..]].concat(),
            _ => [&[0x82, mask | 127], &(length as u64).to_be_bytes()[..]].concat(),
        };
        frame.extend(vec![7; length + if masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn every_length_ends_where_it_ends_however_it_is_cut_up() {
        let lengths = [0, 1, 125, 126, 127, 65535, 65536, 70000];
        for masked in [false, true] {
            let all: Vec<u8> = lengths.iter().flat_map(|length| frame(*length, masked)).collect();
            for piece in [1, 2, 3, 7, 1000, all.len()] {
                let (mut frames, mut ends, mut at) = (Frames::new(), Vec::new(), 0);
                for bytes in all.chunks(piece) {
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        let begins = frames.at_boundary();
                        if begins {
                            ends.push(at);
                            assert_eq!(frames.rest_in(rest), 0);
                        }
                        let one = if begins { 1 } else { frames.rest_in(rest) };
                        frames.advance(&rest[..one]);
                        (at, rest) = (at + one, &rest[one..]);
                    }
                }
                assert!(frames.at_boundary());
                let starts: Vec<usize> = lengths
                    .iter()
                    .scan(0, |at, length| Some(std::mem::replace(at, *at + frame(*length, masked).len())))
                    .collect();
                assert_eq!(ends, starts, "in pieces of {piece}, masked: {masked}");
            }
        }
    }

    #[test]
    fn a_length_that_is_none_has_no_end() {
        let mut frames = Frames::new();
        frames.advance(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!(!frames.at_boundary());
        assert_eq!(frames.rest_in(b"anything"), 8);
    }

    #[test]
    fn a_close_frame_has_its_code_its_reason_and_its_mask() {
        assert_eq!(close(1008, "no", None), [0x88, 4, 0x03, 0xf0, b'n', b'o']);
        let masked = close(1008, "no", Some([1, 2, 3, 4]));
        assert_eq!(masked, [0x88, 0x84, 1, 2, 3, 4, 0x03 ^ 1, 0xf0 ^ 2, b'n' ^ 3, b'o' ^ 4]);
        let mut frames = Frames::new();
        frames.advance(&close(1001, &"x".repeat(500), Some([9; 4])));
        assert!(frames.at_boundary(), "a control frame is never longer than 125 bytes");
    }
}
