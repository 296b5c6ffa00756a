//! What the service is told about the connection: Forwarded (RFC 7239), its X- relatives and Via
//! (RFC 9110 section 7.6.3).
//!
//! What the client says about itself is gone by then: it is not a trusted proxy (RFC 7239 section 8.1).

use crate::pop::target_uri::Origin;
use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// One public origin as header values.
#[derive(Debug)]
pub(super) struct PublicHost {
    host: HeaderValue,
}

/// The values of one connection, written once: one `Forwarded` for each public origin.
#[derive(Debug)]
pub(super) struct Hop {
    forwarded: Vec<HeaderValue>,
    forwarded_for: HeaderValue,
}

/// Our name in `Via`: chosen at random when the process starts, so that a chain of sidecars is no loop.
#[derive(Debug)]
pub(super) struct Pseudonym {
    name: String,
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl PublicHost {
    pub(super) fn of(origin: &Origin) -> anyhow::Result<PublicHost> {
        Ok(PublicHost { host: HeaderValue::from_str(origin.authority())? })
    }
}

impl Hop {
    pub(super) fn new(peer: SocketAddr, hosts: &[PublicHost]) -> Hop {
        let address = peer.ip().to_canonical();
        Hop {
            forwarded: hosts.iter().map(|public| forwarded(address, &public.host)).collect(),
            forwarded_for: value(address.to_string()),
        }
    }

    /// Writes `Host`, `Forwarded` and its relatives, for the public origin of this index: none of it is what the
    /// client said (HTTP-02, HTTP-38, H2-01).
    pub(super) fn write(&self, hosts: &[PublicHost], origin: usize, headers: &mut HeaderMap) {
        headers.insert(header::HOST, hosts[origin].host.clone());
        headers.insert(header::FORWARDED, self.forwarded[origin].clone());
        headers.insert(X_FORWARDED_FOR, self.forwarded_for.clone());
        headers.insert(X_FORWARDED_PROTO, HTTPS);
        headers.insert(X_FORWARDED_HOST, hosts[origin].host.clone());
    }
}

impl Pseudonym {
    /// From random bytes.
    pub(super) fn new(random: u64) -> Pseudonym {
        let name = format!("clinch-{random:016x}");
        Pseudonym {
            http10: value(format!("1.0 {name}")),
            http11: value(format!("1.1 {name}")),
            http2: value(format!("2.0 {name}")),
            name,
        }
    }
    /// Whether the message has been here before (HTTP-11).
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::VIA).iter().any(|via| {
            via.as_bytes().split(|b| *b == b',').any(|hop| {
                let mut words = hop.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
                words.nth(1) == Some(self.name.as_bytes())
            })
        })
    }
    /// Adds ourselves to the hops before us (HTTP-10).
    pub(super) fn write(&self, received: Version, headers: &mut HeaderMap) {
        let via = match received {
            Version::HTTP_10 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        };
        headers.append(header::VIA, via.clone());
    }
}

/// RFC 7239 section 6: what is not a token is quoted, and IPv6 addresses stand in brackets.
fn forwarded(address: IpAddr, host: &HeaderValue) -> HeaderValue {
    let node = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let host = host.to_str().unwrap_or_default();
    let quote = if host.contains([':', '[']) { "\"" } else { "" };
    value(format!("for={node};host={quote}{host}{quote};proto=https"))
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("addresses, checked hosts and our own name are visible ASCII")
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const HTTPS: HeaderValue = HeaderValue::from_static("https");

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&'static str]) -> Vec<PublicHost> {
        names.iter().map(|name| PublicHost { host: HeaderValue::from_static(name) }).collect()
    }
    fn written(peer: &str, host: &'static str) -> HeaderMap {
        let hosts = hosts(&["other.example", host]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("what.the.client.said"));
        Hop::new(peer.parse().expect("an address"), &hosts).write(&hosts, 1, &mut headers);
        headers
    }

    /// HTTP-02, HTTP-38
    #[test]
    fn ipv4_and_a_plain_host_need_no_quotes() {
        let headers = written("192.0.2.7:5555", "api.example.com");
        assert_eq!(headers["forwarded"], "for=192.0.2.7;host=api.example.com;proto=https");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "api.example.com");
        assert_eq!(headers.get_all("host").iter().collect::<Vec<_>>(), ["api.example.com"]);
    }

    #[test]
    fn ipv6_and_ports_are_quoted() {
        let headers = written("[2001:db8::1]:5555", "api.example.com:8443");
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";host=\"api.example.com:8443\";proto=https");
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
    }

    #[test]
    fn mapped_ipv4_addresses_are_told_as_ipv4() {
        let headers = written("[::ffff:192.0.2.7]:5555", "api.example.com");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
    }

    /// HTTP-10, HTTP-11
    #[test]
    fn via_keeps_the_hops_before_and_knows_itself() {
        let us = Pseudonym::new(7);
        let mut headers = HeaderMap::new();
        headers.insert("via", HeaderValue::from_static("1.1 edge, 2.0 clinch-0000000000000008 (other)"));
        assert!(!us.is_in(&headers));
        us.write(Version::HTTP_2, &mut headers);
        assert!(us.is_in(&headers));
        let hops: Vec<_> = headers.get_all("via").iter().collect();
        assert_eq!(hops.last().map(|v| v.as_bytes()), Some(&b"2.0 clinch-0000000000000007"[..]));
        assert_eq!(hops.len(), 2);
    }

    /// HTTP-11
    #[test]
    fn a_loop_is_seen_in_a_joined_line() {
        let mut headers = HeaderMap::new();
        headers.insert("via", HeaderValue::from_static("1.1 a,1.1  clinch-0000000000000007 (x),1.1 b"));
        assert!(Pseudonym::new(7).is_in(&headers));
    }
}
