//! What is read of `Client-Cert`, and from whom.

use super::*;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

fn certificate() -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "client");
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2026, 1, 1);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn sequence(der: &[u8]) -> String {
    format!(":{}:", BASE64.encode(der))
}

fn read_text(text: &str) -> Result<ClientCertificate, Denial> {
    read(&HeaderValue::from_str(text).unwrap())
}

/// CC-01, MTLS-11
#[test]
fn a_byte_sequence_of_one_certificate_is_read_and_its_names_are_not() {
    let der = certificate();
    for text in [sequence(&der), sequence(&der).replace('=', ""), format!("  {} ", sequence(&der))] {
        let read = read_text(&text).unwrap();
        assert_eq!(read.thumbprint, CertificateThumbprint::of_der(&der));
        assert_eq!(read.subject, "", "nobody here vouches for it");
        assert!(read.still_valid(NOW) && !read.still_valid(Timestamp::from_secs(1_800_000_000)));
    }
}

/// TL-017, CC-01
#[test]
fn anything_else_is_malformed() {
    let der = certificate();
    let good = sequence(&der);
    let pem = "-----BEGIN CERTIFICATE-----MIIB-----END CERTIFICATE-----";
    let long = format!(":{}:", "A".repeat(16 * 1024));
    for text in [
        "",
        ":",
        "::",
        ": :",
        ":AAAA:",
        &good[1..],
        &good[..good.len() - 1],
        &good.replace('+', "-").replace('/', "_").replacen('M', "-", 1),
        &format!("{good};a=1"),
        &format!("{good}, {good}"),
        &format!("\"{}\"", BASE64.encode(&der)),
        &BASE64.encode(&der),
        &sequence(&[&der[..], b"more"].concat()),
        &sequence(&der[..der.len() - 1]),
        &sequence(pem.as_bytes()),
        &format!(":{}:", BASE64.encode(&der).replacen("I", "I ", 1)),
        pem,
        &pem.replace('-', "%2D"),
        "By=spiffe://a;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688",
        &long,
    ] {
        assert_eq!(read_text(text).map(|c| c.thumbprint), Err(Denial::RequestMalformed), "{text}");
    }
}

/// CC-01, CC-02
#[test]
fn there_is_one_and_a_chain_only_with_it() {
    let fields = |fields: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        shown(&headers).map(|value| value.map(|v| v.to_str().unwrap().to_owned()))
    };
    let (cert, chain) = ("client-cert", "client-cert-chain");
    assert_eq!(fields(&[]), Ok(None));
    assert_eq!(fields(&[("x-client-cert", ":AA==:")]), Ok(None));
    for good in [
        &[(cert, ":AAAA:")][..],
        &[(cert, ":AAAA:"), (chain, ":AAAA:, :BBBB:")],
        &[(cert, ":AAAA:"), (chain, ":AAAA:"), (chain, ":BBBB:,:CCCC:")],
    ] {
        assert_eq!(fields(good), Ok(Some(":AAAA:".to_owned())), "{good:?}");
    }
    for bad in [
        &[(cert, ":AAAA:"), (cert, ":AAAA:")][..],
        &[(chain, ":AAAA:")],
        &[(cert, ":AAAA:"), (chain, "")],
        &[(cert, ":AAAA:"), (chain, ":AAAA:,")],
        &[(cert, ":AAAA:"), (chain, ":AAAA: :BBBB:")],
        &[(cert, ":AAAA:"), (chain, "AAAA")],
    ] {
        assert_eq!(fields(bad), Err(Denial::RequestMalformed), "{bad:?}");
    }
}

/// CC-06, MTLS-09
#[test]
fn only_those_who_were_named_are_terminators() {
    let own = ClientCertificate::from_der(&certificate(), Names::Unvouched);
    let other = ClientCertificate::from_der(&certificate(), Names::Unvouched);
    let by = |networks: &[&str], pinned: bool| Terminators {
        networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
        certificates: if pinned { vec![own.thumbprint] } else { Vec::new() },
    };
    let inside: IpAddr = "10.1.2.3".parse().unwrap();
    let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
    let outside: IpAddr = "11.1.2.3".parse().unwrap();
    let network = by(&["192.0.2.0/24", "10.0.0.0/8"], false);
    assert!(network.include(inside, None, NOW) && network.include(mapped, None, NOW));
    assert!(
        !network.include(outside, Some(&own), NOW) && !network.include("::1".parse().unwrap(), None, NOW)
    );
    let pinned = by(&[], true);
    assert!(pinned.include(outside, Some(&own), NOW));
    assert!(!pinned.include(outside, Some(&other), NOW) && !pinned.include(outside, None, NOW));
    assert!(!pinned.include(outside, Some(&own), Timestamp::from_secs(1_800_000_000)), "expired");
    let both = by(&["10.0.0.0/8"], true);
    assert!(both.include(inside, Some(&own), NOW));
    assert!(!both.include(inside, None, NOW) && !both.include(outside, Some(&own), NOW));
    assert!(!Terminators::default().include(inside, Some(&own), NOW), "nobody was named");
}
