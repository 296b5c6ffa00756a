//! `revocation.feed` of `kind: nats`: which servers, whom they let in, and what is read there.

use super::{FEED, needed};
use crate::config::checks::upstream::{is_loopback, reachable};
use crate::config::checks::{Checks, pem};
use crate::config::file::Feed as Written;
use crate::config::tree::member;
use crate::config::words::quoted;
use crate::config::{ClientIdentity, Login, Nats, Secret};
use std::sync::Arc;

/// The stream; `None` if something about it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Nats> {
    let url = needed(c, "nats", "url", &written.url).and_then(|w| urls(c, w));
    let stream = needed(c, "nats", "stream", &written.stream).and_then(|w| stream(c, w));
    let subject = needed(c, "nats", "subject", &written.subject).and_then(|w| subject(c, w));
    let encrypted = written.url.as_deref().is_some_and(|url| url.starts_with("tls://"));
    let ca = match &written.ca {
        Some(file) if with_tls(c, "ca", encrypted) => pem::certificates(c, "revocation.feed.ca", file),
        Some(_) => None,
        None => Some(Vec::new()),
    };
    let (login, identity) = (login(c, written), identity(c, written, encrypted));
    let (login, identity) = (login?, identity?);
    Some(Nats { url: url?, stream: stream?, subject: subject?, ca: ca?, login, identity })
}

/// One server, or several of one cluster.
fn urls(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let all: Vec<&str> = written.split(',').map(str::trim).collect();
    let encrypted = all.iter().filter(|url| url.starts_with("tls://")).count();
    if encrypted != 0 && encrypted != all.len() {
        c.fault(URL, "some of these servers would be reached in clear")
            .found(quoted(written))
            .expected("tls:// for every server, or nats:// for every one");
        return None;
    }
    let sound: Vec<&str> = all.iter().filter_map(|url| self::url(c, url)).collect();
    (sound.len() == all.len()).then(|| sound.join(","))
}

fn url<'w>(c: &mut Checks<'_>, written: &'w str) -> Option<&'w str> {
    let rest = written.strip_prefix("nats://").or_else(|| written.strip_prefix("tls://"));
    let authority = rest.and_then(|rest| reachable(rest.strip_suffix('/').unwrap_or(rest)));
    let Some(authority) = authority else {
        c.fault(URL, "this is not the URL of a NATS server")
            .found(quoted(written))
            .expected("nats://HOST:PORT or tls://HOST:PORT");
        return None;
    };
    // The client would ignore a token without a word, and be refused for want of one.
    if authority.as_str().rsplit_once('@').is_some_and(|(login, _)| !login.contains(':')) {
        c.fault(URL, "a token alone is not understood here")
            .found(quoted(written))
            .expected("nats://USER:PASSWORD@HOST:PORT");
        return None;
    }
    if written.starts_with("nats://") && !is_loopback(authority.host()) {
        c.warn(URL, "revocations cross the network in clear: use tls://");
    }
    Some(written)
}

fn with_tls(c: &mut Checks<'_>, key: &str, encrypted: bool) -> bool {
    if !encrypted && !c.is_unsound(URL) {
        c.fault(&member(FEED, key), format!("`{key}` means nothing without TLS"))
            .expected("a url that begins with tls://");
    }
    encrypted
}

/// At most one way to log in.
fn login(c: &mut Checks<'_>, written: &Written) -> Option<Option<Login>> {
    let in_url = written.url.as_deref().is_some_and(|url| url.contains('@'));
    let given = [in_url, written.credentials_file.is_some(), written.nkey_file.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let key = if written.nkey_file.is_some() { "nkey_file" } else { "credentials_file" };
        c.fault(&member(FEED, key), "there are several ways to log in")
            .expected("one of `credentials_file`, `nkey_file`, and USER:PASSWORD in the url");
        return None;
    }
    if let Some(file) = &written.credentials_file {
        let (path, text) = secret(c, "credentials_file", file)?;
        if Login::are_credentials(&text) {
            return Some(Some(Login::Credentials(Secret::new(text))));
        }
        c.fault(&path, "these are no NATS credentials")
            .expected("a .creds file: a user's JWT and the seed of its nkey");
        return None;
    }
    let Some(file) = &written.nkey_file else { return Some(None) };
    let (path, text) = secret(c, "nkey_file", file)?;
    let seed = text.trim();
    if Login::is_seed(seed) {
        return Some(Some(Login::Nkey(Secret::new(seed.to_owned()))));
    }
    c.fault(&path, "this is no seed of a user's nkey").expected("one line that begins with SU");
    None
}

fn secret(c: &mut Checks<'_>, key: &str, file: &str) -> Option<(String, String)> {
    let path = member(FEED, key);
    let bytes = pem::read(c, &path, file)?;
    pem::warn_if_open_to_all(c, &path, file);
    Some((path, String::from_utf8(bytes).unwrap_or_default()))
}

/// A certificate and its key, or neither.
fn identity(c: &mut Checks<'_>, written: &Written, encrypted: bool) -> Option<Option<Arc<ClientIdentity>>> {
    let (certificate, key) = match (&written.client_certificate, &written.client_key) {
        (None, None) => return Some(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (None, Some(_)) | (Some(_), None) => {
            let (there, missing) = match written.client_key {
                Some(_) => ("client_key", "client_certificate"),
                None => ("client_certificate", "client_key"),
            };
            c.fault(&member(FEED, there), format!("`{there}` means nothing alone"))
                .expected(format!("`{missing}:` beside it"));
            return None;
        }
    };
    if !with_tls(c, "client_certificate", encrypted) {
        return None;
    }
    let chain = pem::certificates(c, &member(FEED, "client_certificate"), certificate);
    let key = pem::private_key(c, &member(FEED, "client_key"), key);
    Some(Some(Arc::new(ClientIdentity { chain: chain?, key: key? })))
}

fn stream(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let sound = !written.is_empty() && written.chars().all(|c| c.is_ascii_graphic() && !".*>/\\".contains(c));
    if !sound {
        c.fault("revocation.feed.stream", "this is not the name of a JetStream stream")
            .found(quoted(written))
            .expected("a name without spaces and without . * > / \\");
    }
    sound.then(|| written.to_owned())
}

fn subject(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let tokens: Vec<&str> = written.split('.').collect();
    let last = tokens.len() - 1;
    let sound = tokens.iter().enumerate().all(|(at, token)| {
        let wild = *token == "*" || (*token == ">" && at == last);
        wild || (!token.is_empty() && token.chars().all(|c| c.is_ascii_graphic() && !"*>".contains(c)))
    });
    if !sound {
        c.fault("revocation.feed.subject", "this is not a NATS subject")
            .found(quoted(written))
            .expected("tokens between dots, such as clinch.revocations.>");
    }
    sound.then(|| written.to_owned())
}

const URL: &str = "revocation.feed.url";
