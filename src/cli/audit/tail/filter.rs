//! Which records are shown.

use super::super::record::{Record, kind, time};
use std::time::{Duration, SystemTime};

/// What a record has to be like. Whatever is not given matches.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only decisions about this client
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Only decisions about this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only what is about this issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Only decisions on this route, as its path is written in the configuration
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Only decisions that went this way
    #[arg(long, value_parser = ["granted", "observed", "refused"])]
    verdict: Option<String>,
    /// Only decisions for this reason
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only records of this kind: decision, config, keys, feed, start, …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only what was written then or later: a time, or how long ago (5m)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
}

impl Filter {
    /// Whether the line of a record is shown.
    pub(super) fn shows(&self, line: &[u8]) -> bool {
        if self.is_before(line) || self.kind.as_deref().is_some_and(|wanted| kind(line) != Some(wanted)) {
            return false;
        }
        let members = self.members();
        if members.iter().all(|(_, wanted)| wanted.is_none()) {
            return time(line).is_some();
        }
        let Some(record) = Record::read(line) else { return false };
        members.iter().all(|(name, wanted)| wanted.is_none() || record.text(name) == *wanted)
    }

    /// Whether it was written before `--since`.
    pub(super) fn is_before(&self, line: &[u8]) -> bool {
        // Times are all written alike, so their texts are in their order.
        self.since.as_deref().is_some_and(|since| time(line).is_some_and(|time| time < since))
    }

    /// Whether `--since` was given.
    pub(super) fn looks_back(&self) -> bool {
        self.since.is_some()
    }

    fn members(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("client", self.client.as_deref()),
            ("subject", self.subject.as_deref()),
            ("issuer", self.issuer.as_deref()),
            ("route", self.route.as_deref()),
            ("verdict", self.verdict.as_deref()),
            ("reason", self.reason.as_deref()),
        ]
    }
}

/// A time as records have it.
fn since(text: &str) -> Result<String, String> {
    let ago = humantime::parse_duration(text).ok();
    let time = ago.and_then(|ago: Duration| SystemTime::now().checked_sub(ago));
    let time = time.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    let time = time.ok_or("a time is needed, such as 2026-11-21T09:00:00Z, or how long ago, such as 5m")?;
    Ok(humantime::format_rfc3339_micros(time.max(SystemTime::UNIX_EPOCH)).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"seq":1,"time":"2026-11-21T09:00:00.000000Z","kind":"decision","client":"app","verdict":"refused"}"#;

    fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    }

    #[test]
    fn every_word_has_to_match() {
        let text = |text: &str| Some(text.to_owned());
        assert!(Filter::default().shows(LINE));
        assert!(
            filter(|f| f.client = text("app")).shows(LINE) && !filter(|f| f.client = text("ap")).shows(LINE)
        );
        assert!(
            filter(|f| f.kind = text("decision")).shows(LINE)
                && !filter(|f| f.kind = text("feed")).shows(LINE)
        );
        assert!(!filter(|f| f.reason = text("x")).shows(LINE) && !Filter::default().shows(b"{}"));
    }

    #[test]
    fn times_are_compared() {
        let at = |text: &str| filter(|f| f.since = Some(since(text).unwrap()));
        assert!(at("2026-11-21T09:00:00Z").shows(LINE) && !at("2026-11-21T09:00:00.000001Z").shows(LINE));
        assert!(
            at("2026-11-21 08:59:59").shows(LINE) && at("1000y").shows(LINE) && !at("0s").is_before(b"{}")
        );
        assert!(since("yesterday").is_err());
    }
}
