//! `listen.client_cert_from`: whose word on the caller's certificate is taken (RFC 9440 section 4).

use super::Checks;
use crate::config::file::{ClientCertFrom as Written, ClientCertificate};
use crate::config::tree::item;
use crate::config::words::quoted;
use crate::pop::client_cert::Terminators;
use crate::pop::mtls::CertificateThumbprint;
use ipnet::IpNet;
use std::net::IpAddr;

/// The terminators. `asked`: whether peers are asked for certificates, if that is known.
pub(super) fn check(c: &mut Checks<'_>, written: &Written, asked: Option<ClientCertificate>) -> Terminators {
    let terminators = Terminators {
        networks: networks(c, ADDRESSES, &written.addresses),
        certificates: certificates(c, &written.certificates),
    };
    if written.addresses.is_empty() && written.certificates.is_empty() && !c.is_unsound(SECTION) {
        c.fault(SECTION, "this section trusts nobody")
            .found("neither `addresses` nor `certificates`")
            .expected("one of them, or no `client_cert_from`");
    }
    if !written.certificates.is_empty() && asked == Some(ClientCertificate::Off) {
        c.fault(CERTIFICATES, "no peer is asked for a certificate")
            .found("`listen.tls.client_certificate: off`")
            .expected("`client_certificate: optional` or `required`, or `addresses` alone");
    }
    if written.certificates.is_empty() && terminators.networks.iter().any(|n| n.prefix_len() == 0) {
        c.warn(ADDRESSES, EVERYBODY);
    }
    terminators
}

/// A load balancer passes on anybody's TLS, so that where it connects from says nothing of who ended it.
pub(super) fn behind(c: &mut Checks<'_>, terminators: &Terminators, balancers: &[IpNet]) {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.network()) || b.contains(&a.network());
    let both = terminators.networks.iter().any(|one| balancers.iter().any(|other| overlap(one, other)));
    if both && terminators.certificates.is_empty() {
        c.warn(ADDRESSES, RELAYED);
    }
}

/// The networks of a list at a key.
pub(super) fn networks(c: &mut Checks<'_>, key: &str, written: &[String]) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (at, text) in written.iter().enumerate() {
        let path = item(key, at);
        match network(text) {
            Ok(network) if networks.contains(&network) => {
                c.fault(&path, "this network is in the list twice").found(quoted(text)).expected("each once");
            }
            Ok(network) => networks.push(network),
            Err(expected) => {
                c.fault(&path, "this is not a network").found(quoted(text)).expected(expected);
            }
        }
    }
    networks
}

/// A network, or what should stand there instead.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let network = parsed.ok_or("an address or a network, such as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32")?;
    // IPv4 peers are compared as such, whatever the kind of socket they came in by.
    let mapped =
        matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() && v6.prefix_len() >= 96);
    if mapped {
        return Err("the IPv4 address or network itself".to_owned());
    }
    if network.trunc() != network {
        return Err(format!("{}, if the whole network is meant", network.trunc()));
    }
    Ok(network)
}

fn certificates(c: &mut Checks<'_>, written: &[String]) -> Vec<CertificateThumbprint> {
    let mut certificates = Vec::new();
    for (at, text) in written.iter().enumerate() {
        let path = item(CERTIFICATES, at);
        match CertificateThumbprint::parse(text) {
            Some(one) if certificates.contains(&one) => {
                c.fault(&path, "this certificate is in the list twice")
                    .found(quoted(text))
                    .expected("each once");
            }
            Some(one) => certificates.push(one),
            None => {
                c.fault(&path, "this is not the thumbprint of a certificate")
                    .found(quoted(text))
                    .expected("x5t#S256: the SHA-256 of the DER certificate, base64url, 43 characters");
            }
        }
    }
    certificates
}

const SECTION: &str = "listen.client_cert_from";
const ADDRESSES: &str = "listen.client_cert_from.addresses";
const CERTIFICATES: &str = "listen.client_cert_from.certificates";
const RELAYED: &str = "some of these are in `listen.proxy_protocol_from`, too: over a connection that begins with a PROXY protocol \
                       header nobody is taken for a terminator by address alone, only by `certificates`";
const EVERYBODY: &str = "everyone who reaches this port is trusted to say which certificate they have: a stolen \
                         certificate-bound token is worth as much as an unbound one";
