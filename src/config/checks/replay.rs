//! `dpop.replay`: where used proofs are remembered, and by whom.

use super::upstream::{is_loopback, reachable};
use super::{Checks, pem};
use crate::config::file::{OnUnavailable as WrittenOnUnavailable, Replay as Written, ReplayStore};
use crate::config::words::quoted;
use crate::config::{OnUnavailable, Replay, SharedReplay, Store};
use std::time::Duration;

/// The replay memory; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Replay> {
    let max_entries = usize::try_from(written.max_entries).ok()?;
    let timeout = c.within("dpop.replay.timeout", written.timeout, SHORTEST_WAIT, LONGEST_WAIT);
    let store = match written.store {
        ReplayStore::Memory => {
            alone(c, written);
            return Some(Replay::in_memory(max_entries));
        }
        ReplayStore::Redis => {
            foreign(c, "redis", "bucket", written.bucket.is_some());
            let url = needed(c, "redis", "url", written.url.as_deref());
            Store::Redis { url: url.and_then(|url| address(c, &REDIS, url))? }
        }
        ReplayStore::Nats => {
            let url = needed(c, "nats", "url", written.url.as_deref());
            let bucket = needed(c, "nats", "bucket", written.bucket.as_deref());
            let url = url.and_then(|url| address(c, &NATS, url));
            let bucket = bucket.and_then(|name| self::bucket(c, name));
            Store::Nats { url: url?, bucket: bucket? }
        }
    };
    let ca = match &written.ca {
        Some(file) => anchors(c, written, file),
        None => Some(Vec::new()),
    };
    let on_unavailable = match written.on_unavailable {
        WrittenOnUnavailable::Deny => OnUnavailable::Deny,
        WrittenOnUnavailable::Allow => {
            c.warn(
                "dpop.replay.on_unavailable",
                "while the store is out of reach, a proof used at one replica passes at another",
            );
            OnUnavailable::Allow
        }
    };
    Some(Replay {
        max_entries,
        shared: Some(SharedReplay { store, ca: ca?, timeout: timeout?, on_unavailable }),
    })
}

/// Without a shared store the keys that speak of one mean nothing; the defaults are as good as left out.
fn alone(c: &mut Checks<'_>, written: &Written) {
    let default = Written::default();
    foreign(c, "memory", "url", written.url.is_some());
    foreign(c, "memory", "bucket", written.bucket.is_some());
    foreign(c, "memory", "ca", written.ca.is_some());
    foreign(c, "memory", "timeout", written.timeout != default.timeout);
    foreign(c, "memory", "on_unavailable", written.on_unavailable != default.on_unavailable);
}

fn needed<'w>(c: &mut Checks<'_>, store: &str, key: &str, written: Option<&'w str>) -> Option<&'w str> {
    let path = format!("dpop.replay.{key}");
    if written.is_none() && !c.is_unsound(&path) {
        c.fault(&path, format!("the key `{key}` is missing"))
            .expected(format!("`{key}:` for `store: {store}`"));
    }
    written
}

fn foreign(c: &mut Checks<'_>, store: &str, key: &str, is_there: bool) {
    if is_there {
        c.fault(&format!("dpop.replay.{key}"), format!("`{key}` means nothing for `store: {store}`"))
            .expected("the key left out");
    }
}

/// What the URL of a store looks like.
struct Form {
    plain: &'static str,
    encrypted: &'static str,
    /// Whether the path may name a database.
    database: bool,
    expected: &'static str,
}

/// A URL of which nothing is ignored: no query, no fragment (`#insecure` would end the checks of TLS), and a
/// user only with a password.
fn address(c: &mut Checks<'_>, form: &Form, written: &str) -> Option<String> {
    let plain = written.strip_prefix(form.plain);
    let rest = plain.or_else(|| written.strip_prefix(form.encrypted)).unwrap_or("");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path_is_fine =
        path.is_empty() || (form.database && path.len() < 5 && path.bytes().all(|b| b.is_ascii_digit()));
    let authority = reachable(authority).filter(|_| path_is_fine);
    let login = authority.as_ref().and_then(|a| a.as_str().rsplit_once('@'));
    let login_is_fine = login.is_none_or(|(login, _)| login.contains(':'));
    let Some(authority) = authority.filter(|_| login_is_fine) else {
        c.fault(URL, "this is not the URL of such a store").found(quoted(written)).expected(form.expected);
        return None;
    };
    if plain.is_some() && !is_loopback(authority.host()) {
        c.warn(
            URL,
            &format!("used proofs, and a password, cross the network in clear: use {}", form.encrypted),
        );
    }
    Some(written.to_owned())
}

fn bucket(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let sound =
        !written.is_empty() && written.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !sound {
        c.fault("dpop.replay.bucket", "this is not the name of a key-value bucket")
            .found(quoted(written))
            .expected("letters, digits, _ and -");
    }
    sound.then(|| written.to_owned())
}

fn anchors(
    c: &mut Checks<'_>,
    written: &Written,
    file: &str,
) -> Option<Vec<rustls::pki_types::CertificateDer<'static>>> {
    let encrypted = [REDIS.encrypted, NATS.encrypted];
    let url = written.url.as_deref().unwrap_or("");
    if !encrypted.iter().any(|scheme| url.starts_with(scheme)) && !c.is_unsound(URL) {
        c.fault("dpop.replay.ca", "trust anchors mean nothing without TLS")
            .expected(format!("a url that begins with {} or {}", encrypted[0], encrypted[1]));
        return None;
    }
    pem::certificates(c, "dpop.replay.ca", file)
}

const URL: &str = "dpop.replay.url";
const REDIS: Form = Form {
    plain: "redis://",
    encrypted: "rediss://",
    database: true,
    expected: "redis://HOST:PORT or rediss://USER:PASSWORD@HOST:PORT/DB",
};
const NATS: Form = Form {
    plain: "nats://",
    encrypted: "tls://",
    database: false,
    expected: "nats://HOST:PORT or tls://USER:PASSWORD@HOST:PORT",
};
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
