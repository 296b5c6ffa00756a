//! The stream feed against a real nats-server, which is killed without warning.

mod access;
mod snapshots;
mod trouble;

use crate::config;
use crate::pop::Denial;
use crate::state::revocation::event::Fact;
use crate::state::revocation::tests::{Directory, admits, config, event, free_port, ready, start, until};
use crate::state::revocation::{FeedStatus, Revocations};
use async_nats::jetstream;
use futures_util::StreamExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const STREAM: &str = super::DEFAULT_STREAM;

/// A nats-server with JetStream, on a port that stays its own over restarts.
struct Server {
    directory: Directory,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn stopped() -> Server {
        Server { directory: Directory::new(), port: free_port(), child: None }
    }

    async fn running() -> Server {
        let mut server = Server::stopped();
        server.start().await;
        server
    }

    async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    async fn start_with(&mut self, more: &[&str]) {
        let child = Command::new(binary())
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.directory.path())
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = self.port;
        until("nats-server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    }

    /// SIGKILL.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn config(&self) -> config::Revocation {
        config(config::Feed::Nats(self.target("clinch.revocations.>")))
    }

    async fn follow(&self) -> Arc<Revocations> {
        let revocations = start(&self.config()).unwrap();
        ready(&revocations).await;
        revocations
    }

    async fn publish(&self, jti: &str) -> u64 {
        let event = event(Fact::TokenId, jti);
        let text = event.to_json();
        super::publish(&self.target(super::DEFAULT_SUBJECT), &event.id, text.as_bytes()).await.unwrap()
    }

    fn target(&self, subject: &str) -> config::Nats {
        config::Nats {
            url: self.url(),
            stream: STREAM.to_owned(),
            subject: subject.to_owned(),
            ..config::Nats::default()
        }
    }

    async fn raw(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    let named = std::env::var_os("CLINCH_NATS_SERVER").map(PathBuf::from);
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = || {
        let directories = std::env::split_paths(&path).chain([PathBuf::from(tools)]);
        directories.map(|directory| directory.join("nats-server")).find(|file| file.is_file())
    };
    named.or_else(installed).expect("nats-server is needed: `make test-tools` installs it")
}

async fn revoked(revocations: &Revocations, jti: &str) -> Duration {
    until(jti, || admits(revocations, jti) == Err(Denial::TokenRevoked)).await
}

#[tokio::test]
async fn a_first_start_makes_the_stream_and_an_empty_one_is_caught_up_at_once() {
    let server = Server::running().await;
    let revocations = server.follow().await;
    assert_eq!((revocations.status(), revocations.entries()), (FeedStatus::Current, 0));
    let context = jetstream::new(server.raw().await);
    let info = context.get_stream(STREAM).await.unwrap().cached_info().clone();
    assert!(info.config.max_age > Duration::from_secs(3600));
}

#[tokio::test]
async fn the_backlog_counts_before_ready_and_a_live_event_within_milliseconds() {
    let server = Server::running().await;
    drop(server.follow().await);
    let context = jetstream::new(server.raw().await);
    let mut acknowledgements = Vec::new();
    for n in 0..2000 {
        let event = event(Fact::TokenId, &n.to_string()).to_json();
        acknowledgements.push(context.publish("clinch.revocations.plain", event.into()).await.unwrap());
    }
    for acknowledgement in acknowledgements {
        acknowledgement.await.unwrap();
    }
    let revocations = server.follow().await;
    assert_eq!(revocations.entries(), 2000);
    assert_eq!(admits(&revocations, "1999"), Err(Denial::TokenRevoked));
    let sequence = server.publish("live").await;
    assert_eq!(sequence, 2001);
    let delay = revoked(&revocations, "live").await;
    assert!(delay < Duration::from_secs(5), "{delay:?}");
}

#[tokio::test]
async fn every_replica_sees_every_event() {
    let server = Server::running().await;
    let (one, two) = (server.follow().await, server.follow().await);
    for n in 0..20 {
        server.publish(&n.to_string()).await;
    }
    until("all events", || one.entries() == 20 && two.entries() == 20).await;
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_its_return_heals_with_nothing_lost() {
    let mut server = Server::running().await;
    let revocations = server.follow().await;
    server.publish("before").await;
    revoked(&revocations, "before").await;
    server.kill();
    until("reconnecting", || revocations.status() == FeedStatus::Reconnecting).await;
    assert_eq!(admits(&revocations, "other"), Ok(()), "not stale yet");
    server.start().await;
    server.publish("during").await;
    revoked(&revocations, "during").await;
    until("current", || revocations.status() == FeedStatus::Current).await;
    server.publish("after").await;
    revoked(&revocations, "after").await;
    assert_eq!(revocations.entries(), 3);
    assert_eq!(revocations.applied(), 3, "resumed behind what was applied");
}

#[tokio::test]
async fn a_long_outage_is_stale_until_what_was_missed_is_applied() {
    let mut server = Server::running().await;
    let mut config = server.config();
    config.max_staleness = Duration::from_secs(4);
    let revocations = start(&config).unwrap();
    ready(&revocations).await;
    server.kill();
    until("stale", || revocations.status() == FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "t"), Err(Denial::RevocationsStale));
    server.start().await;
    until("current", || revocations.status() == FeedStatus::Current).await;
    assert_eq!(admits(&revocations, "t"), Ok(()));
    server.publish("after").await;
    revoked(&revocations, "after").await;
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        assert_eq!(revocations.status(), FeedStatus::Current, "heartbeats are signs of life");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_start_before_the_server_waits_for_it() {
    let mut server = Server::stopped();
    let revocations = start(&server.config()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    server.start().await;
    ready(&revocations).await;
    server.publish("t").await;
    revoked(&revocations, "t").await;
}

#[tokio::test]
async fn bad_events_are_kept_aside_and_stop_nothing() {
    let server = Server::running().await;
    let revocations = server.follow().await;
    let client = server.raw().await;
    let mut aside = client.subscribe(super::REJECTED).await.unwrap();
    client.flush().await.unwrap();
    for bad in ["not json", r#"{"id":"1","iss":"https://as.example.com","revoke":{"JKT":"k"},"at":1}"#] {
        client.publish("clinch.revocations.plain", bad.into()).await.unwrap();
        let kept = tokio::time::timeout(Duration::from_secs(10), aside.next()).await.unwrap().unwrap();
        assert_eq!(kept.payload, bad.as_bytes());
        assert!(kept.headers.unwrap().get("Clinch-Reason").is_some());
    }
    server.publish("good").await;
    revoked(&revocations, "good").await;
    let refused: u64 = revocations.refused().map(|(_, count)| count).sum();
    assert_eq!(refused, 2, "what was kept aside does not come round again");
}

#[tokio::test]
async fn a_stream_that_disappears_is_not_replaced_by_an_empty_one() {
    let server = Server::running().await;
    let mut config = server.config();
    config.max_staleness = Duration::from_millis(400);
    let revocations = start(&config).unwrap();
    ready(&revocations).await;
    let context = jetstream::new(server.raw().await);
    context.delete_stream(STREAM).await.unwrap();
    until("stale", || revocations.status() == FeedStatus::Stale).await;
    assert!(context.get_stream(STREAM).await.is_err());
}

#[tokio::test]
async fn publishing_without_a_stream_is_an_error() {
    let server = Server::running().await;
    let event = event(Fact::TokenId, "t");
    let target = server.target("clinch.revocations.plain");
    assert!(super::publish(&target, &event.id, event.to_json().as_bytes()).await.is_err());
}
