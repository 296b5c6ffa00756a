//! `/status`: all that an operator asks a replica first, in one JSON object.

use super::{Admin, rfc3339};
use crate::gate::Gate;
use crate::state::revocation::FeedReport;
use serde_json::{Map, Value, json};

impl Admin {
    pub(super) fn status(&self) -> Value {
        let proxy = self.current.proxy();
        let Gate { tokens, revocations, replay, audit, .. } = &proxy.gate;
        let unready = tokens.issuers().unready();
        let issuer = |name: &str| {
            let usable = unready.iter().all(|unready| unready != name);
            json!({ "issuer": name, "keys": if usable { "current" } else { "unavailable" } })
        };
        let issuers: Vec<Value> = tokens.issuers().names().into_iter().map(issuer).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.is_ready(),
            "configuration": proxy.made_of.number,
            "certificate": {
                "state": self.certificate(),
                "spiffe_id": self.workload.as_ref().and_then(|w| Some(w.id()?.as_str().to_owned())),
                "expires": self.current.tls.terms().expires_at.map(rfc3339),
            },
            "feed": revocations.feed().map_or_else(|| json!({ "state": "off" }), |feed| of_feed(&feed)),
            "entries": revocations.entries(),
            "events": {
                "applied": revocations.applied(),
                "ignored": revocations.ignored(),
                "rejected": counted(revocations.refused()),
            },
            "issuers": issuers,
            "replay": {
                "store": replay.status().name(),
                "entries": replay.len(),
            },
            "audit": {
                "state": audit.status().name(),
                "sequence": self.telemetry.metrics.audit.sequence.get(),
                "lost": self.telemetry.metrics.audit.lost.get(),
                "queue": audit.queued(),
            },
        })
    }
}

fn of_feed(feed: &FeedReport) -> Value {
    json!({
        "kind": feed.kind,
        "state": feed.state.name(),
        "since": rfc3339(feed.since),
        "last_word_ms_ago": u64::try_from(feed.silence.as_millis()).unwrap_or(u64::MAX),
        "position": feed.progress.position,
        "lag": feed.progress.lag,
        "retention_warning": feed.progress.retention_warning,
        "transitions": counted(feed.transitions.iter().copied()),
    })
}

/// Those that ever happened.
fn counted(counts: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    let happened = counts.filter(|(_, count)| *count > 0);
    happened.map(|(name, count)| (name.to_owned(), count.into())).collect()
}
