//! Headers that are in order, and those that are not.

use super::Fault::{Absent, Checksum, Malformed, TooLong};
use super::*;
use proptest::prelude::*;

fn told(address: &str) -> Result<Told, Fault> {
    Ok(Told::Client(address.parse().unwrap()))
}

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0x30, 0x39, 0x01, 0xbb];

#[test]
fn text_is_read_as_it_is_written() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345 443\r\n", told("192.0.2.1:12345")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n", told("[2001:db8::1]:65535")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", told("192.0.2.1:1")),
        ("PROXY UNKNOWN\r\n", Ok(Told::Nobody)),
        ("PROXY UNKNOWN ffff:f...f:ffff anything 1\r\n", Ok(Told::Nobody)),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345 443\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345 443 \r\n", Err(Malformed)),
        ("PROXY  TCP4 192.0.2.1 198.51.100.7 12345 443\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 12345\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 012345 443\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n", Err(Malformed)),
        ("PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n", Err(Malformed)),
        ("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", Err(Malformed)),
        ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Err(Malformed)),
        ("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", Err(Malformed)),
        ("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", Err(Malformed)),
        ("PROXY \r\n", Err(Malformed)),
        ("\r\n", Err(Malformed)),
    ] {
        assert_eq!(text(line.as_bytes()), expected, "{line:?}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
    assert_eq!((long.len(), text(long.as_bytes())), (LONGEST_LINE, Ok(Told::Nobody)));
    assert_eq!(text(long.replace("\r\n", "x\r\n").as_bytes()), Err(TooLong));
}

#[test]
fn bytes_are_read_as_they_are_written() {
    let v6: Vec<u8> = [Ipv6Addr::LOCALHOST.octets(), Ipv6Addr::UNSPECIFIED.octets()].concat();
    let v6 = [&v6[..], &[0x30, 0x39, 0, 1]].concat();
    let tlvs = |more: &[u8]| [&IPV4[..], more].concat();
    for (what, header, expected) in [
        ("IPv4", v2(1, 0x11, &IPV4), told("192.0.2.1:12345")),
        ("IPv6", v2(1, 0x21, &v6), told("[::1]:12345")),
        ("Unix", v2(1, 0x31, &[0; 216]), Ok(Told::Nobody)),
        ("unspecified", v2(1, 0, &[1, 2, 3]), Ok(Told::Nobody)),
        ("LOCAL", v2(0, 0x11, &[9; 5]), Ok(Told::Nobody)),
        ("ALPN and nothing", v2(1, 0x11, &tlvs(b"\x01\0\x02h2\x04\0\0")), told("192.0.2.1:12345")),
        ("a value that is not there", v2(1, 0x11, &tlvs(b"\x01\0\x03h2")), Err(Malformed)),
        ("half a type", v2(1, 0x11, &tlvs(b"\x01\0")), Err(Malformed)),
        ("a short checksum", v2(1, 0x11, &tlvs(b"\x03\0\x02ab")), Err(Malformed)),
        ("IPv4 cut short", v2(1, 0x11, &IPV4[..11]), Err(Malformed)),
        ("IPv6 cut short", v2(1, 0x21, &v6[..35]), Err(Malformed)),
        ("Unix cut short", v2(1, 0x31, &[0; 215]), Err(Malformed)),
        ("datagrams", v2(1, 0x12, &IPV4), Err(Malformed)),
        ("no family of any kind", v2(1, 0x41, &IPV4), Err(Malformed)),
        ("no command", v2(2, 0x11, &IPV4), Err(Malformed)),
        ("longer than it says", [v2(1, 0x11, &IPV4), vec![0]].concat(), Err(Malformed)),
        ("too long", v2(1, 0x11, &[0; LONGEST_REST + 1]), Err(TooLong)),
        ("something else", b"GET / HTTP/1.1\r\n\r\n".to_vec(), Err(Absent)),
    ] {
        assert_eq!(binary(&header), expected, "{what}");
    }
    let mut third = v2(1, 0x11, &IPV4);
    third[12] = 0x31;
    assert_eq!(binary(&third), Err(Malformed), "version 3");
}

#[test]
fn a_checksum_is_checked_where_there_is_one() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283, "the check value of CRC-32C");
    let mut header = v2(1, 0x11, &[&IPV4[..], b"\x03\0\x04\0\0\0\0\x04\0\x01x"].concat());
    let sum = crc32c(header.iter().copied()).to_be_bytes();
    header[31..35].copy_from_slice(&sum);
    assert_eq!(binary(&header), told("192.0.2.1:12345"));
    // All but the byte by which it is a checksum.
    for at in (16..header.len()).filter(|at| *at != 28) {
        let mut damaged = header.clone();
        damaged[at] ^= 1;
        assert!(binary(&damaged).is_err(), "byte {at}");
    }
    header[34] ^= 1;
    assert_eq!(binary(&header), Err(Checksum));
}

proptest! {
    /// DS-024: no bytes are more than refused, and what is told was there.
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300), family: u8, command in 0_u8..3) {
        let _ = text(&bytes);
        let _ = binary(&bytes);
        let line = [b"PROXY TCP4 ", &bytes[..], b"\r\n"].concat();
        let _ = text(&line);
        if let Ok(Told::Client(client)) = binary(&v2(command, family, &bytes)) {
            prop_assert_eq!(command, 1);
            prop_assert!(family == 0x11 && bytes.len() >= 12 || family == 0x21 && bytes.len() >= 36);
            if let IpAddr::V4(address) = client.ip() && family == 0x11 {
                prop_assert_eq!(&address.octets()[..], &bytes[..4]);
            }
        }
    }
}
