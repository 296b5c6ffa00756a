//! `revocation`: where revocations come from and who is believed.

mod kafka;
mod redis;

use super::Checks;
use super::upstream::{is_loopback, reachable};
use crate::config::file::{Feed as WrittenFeed, FeedKind, OnStale as WrittenOnStale, Revocation as Written};
use crate::config::tree::member;
use crate::config::words::quoted;
use crate::config::{Feed, Nats, OnStale, Revocation};
use std::time::Duration;

/// The revocation feed; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Revocation> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let max_staleness = c.within("revocation.max_staleness", written.max_staleness, least, most);
    let feed = written.feed.as_ref().and_then(|f| feed(c, f));
    let plain = "revocation.accept_plain";
    if !written.accept_plain && !c.is_unsound(plain) && !c.is_unsound("revocation.transmitters") {
        c.fault(plain, "no event could ever be believed: signed events are not supported yet")
            .found("`accept_plain: false`")
            .expected("`accept_plain: true`, on a bus that is itself authenticated");
    }
    if written.on_stale == WrittenOnStale::Allow {
        c.warn("revocation.on_stale", "revoked tokens pass while the feed is out of reach");
    }
    Some(Revocation {
        feed: feed?,
        accept_plain: written.accept_plain,
        max_staleness: max_staleness?,
        on_stale: match written.on_stale {
            WrittenOnStale::Deny | WrittenOnStale::Introspect => OnStale::Deny,
            WrittenOnStale::Allow => OnStale::Allow,
        },
        max_entries: usize::try_from(written.max_entries).ok()?,
    })
}

fn feed(c: &mut Checks<'_>, written: &WrittenFeed) -> Option<Feed> {
    match written.kind? {
        FeedKind::File => {
            foreign(c, "file", written, &["url", "stream", "subject", "topic", "ca"]);
            let path = needed(c, "file", "path", &written.path)?;
            journal(c, path)
        }
        FeedKind::Nats => {
            foreign(c, "nats", written, &["path", "topic", "ca"]);
            let url = needed(c, "nats", "url", &written.url).and_then(|w| nats_url(c, w));
            let stream = needed(c, "nats", "stream", &written.stream).and_then(|w| stream(c, w));
            let subject = needed(c, "nats", "subject", &written.subject).and_then(|w| subject(c, w));
            Some(Feed::Nats(Nats { url: url?, stream: stream?, subject: subject? }))
        }
        FeedKind::Redis => {
            foreign(c, "redis", written, &["path", "subject", "topic"]);
            redis::check(c, written).map(Feed::Redis)
        }
        FeedKind::Kafka => {
            foreign(c, "kafka", written, &["path", "stream", "subject", "ca"]);
            kafka::check(c, written).map(Feed::Kafka)
        }
    }
}

fn needed<'w>(c: &mut Checks<'_>, kind: &str, key: &str, written: &'w Option<String>) -> Option<&'w str> {
    let path = member(FEED, key);
    if written.is_none() && !c.is_unsound(&path) {
        c.fault(&path, format!("the key `{key}` is missing"))
            .expected(format!("`{key}:` for `kind: {kind}`"));
    }
    written.as_deref()
}

fn foreign(c: &mut Checks<'_>, kind: &str, written: &WrittenFeed, keys: &[&str]) {
    let all = [
        ("path", &written.path),
        ("url", &written.url),
        ("stream", &written.stream),
        ("subject", &written.subject),
        ("topic", &written.topic),
        ("ca", &written.ca),
    ];
    for (key, value) in all.into_iter().filter(|(key, _)| keys.contains(key)) {
        if value.is_some() {
            c.fault(&member(FEED, key), format!("`{key}` means nothing for `kind: {kind}`"))
                .expected("the key left out");
        }
    }
}

/// The journal may come later, its directory may not.
fn journal(c: &mut Checks<'_>, written: &str) -> Option<Feed> {
    let path = c.resolve(written);
    let directory = path.parent().is_some_and(std::path::Path::is_dir);
    if written.is_empty() || path.is_dir() || !directory {
        c.fault("revocation.feed.path", "there can't be a journal")
            .found(quoted(&path.display().to_string()))
            .expected("a file in a directory that exists");
        return None;
    }
    Some(Feed::File { path })
}

fn nats_url(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let rest = written.strip_prefix("nats://").or_else(|| written.strip_prefix("tls://"));
    let authority = rest.and_then(|rest| reachable(rest.strip_suffix('/').unwrap_or(rest)));
    let Some(authority) = authority else {
        c.fault("revocation.feed.url", "this is not the URL of a NATS server")
            .found(quoted(written))
            .expected("nats://HOST:PORT or tls://HOST:PORT");
        return None;
    };
    // The client would ignore a token without a word, and be refused for want of one.
    if authority.as_str().rsplit_once('@').is_some_and(|(login, _)| !login.contains(':')) {
        c.fault("revocation.feed.url", "a token alone is not understood here")
            .found(quoted(written))
            .expected("nats://USER:PASSWORD@HOST:PORT");
        return None;
    }
    if written.starts_with("nats://") && !is_loopback(authority.host()) {
        c.warn("revocation.feed.url", "revocations cross the network in clear: use tls://");
    }
    Some(written.to_owned())
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

const FEED: &str = "revocation.feed";
