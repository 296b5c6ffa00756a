//! `revocation`: where revocations come from and who is believed.

mod kafka;
mod nats;
mod redis;

use super::{Checks, delivery, transmitters};
use crate::config::file::{Feed as WrittenFeed, FeedKind, Issuer as WrittenIssuer};
use crate::config::file::{OnStale as WrittenOnStale, Revocation as Written, Snapshot as WrittenSnapshot};
use crate::config::tree::member;
use crate::config::words::quoted;
use crate::config::{Feed, OnStale, Revocation, Snapshot};
use std::time::Duration;

/// The revocation feed; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written, issuers: &[WrittenIssuer]) -> Option<Revocation> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let max_staleness = c.within("revocation.max_staleness", written.max_staleness, least, most);
    let feed = written.feed.as_ref().and_then(|f| feed(c, f));
    let names: Vec<&str> = issuers.iter().filter_map(|one| one.issuer.as_deref()).collect();
    let transmitters = transmitters::check(c, &written.transmitters, &names);
    let push = match written.feed.as_ref().map(|feed| &feed.push) {
        Some(push) => delivery::push(c, push, !written.transmitters.is_empty()),
        None => Some(None),
    };
    let plain = "revocation.accept_plain";
    let nobody = !written.accept_plain && written.transmitters.is_empty();
    if nobody && !c.is_unsound(plain) && !c.is_unsound("revocation.transmitters") {
        c.fault(plain, "no event could ever be believed")
            .found("`accept_plain: false` and no transmitters")
            .expected(
                "`transmitters:` that sign events, or `accept_plain: true` on a bus that is itself authenticated",
            );
    }
    if written.on_stale == WrittenOnStale::Introspect {
        issuers_answer(c, issuers);
    }
    if written.on_stale == WrittenOnStale::Allow {
        c.warn("revocation.on_stale", "revoked tokens pass while the feed is out of reach");
    }
    let snapshot = match &written.snapshot {
        Some(snapshot) => Some(self::snapshot(c, snapshot, written.feed.as_ref())?),
        None => None,
    };
    Some(Revocation {
        feed: feed?,
        push: push?,
        transmitters: transmitters?,
        accept_plain: written.accept_plain,
        max_staleness: max_staleness?,
        on_stale: match written.on_stale {
            WrittenOnStale::Deny => OnStale::Deny,
            WrittenOnStale::Introspect => OnStale::Introspect,
            WrittenOnStale::Allow => OnStale::Allow,
        },
        max_entries: usize::try_from(written.max_entries).ok()?,
        snapshot,
    })
}

/// Where the index is kept over restarts. The file may come later, its directory may not.
fn snapshot(c: &mut Checks<'_>, written: &WrittenSnapshot, feed: Option<&WrittenFeed>) -> Option<Snapshot> {
    let whole = match feed.and_then(|feed| feed.kind) {
        Some(FeedKind::File) => Some("file"),
        Some(FeedKind::Redis) => Some("redis"),
        Some(FeedKind::Kafka) => Some("kafka"),
        Some(FeedKind::Nats) | None => None,
    };
    if let Some(kind) = whole {
        c.fault("revocation.snapshot", format!("`snapshot` means nothing for `kind: {kind}`"))
            .expected("the key left out: this feed is read whole at every start");
    }
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let every = c.within("revocation.snapshot.every", written.every, least, most);
    let file = written.file.as_ref()?;
    let path = c.resolve(file);
    if file.is_empty() || path.is_dir() || !path.parent().is_some_and(std::path::Path::is_dir) {
        c.fault("revocation.snapshot.file", "there can't be a snapshot")
            .found(quoted(&path.display().to_string()))
            .expected("a file in a directory that exists");
        return None;
    }
    Some(Snapshot { file: path, every: every? })
}

/// An issuer that can't be asked would have all its tokens refused, which nobody would notice before the outage.
fn issuers_answer(c: &mut Checks<'_>, issuers: &[WrittenIssuer]) {
    let mute = issuers.iter().filter(|one| one.introspection.is_none());
    for issuer in mute.filter_map(|one| one.issuer.as_deref()) {
        c.fault(
            "revocation.on_stale",
            format!("{} can't be asked: it has no `introspection`", quoted(issuer)),
        )
        .found("`on_stale: introspect`")
        .expected("an `introspection` section for every issuer, or another `on_stale`");
    }
}

fn feed(c: &mut Checks<'_>, written: &WrittenFeed) -> Option<Feed> {
    match written.kind? {
        FeedKind::File => {
            foreign(c, "file", written, &["path"]);
            let path = needed(c, "file", "path", &written.path)?;
            journal(c, path)
        }
        FeedKind::Nats => {
            let of_nats = ["url", "stream", "subject", "ca", "credentials_file", "nkey_file"];
            foreign(c, "nats", written, &[&of_nats[..], &["client_certificate", "client_key"]].concat());
            nats::check(c, written).map(Feed::Nats)
        }
        FeedKind::Redis => {
            foreign(c, "redis", written, &["url", "stream", "ca"]);
            redis::check(c, written).map(Feed::Redis)
        }
        FeedKind::Kafka => {
            foreign(c, "kafka", written, &["url", "topic"]);
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

/// Every key of another kind is a misunderstanding; `own` are those of this one.
fn foreign(c: &mut Checks<'_>, kind: &str, written: &WrittenFeed, own: &[&str]) {
    let all = [
        ("path", &written.path),
        ("url", &written.url),
        ("stream", &written.stream),
        ("subject", &written.subject),
        ("topic", &written.topic),
        ("ca", &written.ca),
        ("credentials_file", &written.credentials_file),
        ("nkey_file", &written.nkey_file),
        ("client_certificate", &written.client_certificate),
        ("client_key", &written.client_key),
    ];
    for (key, value) in all.into_iter().filter(|(key, _)| !own.contains(key)) {
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

const FEED: &str = "revocation.feed";
