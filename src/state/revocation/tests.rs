//! The whole of revocation on a journal; and the pieces that its other tests share.

mod ports;

pub(super) use ports::free_port;

use super::event::Fact;
use super::event::plain::Plain;
use super::feed::file;
use super::*;
use crate::config;
use crate::pop::access_token::Expected;
use crate::telemetry::Telemetry;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

pub(super) const ISSUER: &str = "https://as.example.com";

/// A directory that goes when the test ends.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Directory {
        let mut id = [0; 8];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        let path = std::env::temp_dir().join(format!("clinch-test-{:016x}", u64::from_ne_bytes(id)));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

pub(super) fn event(fact: Fact, value: &str) -> Plain {
    Plain {
        id: format!("event-{value}"),
        issuer: ISSUER.to_owned(),
        fact: Some(fact),
        value: value.to_owned(),
        at: now(),
        until: None,
        iat: None,
    }
}

pub(super) fn config(feed: config::Feed) -> config::Revocation {
    config::Revocation {
        feed,
        push: None,
        transmitters: Vec::new(),
        accept_plain: true,
        max_staleness: Duration::from_secs(30),
        on_stale: OnStale::Deny,
        max_entries: 10_000,
        snapshot: None,
    }
}

pub(super) fn start(config: &config::Revocation) -> anyhow::Result<Arc<Revocations>> {
    let issuer = config::Issuer {
        expected: Arc::new(Expected {
            issuer: ISSUER.into(),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            token_types: Vec::new(),
            max_lifetime: Duration::from_secs(3600),
        }),
        jwks_uri: None,
        ca: Vec::new(),
        jwks_refresh: Duration::from_secs(300),
        jwks_cooldown: Duration::from_secs(10),
        jwks_max_stale: Duration::from_secs(3600),
        introspection: None,
    };
    Revocations::start(Some(config), &[issuer], &Telemetry::off().metrics)
}

/// What becomes of a token of `alice` with this `jti`, issued a minute ago.
pub(super) fn admits(revocations: &Revocations, jti: &str) -> Result<(), Denial> {
    let issued = Timestamp::from_secs(now().as_secs() - 60);
    revocations.admits(&Token { sub: "alice", jti, issued }, &revocations.belief()).map(|_| ())
}

/// A token of [`ISSUER`].
struct Token<'a> {
    sub: &'a str,
    jti: &'a str,
    issued: Timestamp,
}

impl Bearer for Token<'_> {
    fn issuer(&self) -> &str {
        ISSUER
    }
    fn issued_at(&self) -> Timestamp {
        self.issued
    }
    fn fact(&self, fact: Fact) -> Option<std::borrow::Cow<'_, str>> {
        let known = [(Fact::TokenId, self.jti), (Fact::Subject, self.sub)];
        known.into_iter().find(|(name, _)| *name == fact).map(|(_, value)| value.into())
    }
}

/// Waits until it holds; how long that took.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "never came: {what}");
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    started.elapsed()
}

pub(super) async fn ready(revocations: &Revocations) {
    tokio::time::timeout(Duration::from_secs(20), revocations.ready()).await.expect("the feed catches up");
}

fn journal(directory: &Directory) -> PathBuf {
    directory.path().join("revocations.jsonl")
}

fn on_journal(directory: &Directory) -> config::Revocation {
    config(config::Feed::File { path: journal(directory) })
}

fn refused(revocations: &Revocations) -> u64 {
    revocations.refused().map(|(_, count)| count).sum()
}

#[tokio::test]
async fn without_a_feed_nothing_is_revoked() {
    let revocations = Revocations::off();
    assert_eq!(revocations.status(), FeedStatus::Off);
    revocations.ready().await;
    assert_eq!(admits(&revocations, "t"), Ok(()));
}

#[tokio::test]
async fn the_backlog_counts_before_ready_and_a_new_line_within_milliseconds() {
    let directory = Directory::new();
    for n in 0..500 {
        let line = event(Fact::TokenId, &n.to_string()).to_json() + "\n";
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(journal(&directory)).unwrap();
        std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    }
    let revocations = start(&on_journal(&directory)).unwrap();
    ready(&revocations).await;
    assert_eq!((revocations.entries(), revocations.status()), (500, FeedStatus::Current));
    assert_eq!(admits(&revocations, "499"), Err(Denial::TokenRevoked));
    assert_eq!(admits(&revocations, "500"), Ok(()));
    file::append(&journal(&directory), &event(Fact::TokenId, "500").to_json()).unwrap();
    let delay = until("the event", || admits(&revocations, "500").is_err()).await;
    assert!(delay < Duration::from_secs(5), "{delay:?}");
}

#[tokio::test]
async fn a_missing_journal_is_made_and_a_missing_directory_is_a_fault() {
    let directory = Directory::new();
    let revocations = start(&on_journal(&directory)).unwrap();
    ready(&revocations).await;
    assert!(journal(&directory).exists());
    let path = directory.path().join("absent/revocations.jsonl");
    assert!(start(&config(config::Feed::File { path })).is_err());
}

#[tokio::test]
async fn a_revoked_subject_may_come_back_with_a_new_token() {
    let directory = Directory::new();
    file::append(&journal(&directory), &event(Fact::Subject, "alice").to_json()).unwrap();
    let revocations = start(&on_journal(&directory)).unwrap();
    ready(&revocations).await;
    let judged = |sub, after: i64| {
        let issued = Timestamp::from_secs(now().as_secs() + after);
        revocations.admits(&Token { sub, jti: "t", issued }, &revocations.belief()).map(|_| ())
    };
    assert_eq!(judged("alice", -60), Err(Denial::TokenRevoked));
    assert_eq!(judged("alice", 60), Ok(()));
    assert_eq!(judged("bob", -60), Ok(()));
}

