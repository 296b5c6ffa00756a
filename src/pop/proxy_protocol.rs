//! The header with which a load balancer begins a connection to say whose it is: the PROXY protocol of HAProxy,
//! versions 1 (text) and 2 (binary).
//!
//! Decides what a header says, and where it ends: every byte after it belongs to the client. Read strictly and within
//! bounds, because what stands here becomes the client's address (DS-024). Does not decide who may send one; that is
//! `listen.proxy_protocol_from`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// That of a client at this address.
    Client(SocketAddr),
    /// The balancer's own (its health checks), or one of which it can't say: the connection's address counts.
    Nobody,
}

/// The versions, as the first bytes tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text that ends with CR LF.
    One,
    /// Sixteen bytes, the last two of which say how many follow.
    Two,
}

/// Why there is no header to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something else: it may be the client's own TLS.
    Absent,
    /// A header with an error in it.
    Malformed,
    /// More than a header needs.
    TooLong,
    /// Its checksum is another one.
    Checksum,
}

impl Fault {
    /// The label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Absent => "absent",
            Fault::Malformed => "malformed",
            Fault::TooLong => "too_long",
            Fault::Checksum => "checksum",
        }
    }
}

/// How many bytes [`version`] wants: no header is shorter.
pub const FIRST: usize = 12;
/// How many bytes [`rest_of_binary`] wants.
pub const FIXED: usize = 16;
/// The longest line of version 1, with its end.
pub const LONGEST_LINE: usize = 107;
/// The most that may follow the fixed part of version 2: addresses take 36 bytes, and a certificate's name some hundred.
pub const LONGEST_REST: usize = 4096;

/// Which version begins like this.
///
/// # Errors
/// [`Fault::Absent`]
pub fn version(first: &[u8; FIRST]) -> Result<Version, Fault> {
    match first {
        SIGNATURE => Ok(Version::Two),
        [b'P', b'R', b'O', b'X', b'Y', b' ', ..] => Ok(Version::One),
        _ => Err(Fault::Absent),
    }
}

/// A whole line of version 1, with its end.
///
/// # Errors
/// [`Fault::Malformed`], [`Fault::TooLong`]
pub fn text(line: &[u8]) -> Result<Told, Fault> {
    if line.len() > LONGEST_LINE {
        return Err(Fault::TooLong);
    }
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.ok_or(Fault::Malformed)?.split(' ');
    if words.next() != Some("PROXY") {
        return Err(Fault::Malformed);
    }
    let client = match words.next() {
        // Whatever comes after it is to be ignored.
        Some("UNKNOWN") => return Ok(Told::Nobody),
        Some("TCP4") => addresses::<Ipv4Addr>(&mut words),
        Some("TCP6") => addresses::<Ipv6Addr>(&mut words),
        _ => None,
    };
    if words.next().is_some() {
        return Err(Fault::Malformed);
    }
    client.map(Told::Client).ok_or(Fault::Malformed)
}

/// Source address, destination address, source port, destination port.
fn addresses<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<SocketAddr> {
    let source: A = words.next()?.parse().ok()?;
    let _destination: A = words.next()?.parse().ok()?;
    let ports = [port(words.next()?)?, port(words.next()?)?];
    Some(client(source.into(), ports[0]))
}

/// Without sign and leading zeros.
fn port(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// How many bytes follow the fixed part of version 2.
///
/// # Errors
/// [`Fault::TooLong`], [`Fault::Malformed`]
pub fn rest_of_binary(fixed: &[u8; FIXED]) -> Result<usize, Fault> {
    let rest = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if fixed[12] >> 4 != 2 {
        return Err(Fault::Malformed);
    }
    if rest > LONGEST_REST { Err(Fault::TooLong) } else { Ok(rest) }
}

/// A whole header of version 2.
///
/// # Errors
/// Each [`Fault`].
pub fn binary(header: &[u8]) -> Result<Told, Fault> {
    let (fixed, rest) = header.split_first_chunk::<FIXED>().ok_or(Fault::Malformed)?;
    let signature = fixed.first_chunk::<FIRST>().ok_or(Fault::Malformed)?;
    if version(signature)? != Version::Two || rest_of_binary(fixed)? != rest.len() {
        return Err(Fault::Malformed);
    }
    match fixed[12] & 0xf {
        0 => return Ok(Told::Nobody), // LOCAL: the rest is to be discarded
        1 => {}
        _ => return Err(Fault::Malformed),
    }
    let (told, more) = match fixed[13] {
        0x00 => return Ok(Told::Nobody),
        0x11 => {
            let (block, more) = rest.split_first_chunk::<12>().ok_or(Fault::Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *block;
            let port = u16::from_be_bytes([high, low]);
            (Told::Client(client(Ipv4Addr::new(a, b, c, d).into(), port)), more)
        }
        0x21 => {
            let (block, more) = rest.split_first_chunk::<36>().ok_or(Fault::Malformed)?;
            let source: [u8; 16] = *block.first_chunk().ok_or(Fault::Malformed)?;
            let port = u16::from_be_bytes([block[32], block[33]]);
            (Told::Client(client(Ipv6Addr::from(source).into(), port)), more)
        }
        // A Unix socket at the balancer: no address of the network.
        0x31 => (Told::Nobody, rest.get(216..).ok_or(Fault::Malformed)?),
        // Datagrams do not come over TCP, and there is nothing else.
        _ => return Err(Fault::Malformed),
    };
    check_extensions(header, more)?;
    Ok(told)
}

/// Types, lengths and values up to the end. Nothing is taken from them but the checksum, where there is one.
fn check_extensions(header: &[u8], mut more: &[u8]) -> Result<(), Fault> {
    while let Some((head, after)) = more.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (value, next) = after.split_at_checked(length).ok_or(Fault::Malformed)?;
        if head[0] == CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_| Fault::Malformed)?;
            let at = header.len() - after.len();
            let blanked =
                header.iter().enumerate().map(|(i, b)| if (at..at + 4).contains(&i) { 0 } else { *b });
            if crc32c(blanked) != u32::from_be_bytes(told) {
                return Err(Fault::Checksum);
            }
        }
        more = next;
    }
    if more.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
}

/// RFC 3720 appendix B.4, bit by bit: a header is short, and comes once in a connection.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// IPv4 is IPv4, however the balancer's socket was made.
fn client(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

const SIGNATURE: &[u8; FIRST] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PP2_TYPE_CRC32C`
const CRC32C: u8 = 0x03;

#[cfg(test)]
mod tests;
