//! The seal of a record: pure, and the same for whoever writes the log and whoever verifies it.
//!
//! A record is one line of JSON. Its first member is `seq`, and its last are
//! `"prev":"…","hash":"…"`, with `"signature":"…"` between them in a checkpoint:
//!
//! - `prev` is the `hash` of the record before, and [`FIRST`] in the first record of a chain;
//! - `signature` is Ed25519 (RFC 8032) over the line up to the comma before it;
//! - `hash` is SHA-256 over the line up to the comma before it.
//!
//! All three are base64url without padding. So each record vouches for all before it, and a signature does so to whoever
//! has the public key. What may be said in between is not decided here.

use crate::pop::sha256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The hash of a record, as text.
pub type Hash = [u8; 43];

/// What comes before the first record.
pub const FIRST: Hash = [b'A'; 43];

/// Makes the 64 bytes of a signature over what it is given.
pub type Sign<'a> = &'a dyn Fn(&[u8]) -> [u8; 64];

/// The end of a chain: what the next record is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The number of the last record; 0 if there is none.
    pub sequence: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The end of a chain that has not begun.
pub const NOTHING: End = End { sequence: 0, hash: FIRST };

impl End {
    /// Begins the next record: its sequence number. What follows is its other members, each after a comma.
    pub fn begin(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(br#"{"seq":"#);
        line.extend_from_slice(self.sequence.saturating_add(1).to_string().as_bytes());
    }

    /// Seals the record that began at `from` in `line`, line end included, and moves on to it.
    pub fn seal(&mut self, line: &mut Vec<u8>, from: usize, sign: Option<Sign<'_>>) {
        member(line, PREV, &self.hash);
        if let Some(sign) = sign {
            let signature = URL_SAFE_NO_PAD.encode(sign(&line[from..]));
            member(line, SIGNATURE, signature.as_bytes());
        }
        let hash = sha256::text(&sha256::of(&line[from..]));
        member(line, HASH, &hash);
        line.extend_from_slice(b"}\n");
        *self = End { sequence: self.sequence.saturating_add(1), hash };
    }
}

/// What the seal of a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// The number of the record.
    pub sequence: u64,
    /// The hash of the record before.
    pub prev: Hash,
    /// The hash of this one.
    pub hash: Hash,
    /// Of a checkpoint that is signed: what was signed, and the signature.
    pub signed: Option<(&'a [u8], [u8; 64])>,
}

/// What is wrong with a line by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not begin and end as records do.
    NoRecord,
    /// Its hash is that of another record.
    Hash,
}

/// Reads the seal of a line, without its line end, and checks the hash. Whether it follows the record before, and
/// whether the signature is good, is for the caller to see.
///
/// # Errors
/// The line is no record, or was changed.
pub fn unseal(line: &[u8]) -> Result<Seal<'_>, Broken> {
    let body = line.strip_suffix(b"}").ok_or(Broken::NoRecord)?;
    let (body, hash) = take(body, HASH).ok_or(Broken::NoRecord)?;
    let hash = Hash::try_from(hash).map_err(|_| Broken::NoRecord)?;
    if sha256::text(&sha256::of(body)) != hash {
        return Err(Broken::Hash);
    }
    let (body, signature) = match take(body, SIGNATURE) {
        Some((body, signature)) => (body, Some(signature)),
        None => (body, None),
    };
    let (_, prev) = take(body, PREV).ok_or(Broken::NoRecord)?;
    let signature = match signature {
        Some(text) => {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
            Some((body, bytes.ok_or(Broken::NoRecord)?))
        }
        None => None,
    };
    let prev = Hash::try_from(prev).ok().filter(is_base64url).ok_or(Broken::NoRecord)?;
    Ok(Seal { sequence: sequence(line).ok_or(Broken::NoRecord)?, prev, hash, signed: signature })
}

