use super::published::{Behaviour, LIMIT, PATIENCE, Published, eventually, jwks, start};
use super::*;
use crate::telemetry::Telemetry;

/// Starts, and waits for the first keys.
async fn ready(config: &Issuer) -> (Arc<Issuers>, Arc<Telemetry>) {
    let (issuers, telemetry) = start(config);
    eventually("ready", || issuers.unready().is_empty()).await;
    (issuers, telemetry)
}

fn one_key() -> Behaviour {
    Behaviour::Keys(vec![(1, "k1")])
}

/// Never ready, for this reason as the metric names it.
async fn refused(published: &Published, config: &Issuer, fault: &str) {
    let (issuers, telemetry) = start(config);
    let line = format!("clinch_jwks_fetches_total{{issuer=\"{}\",result=\"{fault}\"}}", published.name);
    eventually(fault, || telemetry.render().contains(&line)).await;
    assert_eq!(issuers.find(&published.name).unwrap_err(), Denial::KeysUnavailable);
    assert_eq!(issuers.unready(), std::slice::from_ref(&published.name));
}

/// DISC-01, SBCP-08
#[tokio::test]
async fn keys_are_discovered_in_either_place() {
    let published = Published::start(one_key()).await;
    for oauth in [true, false] {
        *published.oauth_metadata.lock() = oauth;
        let (issuers, telemetry) = ready(&published.config()).await;
        let known = issuers.find(&published.name).unwrap();
        assert_eq!(known.keys.len(), 1);
        assert!(known.edition.is_current());
        assert!(telemetry.render().contains("result=\"ok\"} 1\n"));
    }
}

/// JWKS-08, BCP-07
#[tokio::test]
async fn an_unlisted_issuer_is_refused_and_causes_nothing() {
    let published = Published::start(one_key()).await;
    let (issuers, telemetry) = ready(&published.config()).await;
    let before = published.fetches();
    for name in ["https://evil.example", &format!("{}/", published.name), ""] {
        assert_eq!(issuers.find(name).unwrap_err(), Denial::TokenIssuer);
        assert_eq!(issuers.refetch(name).await, Refetched::Recent);
    }
    assert_eq!(published.fetches(), before);
    assert!(!telemetry.render().contains("evil"));
}

/// DISC-02, JW-014
#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    let published = Published::start(one_key()).await;
    *published.metadata_issuer.lock() = Some(format!("{}/", published.name));
    refused(&published, &published.config(), "issuer_mismatch").await;
    assert_eq!(published.fetches(), 0);
}

