//! When a line of a journal is over: nothing that it revokes can be valid any more.
//!
//! By the same rule as the index forgets. What can't be read or judged here is never over: another process may
//! understand it.

use super::super::Intake;
use crate::pop::Timestamp;
use crate::state::revocation::event::Fact;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::event::set::Unverified;

impl Intake {
    /// A Security Event Token is not verified for that: it says itself how old it is, and one that lies never counted.
    pub(super) fn line_ends(&self, line: &[u8]) -> Option<Timestamp> {
        if line.trim_ascii_start().starts_with(b"{") {
            let event = Plain::parse(line).ok()?;
            let lifetime = self.lifetime(&event.issuer)?;
            let for_ever = event.fact.is_some_and(Fact::is_for_ever);
            let last = event.iat.filter(|_| for_ever).map_or(event.at, |told| told.max(event.at));
            return Some(event.until.unwrap_or(last.plus(lifetime)));
        }
        let set = Unverified::parse(line).ok()?;
        if !self.transmitters()?.knows(set.issuer().ok()?) {
            return None;
        }
        Some(set.passing_since()?.plus(self.longest_lifetime()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::pop::forge::NOW;
    use crate::state::issuers::published::{Behaviour, Published};
    use crate::state::revocation::event::forged;
    use crate::state::revocation::tests::{ISSUER, config, event};
    use crate::state::revocation::transmitters::Transmitters;
    use crate::state::revocation::transmitters::tests::{entry, signed_by};
    use crate::telemetry::Telemetry;
    use serde_json::json;
    use std::path::PathBuf;
    use std::time::Duration;

    fn intake() -> Intake {
        let issuers = [(ISSUER.to_owned(), 3600), (forged::OTHER.to_owned(), 7200)];
        Intake::new(
            &config(config::Feed::File { path: PathBuf::new() }),
            issuers.into_iter().map(|(issuer, secs)| (issuer, Duration::from_secs(secs))).collect(),
            Telemetry::off().metrics.revocations.clone(),
        )
    }

    #[test]
    fn a_plain_event_ends_with_the_last_token_of_its_issuer_or_when_it_says() {
        let intake = intake();
        let mut plain = event(Fact::Subject, "alice");
        plain.at = NOW;
        let ends = |plain: &Plain| intake.line_ends(plain.to_json().as_bytes());
        assert_eq!(ends(&plain), Some(NOW.plus(Duration::from_secs(3600))));
        plain.until = Some(NOW.plus(Duration::from_secs(9)));
        assert_eq!(ends(&plain), plain.until);
        plain.issuer = "https://of.another.replica".to_owned();
        assert_eq!(ends(&plain), None);
        for line in ["", "{}", r#"{"id":"e","iss":"i","revoke":{"new_kind":"v"},"at":1}"#, "a.b.c"] {
            assert_eq!(intake.line_ends(line.as_bytes()), None, "{line}");
        }
    }

    #[tokio::test]
    async fn a_set_ends_with_the_last_token_of_all_unless_it_speaks_of_the_stream() {
        let published = Published::start(Behaviour::Keys(vec![(1, "k1")])).await;
        let set = signed_by(&published, 1, "k1", |_| ());
        assert_eq!(intake().line_ends(set.as_bytes()), None, "nobody that is known here");
        let metrics = &Telemetry::off().metrics;
        let transmitters = Transmitters::start(&[entry(&published)], metrics).unwrap();
        let intake = intake().believing(transmitters);
        assert_eq!(intake.line_ends(set.as_bytes()), Some(NOW.plus(Duration::from_secs(7200))));
        let of = |kind: &str| {
            let uri = format!("https://schemas.openid.net/secevent/ssf/event-type/{kind}");
            signed_by(&published, 1, "k1", |claims| claims["events"] = json!({ uri: {} }))
        };
        assert!(intake.line_ends(of("verification").as_bytes()).is_some());
        assert_eq!(intake.line_ends(of("stream-updated").as_bytes()), None);
    }
}