#[tokio::test]
async fn bad_events_are_counted_by_reason_and_stop_nothing() {
    let directory = Directory::new();
    let mut other = event(Fact::TokenId, "x");
    other.issuer = "https://other".to_owned();
    let lines = [
        "not json",
        "",
        r#"{"id":"1","iss":"https://as.example.com","revoke":{"SID":"s"},"at":1}"#,
        &other.to_json(),
        &format!("{{\"id\":\"{}\"}}", "x".repeat(200_000)),
        &event(Fact::TokenId, "good").to_json(),
        "",
    ];
    std::fs::write(journal(&directory), lines.join("\n")).unwrap();
    let revocations = start(&on_journal(&directory)).unwrap();
    ready(&revocations).await;
    assert_eq!(admits(&revocations, "good"), Err(Denial::TokenRevoked));
    let count = |reason| revocations.refused().find(|(r, _)| *r == reason).unwrap().1;
    assert_eq!(count("not_an_object"), 1);
    assert_eq!(count("kind_unknown"), 1);
    assert_eq!(count("issuer_unknown"), 1);
    assert_eq!(count("too_long"), 1);
    assert_eq!((refused(&revocations), revocations.applied()), (4, 1));
}

#[tokio::test]
async fn plain_events_are_refused_where_only_signed_ones_count() {
    let directory = Directory::new();
    file::append(&journal(&directory), &event(Fact::TokenId, "t").to_json()).unwrap();
    let config = config::Revocation { accept_plain: false, ..on_journal(&directory) };
    let revocations = start(&config).unwrap();
    ready(&revocations).await;
    assert_eq!((admits(&revocations, "t"), refused(&revocations)), (Ok(()), 1));
}

#[tokio::test]
async fn a_journal_that_vanishes_makes_the_feed_stale_and_heals_when_it_is_back() {
    let directory = Directory::new();
    for (on_stale, verdict) in [(OnStale::Deny, Err(Denial::RevocationsStale)), (OnStale::Allow, Ok(()))] {
        let config = config::Revocation {
            max_staleness: Duration::from_millis(100),
            on_stale,
            ..on_journal(&directory)
        };
        let revocations = start(&config).unwrap();
        ready(&revocations).await;
        std::fs::remove_file(journal(&directory)).unwrap();
        until("stale", || revocations.status() == FeedStatus::Stale).await;
        assert_eq!(admits(&revocations, "t"), verdict);
        file::append(&journal(&directory), &event(Fact::TokenId, "t").to_json()).unwrap();
        until("current", || revocations.status() == FeedStatus::Current).await;
        assert_eq!(admits(&revocations, "t"), Err(Denial::TokenRevoked));
        std::fs::remove_file(journal(&directory)).unwrap();
    }
}

/// RV-021
#[tokio::test]
async fn a_full_index_says_so_and_goes_on_forgetting_nothing() {
    let directory = Directory::new();
    let config = config::Revocation { max_entries: 1, on_stale: OnStale::Allow, ..on_journal(&directory) };
    let revocations = start(&config).unwrap();
    ready(&revocations).await;
    file::append(&journal(&directory), &event(Fact::TokenId, "a").to_json()).unwrap();
    file::append(&journal(&directory), &event(Fact::TokenId, "b").to_json()).unwrap();
    until("full", || revocations.status() == FeedStatus::Full).await;
    assert_eq!(admits(&revocations, "c"), Err(Denial::RevocationsStale));
    assert_eq!(revocations.entries(), 1);
}

#[test]
fn before_the_backlog_is_applied_nothing_is_believed_even_where_stale_is_allowed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let nobody = config::Feed::Nats(config::Nats {
        url: "nats://127.0.0.1:1".into(),
        stream: "S".into(),
        subject: "s.>".into(),
        ..config::Nats::default()
    });
    let revocations = start(&config::Revocation { on_stale: OnStale::Allow, ..config(nobody) }).unwrap();
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    assert_eq!(admits(&revocations, "t"), Err(Denial::RevocationsStale));
}

/// FAPI-03
#[tokio::test]
async fn a_verified_request_is_judged_by_its_token() {
    use crate::pop::forge::{self, DPOP_ONLY, URL};
    let directory = Directory::new();
    let revocations = start(&on_journal(&directory)).unwrap();
    ready(&revocations).await;
    let jwt = forge::token(|_, claims| claims["sub"] = "carol".into());
    let (authorization, proof) = (format!("DPoP {jwt}"), forge::proof(&jwt, |_, _| ()));
    let parts = forge::parts("GET", URL, &[("authorization", &authorization), ("dpop", &proof)]);
    let check = || {
        revocations.check(forge::verdict(DPOP_ONLY, &parts, None).unwrap(), &revocations.belief()).map(|_| ())
    };
    file::append(&journal(&directory), &event(Fact::Subject, "dave").to_json()).unwrap();
    until("dave", || revocations.entries() == 1).await;
    assert_eq!(check(), Ok(()));
    file::append(&journal(&directory), &event(Fact::Subject, "carol").to_json()).unwrap();
    until("carol", || check() == Err(Denial::TokenRevoked)).await;
}