/// The number that the line begins with, as it is written: no sign, no zero in front.
pub(super) fn sequence(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(br#"{"seq":"#)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: u64 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    (rest.get(digits) == Some(&b',') && rest[0] != b'0' && number <= LAST).then_some(number)
}

/// No log has as many records: a greater number is none, so that counting on from any has no end to reach.
pub const LAST: u64 = u64::MAX >> 1;

/// Whether it is text of the alphabet of RFC 4648 section 5: a hash is shown to people.
fn is_base64url(hash: &Hash) -> bool {
    hash.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn member(line: &mut Vec<u8>, (name, _): Member, value: &[u8]) {
    line.extend_from_slice(name);
    line.extend_from_slice(value);
    line.push(b'"');
}

/// The value of a member that the text ends with, and what is before it.
fn take(text: &[u8], (name, length): Member) -> Option<(&[u8], &[u8])> {
    let text = text.strip_suffix(b"\"")?;
    let (before, value) = text.split_at_checked(text.len().checked_sub(length)?)?;
    Some((before.strip_suffix(name)?, value))
}

/// How a member begins, and how long its value is.
type Member = (&'static [u8], usize);
const PREV: Member = (br#","prev":""#, 43);
const SIGNATURE: Member = (br#","signature":""#, 86);
const HASH: Member = (br#","hash":""#, 43);

#[cfg(test)]
mod tests {
    use super::*;

    fn record(end: &mut End, members: &str, sign: Option<Sign<'_>>) -> Vec<u8> {
        let mut line = b"before".to_vec();
        end.begin(&mut line);
        line.extend_from_slice(members.as_bytes());
        end.seal(&mut line, 6, sign);
        assert_eq!(line.pop(), Some(b'\n'));
        line.split_off(6)
    }

    #[test]
    fn what_was_sealed_is_unsealed_and_follows() {
        let mut end = NOTHING;
        let one = record(&mut end, r#","kind":"start""#, None);
        let two = record(&mut end, r#","kind":"checkpoint""#, Some(&|_| [7; 64]));
        let (one, two) = (unseal(&one).unwrap(), unseal(&two).unwrap());
        assert_eq!((one.sequence, one.prev, one.signed), (1, FIRST, None));
        assert_eq!((two.sequence, two.prev), (2, one.hash));
        let (signed, signature) = two.signed.unwrap();
        assert!(signed.starts_with(br#"{"seq":2,"kind":"checkpoint","prev":""#) && signature == [7; 64]);
        assert_eq!(end, End { sequence: 2, hash: two.hash });
    }

    #[test]
    fn every_bit_of_a_line_counts() {
        let mut end = NOTHING;
        let line = record(&mut end, r#","kind":"checkpoint""#, Some(&|_| [7; 64]));
        for bit in 0..line.len() * 8 {
            let mut changed = line.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&changed).is_err(), "bit {bit}");
        }
        for length in 0..line.len() {
            assert!(unseal(&line[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_seal_is_made_of_base64url_and_of_numbers_that_can_be_counted_on() {
        let mut evil = End { sequence: 4, hash: FIRST };
        evil.hash[..4].copy_from_slice(b"\x1b[2J");
        assert_eq!(unseal(&record(&mut evil, "", None)), Err(Broken::NoRecord));
        let at = |sequence| {
            let mut end = End { sequence, hash: FIRST };
            unseal(&record(&mut end, "", None)).map(|seal| seal.sequence)
        };
        assert_eq!((at(LAST - 1), at(LAST)), (Ok(LAST), Err(Broken::NoRecord)));
        assert_eq!((at(u64::MAX - 1), at(u64::MAX)), (Err(Broken::NoRecord), Err(Broken::NoRecord)));
    }

    #[test]
    fn a_record_is_json() {
        let mut end = NOTHING;
        let line = record(&mut end, r#","kind":"stop""#, Some(&|_| [7; 64]));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&value["seq"], &value["kind"]), (&1.into(), &"stop".into()));
    }
}
