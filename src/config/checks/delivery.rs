//! How security events come to us besides the feed: pushed (RFC 8935) or fetched (RFC 8936).
//!
//! Whoever delivers must be known (PUSH-05): by an `Authorization` that was agreed or by a certificate. Without either,
//! only this machine can reach the port.

use super::{Checks, issuers, listen, pem, tls};
use crate::config::file::{Poll as WrittenPoll, Push as WrittenPush, PushPort};
use crate::config::tree::member;
use crate::config::words::quoted;
use crate::config::{Poll, Push, Secret};
use crate::pop::sha256;
use std::net::SocketAddr;

/// The push port, if there is to be one; `None` if something in it is at fault (PUSH-05).
pub(super) fn push(c: &mut Checks<'_>, written: &WrittenPush, anybody: bool) -> Option<Option<Push>> {
    let port = match written {
        WrittenPush::Switch(false) => return Some(None),
        WrittenPush::Switch(true) => &PushPort::default(),
        WrittenPush::Port(port) => port,
    };
    if !anybody && !c.is_unsound("revocation.transmitters") {
        c.fault(PUSH, "nobody could push an event that is believed")
            .found("no `transmitters`")
            .expected("`transmitters:` that sign events, or no `push`");
    }
    let address = listen::address(c, &member(PUSH, "address"), &port.address);
    let path = path(c, &member(PUSH, "path"), &port.path);
    let key = member(PUSH, "authorization_file");
    let authorizations = match &port.authorization_file {
        Some(file) => authorizations(c, &key, file),
        None => Some(Vec::new()),
    };
    let client_ca = tls::authorities(c, &member(PUSH, "client_ca"), &port.client_ca);
    let (address, path) = (address?, path?);
    let (authorizations, client_ca) = (authorizations?, client_ca?);
    if authorizations.is_empty() && client_ca.is_empty() {
        strangers(c, address)?;
    }
    Some(Some(Push { address, path, authorizations, client_ca }))
}

/// Where nobody proves who it is.
fn strangers(c: &mut Checks<'_>, address: SocketAddr) -> Option<()> {
    if address.ip().is_loopback() {
        c.warn(PUSH, "whoever reaches this port from this machine may deliver: set `authorization_file` or `client_ca`");
        return Some(());
    }
    c.fault(&member(PUSH, "address"), "anybody on the network could deliver here")
        .found(quoted(&address.to_string()))
        .expected("`authorization_file` or `client_ca` beside it, or a loopback address");
    None
}

/// The port shows the certificate of the public one, as the files have it.
pub(super) fn needs_files(c: &mut Checks<'_>) {
    c.fault(
        "revocation.feed.push",
        "events can't be pushed where the certificate comes from the Workload API",
    )
    .found("`listen.tls.spiffe`")
    .expected("a transmitter that is polled, or `listen.tls.certificate`");
}

/// A port of its own (RV-037).
pub(super) fn apart(c: &mut Checks<'_>, address: SocketAddr, others: &[(&str, Option<SocketAddr>)]) {
    for (key, other) in others.iter().filter_map(|(key, other)| Some((key, (*other)?))) {
        let overlap =
            other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified();
        if overlap && other.port() == address.port() && address.port() != 0 {
            c.fault(&member(PUSH, "address"), format!("this is the address of `{key}`"))
                .found(quoted(&address.to_string()))
                .expected("an address of its own, such as 127.0.0.1:9902");
        }
    }
}

fn path(c: &mut Checks<'_>, key: &str, written: &str) -> Option<String> {
    let sound =
        written.starts_with('/') && written.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
    if !sound {
        c.fault(key, "this is not the path of a URL")
            .found(quoted(written))
            .expected("a path such as /events");
    }
    sound.then(|| written.to_owned())
}

/// The endpoint of a stream and what it is shown; `None` if something is at fault.
pub(super) fn poll(c: &mut Checks<'_>, path: &str, written: &WrittenPoll) -> Option<Poll> {
    let endpoint =
        written.endpoint.as_ref().and_then(|uri| issuers::https(c, &member(path, "endpoint"), uri));
    let key = member(path, "authorization_file");
    let authorization = match &written.authorization_file {
        Some(file) => {
            let lines = lines(c, &key, file);
            let one = lines.filter(|lines| match &lines[..] {
                [_] => true,
                several => {
                    c.fault(&key, "there is more than one line in this file")
                        .found(format!("{} lines", several.len()))
                        .expected(ONE);
                    false
                }
            });
            one.and_then(|lines| lines.into_iter().next()).map(|line| Some(Secret::new(line)))
        }
        None => Some(None),
    };
    Some(Poll { endpoint: endpoint?, authorization: authorization? })
}

fn authorizations(c: &mut Checks<'_>, key: &str, file: &str) -> Option<Vec<[u8; 32]>> {
    Some(lines(c, key, file)?.iter().map(|line| sha256::of(line.as_bytes())).collect())
}

/// The lines of a file that are not empty, one at least. Nothing of them ever reaches a message.
fn lines(c: &mut Checks<'_>, key: &str, file: &str) -> Option<Vec<String>> {
    let bytes = pem::read(c, key, file)?;
    pem::warn_if_open_to_all(c, key, file);
    let text = std::str::from_utf8(&bytes).ok();
    let lines = text.map(|text| text.lines().map(str::trim).filter(|line| !line.is_empty()));
    let lines: Vec<String> = lines.into_iter().flatten().take(MOST + 1).map(str::to_owned).collect();
    let found = match &lines[..] {
        [] => "no line of text",
        lines if lines.len() > MOST => "too many lines",
        lines if lines.iter().any(|line| line.len() > LONGEST) => "a line of more than 4 KiB",
        lines if !lines.iter().all(|line| line.bytes().all(|byte| matches!(byte, 0x20..=0x7e))) => {
            "other characters than printable ASCII"
        }
        _ => return Some(lines),
    };
    c.fault(key, "there is no Authorization in this file").found(found).expected(ONE);
    None
}

const PUSH: &str = "revocation.feed.push";
const ONE: &str = "the value of the header, such as: Bearer SECRET";
/// An old one and a new one for each of a few transmitters.
const MOST: usize = 64;
const LONGEST: usize = 4096;
