//! Whose connection it is: the peer's, or that of a client of whom a load balancer in front of us tells
//! ([`pop::proxy_protocol`](crate::pop::proxy_protocol)).
//!
//! Only the networks of `listen.proxy_protocol_from` are asked, and they must tell: one that has nothing to say is not
//! believed to be the client itself. From everybody else the first byte is TLS. Not one byte of the client's is read
//! here: the header's end is known before it is reached.

use crate::pop::proxy_protocol::{self, FIRST, FIXED, Fault, LONGEST_LINE, Told, Version};
use ipnet::IpNet;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The client: what logs, limits and `Forwarded` speak of.
    pub(super) client: SocketAddr,
    /// The other end of the connection.
    pub(super) peer: SocketAddr,
    /// Whether the peer passes on what may be somebody else's bytes.
    pub(super) relayed: bool,
}

impl Source {
    /// Reads the header of those who send one. The caller limits its time.
    ///
    /// # Errors
    /// Why the connection must be closed: `InvalidData` with a [`Fault`], or what befell the connection.
    pub(super) async fn of(
        peer: SocketAddr,
        balancers: &[IpNet],
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Source> {
        let address = peer.ip().to_canonical();
        if !balancers.iter().any(|network| network.contains(&address)) {
            return Ok(Source { client: peer, peer, relayed: false });
        }
        let told =
            read(stream).await?.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, Reason(fault)))?;
        let client = match told {
            Told::Client(client) => client,
            Told::Nobody => peer,
        };
        Ok(Source { client, peer, relayed: true })
    }
}

/// Reads a header to its end (DS-024).
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Told, Fault>> {
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header[..FIRST]).await?;
    match header.first_chunk().map_or(Err(Fault::Absent), proxy_protocol::version) {
        Ok(Version::One) => {
            header.truncate(FIRST);
            while !header.ends_with(b"\r\n") && header.len() < LONGEST_LINE {
                header.push(stream.read_u8().await?);
            }
            Ok(if header.ends_with(b"\r\n") { proxy_protocol::text(&header) } else { Err(Fault::TooLong) })
        }
        Ok(Version::Two) => {
            stream.read_exact(&mut header[FIRST..]).await?;
            let rest = header.first_chunk().map_or(Err(Fault::Malformed), proxy_protocol::rest_of_binary);
            let rest = match rest {
                Ok(rest) => rest,
                Err(fault) => return Ok(Err(fault)),
            };
            header.resize(FIXED + rest, 0);
            stream.read_exact(&mut header[FIXED..]).await?;
            Ok(proxy_protocol::binary(&header))
        }
        Err(fault) => Ok(Err(fault)),
    }
}

/// Why nothing was told: the label of a metric, one of a closed set.
pub(super) fn failure(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Reason>()) {
        Some(Reason(fault)) => fault.as_str(),
        None if error.kind() == io::ErrorKind::TimedOut => "timeout",
        None => "broken_off",
    }
}

/// A fault as an error.
#[derive(Debug)]
struct Reason(Fault);

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no PROXY protocol header to believe: {}", self.0.as_str())
    }
}

impl std::error::Error for Reason {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(peer: &str, mut bytes: &[u8]) -> (io::Result<Source>, usize) {
        let balancers = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let source = Source::of(peer.parse().unwrap(), &balancers, &mut bytes).await;
        (source, bytes.len())
    }

    /// DS-024
    #[tokio::test]
    async fn only_balancers_are_asked_and_the_clients_bytes_are_left() {
        let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 12345 443\r\nTLS";
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\x30\x39\x01\xbbTLS";
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0TLS";
        for peer in ["10.1.2.3:7", "[::ffff:10.1.2.3]:7", "[fd00::1]:7"] {
            for (header, client) in [(&v1[..], "192.0.2.1:12345"), (v2, "192.0.2.1:12345"), (local, peer)] {
                let (source, left) = of(peer, header).await;
                let (client, peer) = (client.parse().unwrap(), peer.parse().unwrap());
                assert_eq!(source.unwrap(), Source { client, peer, relayed: true });
                assert_eq!(left, 3);
            }
        }
        let (source, left) = of("192.0.2.9:7", v1).await;
        let peer = "192.0.2.9:7".parse().unwrap();
        assert_eq!(source.unwrap(), Source { client: peer, peer, relayed: false });
        assert_eq!(left, v1.len(), "not a byte is read");
    }

    /// DS-024
    #[tokio::test]
    async fn a_balancer_that_does_not_tell_is_refused_with_a_reason() {
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0];
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 9_000]].concat();
        for (bytes, reason) in [
            (&hello[..], "absent"),
            (b"PROXY TCP4 a b c d\r\n", "malformed"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x02ab", "malformed"),
            (&endless, "too_long"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "too_long"),
            (b"PROXY UNKNOWN", "broken_off"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "broken_off"),
            (b"", "broken_off"),
        ] {
            let (source, left) = of("10.1.2.3:7", bytes).await;
            assert_eq!(failure(&source.unwrap_err()), reason, "{bytes:?}");
            assert!(
                left == 0 || bytes.len() - left <= LONGEST_LINE,
                "no more is read than a header can have"
            );
        }
    }
}
