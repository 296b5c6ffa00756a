use super::super::file;
use super::super::{Delivery, Taken};
use super::*;
use crate::config::{self, Feed};
use crate::pop::Denial;
use crate::state::issuers::Issuers;
use crate::state::issuers::published::{Behaviour, Published};
use crate::state::revocation::event::Fact;
use crate::state::revocation::tests::{Directory, admits, config, event, now, ready, start, until};
use crate::state::revocation::transmitters::Transmitters;
use crate::state::revocation::transmitters::tests::{entry, signed_by};
use crate::state::revocation::{FeedStatus, Revocations};
use crate::telemetry::Telemetry;
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;

/// A journal, a transmitter, and what is made of them.
struct Scene {
    directory: Directory,
    published: Arc<Published>,
}

impl Scene {
    async fn set(behaviour: Behaviour) -> Scene {
        Scene { directory: Directory::new(), published: Published::start(behaviour).await }
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    fn config(&self) -> config::Revocation {
        let transmitters = vec![entry(&self.published)];
        config::Revocation { transmitters, ..config(Feed::File { path: self.journal() }) }
    }

    fn append(&self, line: &str) {
        file::append(&self.journal(), line).unwrap();
    }

    /// The end of alice's session, now, by this key.
    fn ended(&self, seed: u8, kid: &str) -> String {
        signed_by(&self.published, seed, kid, |claims| {
            claims["iat"] = json!(now().as_secs());
            let kind = crate::state::revocation::event::forged::SESSION_REVOKED;
            claims["events"] = json!({ kind: {} });
        })
    }

    /// What the transmitter says of its stream.
    fn stream(&self, status: &str, at: i64) -> String {
        signed_by(&self.published, 1, "k1", |claims| {
            claims["iat"] = json!(at);
            claims["sub_id"] = json!({ "format": "opaque", "id": "stream-1" });
            let kind = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
            claims["events"] = json!({ kind: { "status": status } });
        })
    }
}

fn count(revocations: &Revocations, reason: &str) -> u64 {
    revocations.refused().find(|(r, _)| *r == reason).unwrap().1
}

/// RV-002, RV-013, RV-018
#[tokio::test]
async fn a_signed_event_counts_once_however_often_it_comes() {
    let scene = Scene::set(Behaviour::Keys(vec![(1, "k1")])).await;
    let set = scene.ended(1, "k1");
    scene.append(&set);
    scene.append(&signed_by(&scene.published, 1, "k1", |claims| {
        claims["events"] = json!({ "urn:example:new": {} });
    }));
    let revocations = start(&config::Revocation { accept_plain: false, ..scene.config() }).unwrap();
    ready(&revocations).await;
    scene.append(&set);
    until("it a second time", || revocations.applied() == 2).await;
    assert_eq!((revocations.ignored(), revocations.entries()), (1, 1));
    assert_eq!(admits(&revocations, "t"), Err(Denial::TokenRevoked));
}

/// RV-014
#[tokio::test]
async fn an_old_event_does_nothing_to_newer_tokens() {
    let scene = Scene::set(Behaviour::Keys(vec![(1, "k1")])).await;
    scene.append(&signed_by(&scene.published, 1, "k1", |claims| {
        let kind = crate::state::revocation::event::forged::SESSION_REVOKED;
        claims["iat"] = json!(now().as_secs() - 600);
        claims["events"] = json!({ kind: {} });
    }));
    let revocations = start(&scene.config()).unwrap();
    ready(&revocations).await;
    assert_eq!((admits(&revocations, "t"), revocations.applied()), (Ok(()), 1));
}

/// JWKS-05
#[tokio::test]
async fn an_event_by_a_new_key_waits_for_it_and_holds_up_nobody() {
    let scene = Scene::set(Behaviour::Keys(vec![(1, "k1")])).await;
    let revocations = start(&scene.config()).unwrap();
    ready(&revocations).await;
    scene.published.set(Behaviour::Status(503));
    scene.append(&scene.ended(9, "k9"));
    scene.append(&event(Fact::TokenId, "t").to_json());
    // It counts before it is counted.
    until("the event behind it", || admits(&revocations, "t").is_err() && revocations.applied() == 1).await;
    assert_eq!(admits(&revocations, "other"), Ok(()));
    scene.published.set(Behaviour::Keys(vec![(1, "k1"), (9, "k9")]));
    until("the parked event", || admits(&revocations, "other") == Err(Denial::TokenRevoked)).await;
    assert_eq!(count(&revocations, "key_unknown"), 0);
}

/// RV-025, JW-005
#[tokio::test]
async fn a_backlog_that_waits_for_keys_has_not_been_applied() {
    let scene = Scene::set(Behaviour::Status(503)).await;
    scene.append(&scene.ended(1, "k1"));
    scene.append(&event(Fact::TokenId, "t").to_json());
    let revocations = start(&scene.config()).unwrap();
    until("the event behind it", || revocations.entries() == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    assert_eq!(admits(&revocations, "other"), Err(Denial::RevocationsStale));
    scene.published.set(Behaviour::Keys(vec![(1, "k1")]));
    ready(&revocations).await;
    assert_eq!(admits(&revocations, "other"), Err(Denial::TokenRevoked));
}

#[tokio::test]
async fn a_key_that_is_not_published_after_the_event_came_is_unknown() {
    let scene = Scene::set(Behaviour::Keys(vec![(1, "k1")])).await;
    scene.append(&scene.ended(9, "k9"));
    let revocations = start(&scene.config()).unwrap();
    ready(&revocations).await;
    assert_eq!((count(&revocations, "key_unknown"), revocations.applied()), (1, 0));
    assert_eq!(admits(&revocations, "t"), Ok(()));
    scene.append(&scene.ended(9, "k9"));
    until("the second rejection", || count(&revocations, "key_unknown") == 2).await;
}

#[tokio::test]
async fn an_event_that_waits_for_too_long_makes_the_feed_stale() {
    let scene = Scene::set(Behaviour::Status(503)).await;
    let config = config::Revocation { max_staleness: Duration::from_millis(300), ..scene.config() };
    let revocations = start(&config).unwrap();
    ready(&revocations).await;
    scene.append(&scene.ended(1, "k1"));
    until("stale", || revocations.status() == FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "t"), Err(Denial::RevocationsStale));
    scene.published.set(Behaviour::Keys(vec![(1, "k1")]));
    until("current", || revocations.status() == FeedStatus::Current).await;
    assert_eq!(admits(&revocations, "t"), Err(Denial::TokenRevoked));
}

/// RV-024, SSF-14
#[tokio::test]
async fn a_paused_stream_is_a_feed_that_is_cut_off() {
    let scene = Scene::set(Behaviour::Keys(vec![(1, "k1")])).await;
    let config = config::Revocation { max_staleness: Duration::from_secs(5), ..scene.config() };
    let revocations = start(&config).unwrap();
    ready(&revocations).await;
    let at = now().as_secs();
    scene.append(&scene.stream("paused", at - 10));
    until("stale", || revocations.status() == FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "t"), Err(Denial::RevocationsStale));
    scene.append(&scene.stream("enabled", at - 20));
    scene.append(&scene.stream("enabled", at));
    until("current", || revocations.status() == FeedStatus::Current).await;
    assert_eq!((admits(&revocations, "t"), revocations.applied()), (Ok(()), 3));
}

#[tokio::test]
async fn only_so_many_wait_and_each_only_once() {
    let scene = Scene::set(Behaviour::Hang).await;
    let entries = [entry(&scene.published)];
    let telemetry = Telemetry::off();
    let keys = Issuers::start_transmitters(&[entries[0].signer.clone()], &telemetry.metrics).unwrap();
    let metrics = telemetry.metrics.revocations.clone();
    let intake =
        Intake::new(&scene.config(), HashMap::new(), metrics).believing(Transmitters::with(&entries, keys));
    let sets: Vec<String> = (0..=MOST)
        .map(|n| signed_by(&scene.published, 1, "k1", |claims| claims["jti"] = json!(n.to_string())))
        .collect();
    let take = |set: &str| {
        let delivery = Delivery { bytes: set.as_bytes(), place: &"here", published: None };
        intake.take(&delivery, now())
    };
    for set in &sets[..MOST] {
        assert_eq!(take(set), Taken::Parked);
    }
    assert_eq!((take(&sets[0]), take(&sets[MOST])), (Taken::Parked, Taken::Full));
    intake.heard();
    assert_eq!(intake.health.status(), FeedStatus::CatchingUp);
}