/// JWKS-01, JWKS-10, JW-010, JW-011, JW-012
#[tokio::test]
async fn what_is_not_a_key_set_is_refused() {
    let published = Published::start(Behaviour::Status(500)).await;
    let config =
        Issuer { jwks_uri: Some(format!("{}/jwks", published.name).parse().unwrap()), ..published.config() };
    refused(&published, &config, "status").await;
    published.set(Behaviour::Redirect("/elsewhere".to_owned()));
    refused(&published, &config, "status").await;
    published.set(Behaviour::Body("<html>".to_owned()));
    refused(&published, &config, "malformed").await;
    published.set(Behaviour::Body(r#"{"keys":[],"keys":[]}"#.to_owned()));
    refused(&published, &config, "malformed").await;
    published.set(Behaviour::Body(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.to_owned()));
    refused(&published, &config, "no_keys").await;
    published.set(Behaviour::Body(format!("{}{}", jwks(&[(1, "k1")]), " ".repeat(600 * 1024))));
    refused(&published, &config, "too_large").await;
    published.set(Behaviour::Hang);
    refused(&published, &config, "slow").await;
}

/// DISC-04, JWKS-09
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused() {
    let published = Published::start(one_key()).await;
    let stranger = Published::start(one_key()).await;
    refused(&published, &Issuer { ca: vec![], ..published.config() }, "unreachable").await;
    refused(&published, &Issuer { ca: vec![stranger.ca.clone()], ..published.config() }, "unreachable").await;
    assert_eq!(published.fetches(), 0);
}

/// JWKS-10, JW-005
#[tokio::test]
async fn an_outage_at_start_ends() {
    let published = Published::start(Behaviour::Status(503)).await;
    let (issuers, _telemetry) = start(&published.config());
    eventually("a second attempt", || published.fetches() > 1).await;
    published.set(one_key());
    eventually("ready", || issuers.unready().is_empty()).await;
}

/// JWKS-06, JW-020
#[tokio::test]
async fn a_refresh_replaces_the_keys_and_their_edition() {
    let published = Published::start(Behaviour::Keys(vec![(1, "k1"), (2, "k2")])).await;
    let (issuers, _telemetry) =
        ready(&Issuer { jwks_refresh: Duration::from_millis(20), ..published.config() }).await;
    let before = issuers.find(&published.name).unwrap();
    let fetches = published.fetches();
    eventually("two refreshes", || published.fetches() > fetches + 2).await;
    assert!(before.edition.is_current(), "the same content is the same edition");
    published.set(Behaviour::Keys(vec![(2, "k2")]));
    eventually("one key", || issuers.find(&published.name).unwrap().keys.len() == 1).await;
    assert!(!before.edition.is_current());
}

/// JWKS-07, JWKS-10, JW-006
#[tokio::test]
async fn an_outage_keeps_the_last_good_keys_until_they_are_too_old() {
    let published = Published::start(one_key()).await;
    let refresh = Duration::from_millis(20);
    let max_stale = Duration::from_secs(5);
    let config = Issuer { jwks_refresh: refresh, jwks_max_stale: max_stale, ..published.config() };
    let (issuers, _telemetry) = ready(&config).await;
    let known = issuers.find(&published.name).unwrap();
    published.set(Behaviour::Body(r#"{"keys":[]}"#.to_owned()));
    let fetches = published.fetches();
    eventually("failures", || published.fetches() > fetches + 2).await;
    assert!(issuers.find(&published.name).is_ok() && known.edition.is_current());
    eventually("too old", || issuers.find(&published.name).is_err()).await;
    assert_eq!(issuers.find(&published.name).unwrap_err(), Denial::KeysUnavailable);
    assert!(!known.edition.is_current());
    published.set(one_key());
    eventually("back", || issuers.find(&published.name).is_ok()).await;
}

/// JW-012, JW-018
#[tokio::test]
async fn only_so_many_wait_for_a_slow_issuer() {
    let published = Published::start(one_key()).await;
    let (issuers, _telemetry) = ready(&published.config()).await;
    published.set(Behaviour::Hang);
    let mut waiting = JoinSet::new();
    for _ in 0..300 {
        let (issuers, name) = (Arc::clone(&issuers), published.name.clone());
        waiting.spawn(async move {
            let began = std::time::Instant::now();
            (issuers.refetch(&name).await, began.elapsed())
        });
    }
    let outcomes = waiting.join_all().await;
    let at_once = outcomes.iter().filter(|(_, waited)| *waited < LIMIT / 2).count();
    assert!(at_once >= 300 - 256, "{at_once}");
    assert!(outcomes.iter().all(|(outcome, _)| *outcome == Refetched::Failed));
}

/// JWKS-05, JW-003
#[tokio::test]
async fn a_flood_of_unknown_keys_causes_one_fetch_per_cooldown() {
    let published = Published::start(one_key()).await;
    let (issuers, _telemetry) = ready(&published.config()).await;
    let flood = async |issuers: &Arc<Issuers>| {
        let mut waiting = JoinSet::new();
        for _ in 0..200 {
            let (issuers, name) = (Arc::clone(issuers), published.name.clone());
            waiting.spawn(async move { issuers.refetch(&name).await });
        }
        waiting.join_all().await
    };
    let first = flood(&issuers).await;
    assert!(first.contains(&Refetched::Fresh));
    assert!(!first.contains(&Refetched::Failed));
    assert_eq!(published.fetches(), 2, "the first and one more");
    let then = flood(&issuers).await;
    assert!(then.iter().all(|r| *r == Refetched::Recent), "at once");
    assert_eq!(published.fetches(), 2);
}

/// JWKS-07, JW-004
#[tokio::test]
async fn an_error_during_the_flood_leaves_known_keys_working() {
    let published = Published::start(one_key()).await;
    let config = Issuer { jwks_cooldown: Duration::ZERO, ..published.config() };
    let (issuers, _telemetry) = ready(&config).await;
    let known = issuers.find(&published.name).unwrap();
    for trouble in [Behaviour::Status(500), Behaviour::Hang, Behaviour::Body(String::new())] {
        published.set(trouble);
        let asked = std::time::Instant::now();
        assert_eq!(issuers.refetch(&published.name).await, Refetched::Failed);
        assert!(asked.elapsed() < PATIENCE / 2);
        assert!(known.edition.is_current() && issuers.find(&published.name).is_ok());
    }
}

#[tokio::test]
async fn dropping_the_issuers_ends_the_refresh() {
    let published = Published::start(one_key()).await;
    let (issuers, _telemetry) =
        ready(&Issuer { jwks_refresh: Duration::from_millis(5), ..published.config() }).await;
    let keys = Arc::downgrade(issuers.by_name.values().next().unwrap());
    drop(issuers);
    eventually("the task is gone", || keys.strong_count() == 0).await;
}
