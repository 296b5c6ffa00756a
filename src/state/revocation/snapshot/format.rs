//! The bytes of a snapshot. All numbers are little-endian.
//!
//! `CLNCHREV`, version `u32`, basis (32 bytes), time of writing (`i64`, seconds), secret (2 `u64`), position
//! (`u32` length, bytes), shapes (`u16` count; each `u8` number, `u16` named, `u16` present), entries (each `u64` tag,
//! `u64` mark, `u32` until), a tag of 0, the count of entries (`u64`), SHA-256 over everything before it.

use super::Restored;
use crate::pop::Timestamp;
use crate::state::revocation::index::carried::{Carried, Restoring, Unfit};
use crate::state::revocation::index::{Secret, Shape};
use aws_lc_rs::digest::{Context, SHA256};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

/// What comes before the entries.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) basis: [u8; 32],
    pub(super) written: Timestamp,
    pub(super) secret: Secret,
    pub(super) position: Vec<u8>,
    pub(super) shapes: Vec<(u8, Shape)>,
}

/// Why a snapshot is not believed.
#[derive(Debug)]
pub(in crate::state::revocation) enum Refused {
    /// There is none, which is no fault.
    Missing,
    Unreadable(io::Error),
    OthersMayWrite,
    NotASnapshot,
    Version(u32),
    Truncated,
    Damaged,
    OtherConfig,
    FromTheFuture,
    Full,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Missing => "there is none",
            Refused::Unreadable(error) => return write!(f, "it can't be read: {error}"),
            Refused::OthersMayWrite => "others than its owner may write it",
            Refused::NotASnapshot => "it is no snapshot",
            Refused::Version(version) => return write!(f, "it is of version {version}, not {VERSION}"),
            Refused::Truncated => "it is not complete",
            Refused::Damaged => "its checksum or its content is wrong",
            Refused::OtherConfig => "it was written for another feed, or for other issuers or lifetimes",
            Refused::FromTheFuture => "it was written later than now: the clock was set back",
            Refused::Full => "it has more entries than max_entries",
        })
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        if error.kind() == io::ErrorKind::NotFound {
            Refused::Missing
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            Refused::Truncated
        } else {
            Refused::Unreadable(error)
        }
    }
}

/// Writes a snapshot and makes it durable. What is in the file is not to be believed before this returns.
pub(super) fn write(file: File, header: &Header, entries: impl Iterator<Item = Carried>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, Summed { inner: file, sum: Context::new(&SHA256) });
    out.write_all(&header.to_bytes())?;
    let mut count: u64 = 0;
    for Carried { tag, mark, until } in entries {
        out.write_all(&tag.to_le_bytes())?;
        out.write_all(&mark.to_le_bytes())?;
        out.write_all(&until.to_le_bytes())?;
        count += 1;
    }
    out.write_all(&0u64.to_le_bytes())?;
    out.write_all(&count.to_le_bytes())?;
    let Summed { mut inner, sum } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    inner.write_all(sum.finish().as_ref())?;
    inner.sync_all()
}

/// Reads a snapshot through a buffer of fixed size. Nothing of it is handed on before the checksum is right.
pub(super) fn read(
    mut file: File,
    basis: &[u8; 32],
    max_entries: usize,
    now: Timestamp,
) -> Result<Restored, Refused> {
    let length = file.metadata()?.len().checked_sub(SUM).ok_or(Refused::Truncated)?;
    let summed = Summed { inner: (&mut file).take(length), sum: Context::new(&SHA256) };
    let mut content = BufReader::with_capacity(BUFFER, summed);
    let header = Header::read(&mut content)?;
    if header.basis != *basis {
        return Err(Refused::OtherConfig);
    }
    if header.written > now {
        return Err(Refused::FromTheFuture);
    }
    let mut restoring = Restoring::new(max_entries, header.secret, &header.shapes, now);
    let mut count: u64 = 0;
    loop {
        let tag = u64::from_le_bytes(bytes(&mut content)?);
        if tag == 0 {
            break;
        }
        let mark = u64::from_le_bytes(bytes(&mut content)?);
        let until = u32::from_le_bytes(bytes(&mut content)?);
        restoring.take(Carried { tag, mark, until }).map_err(|unfit| match unfit {
            Unfit::Shape => Refused::Damaged,
            Unfit::Full => Refused::Full,
        })?;
        count += 1;
    }
    let told = u64::from_le_bytes(bytes(&mut content)?);
    let is_over = content.read(&mut [0])? == 0;
    let sum = content.into_inner().sum.finish();
    if told != count || !is_over || bytes::<32>(&mut file)? != sum.as_ref() {
        return Err(Refused::Damaged);
    }
    Ok(Restored { index: restoring.finish(), position: header.position })
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.basis);
        bytes.extend(self.written.as_secs().to_le_bytes());
        bytes.extend(self.secret.0.iter().flat_map(|half| half.to_le_bytes()));
        bytes.extend((self.position.len() as u32).to_le_bytes());
        bytes.extend(&self.position);
        bytes.extend((self.shapes.len() as u16).to_le_bytes());
        for (number, Shape { named, present }) in &self.shapes {
            bytes.push(*number);
            bytes.extend(named.to_le_bytes());
            bytes.extend(present.to_le_bytes());
        }
        bytes
    }

    fn read(content: &mut impl Read) -> Result<Header, Refused> {
        if bytes(content)? != *MAGIC {
            return Err(Refused::NotASnapshot);
        }
        let version = u32::from_le_bytes(bytes(content)?);
        if version != VERSION {
            return Err(Refused::Version(version));
        }
        let basis = bytes(content)?;
        let written = Timestamp::from_secs(i64::from_le_bytes(bytes(content)?));
        let secret = Secret([u64::from_le_bytes(bytes(content)?), u64::from_le_bytes(bytes(content)?)]);
        let length = u32::from_le_bytes(bytes(content)?) as usize;
        if length > LONGEST_POSITION {
            return Err(Refused::Damaged);
        }
        let mut position = vec![0; length];
        content.read_exact(&mut position)?;
        let count = u16::from_le_bytes(bytes(content)?);
        let shapes = (0..count).map(|_| shape(content)).collect::<Result<_, _>>()?;
        Ok(Header { basis, written, secret, position, shapes })
    }
}

fn shape(content: &mut impl Read) -> Result<(u8, Shape), Refused> {
    let [number] = bytes(content)?;
    let (named, present) = (u16::from_le_bytes(bytes(content)?), u16::from_le_bytes(bytes(content)?));
    Ok((number, Shape { named, present }))
}

fn bytes<const N: usize>(content: &mut impl Read) -> Result<[u8; N], Refused> {
    let mut bytes = [0; N];
    content.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Passes bytes on and sums them up.
struct Summed<T> {
    inner: T,
    sum: Context,
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sum.update(&bytes[..read]);
        Ok(read)
    }
}

const MAGIC: &[u8; 8] = b"CLNCHREV";
/// Of this layout, and of how keys are hashed.
const VERSION: u32 = 1;
const SUM: u64 = 32;
const BUFFER: usize = 64 * 1024;
/// A feed's position is a handful of bytes.
const LONGEST_POSITION: usize = 64 * 1024;
