//! What goes wrong with a bus: connections cut, streams made anew, floods, poison.

use super::super::Follower;
use super::*;
use crate::state::revocation::feed::Intake;
use crate::telemetry::Telemetry;
use crate::telemetry::sink::Sink;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A connection to the server that can be cut, and heals when it is opened again.
struct Wire {
    port: u16,
    server: u16,
    open: Option<JoinSet<()>>,
}

impl Wire {
    async fn to(server: &Server) -> Wire {
        let mut wire = Wire { port: 0, server: server.port, open: None };
        wire.heal().await;
        wire
    }

    async fn heal(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let server = self.server;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        self.open = Some(tasks);
    }

    async fn cut(&mut self) {
        self.open.take().unwrap().shutdown().await;
    }
}

async fn publish_many(server: &Server, names: impl Iterator<Item = String>) {
    let context = jetstream::new(server.raw().await);
    let mut acknowledgements = Vec::new();
    for name in names {
        let event = event(Fact::TokenId, &name).to_json();
        acknowledgements.push(context.publish("clinch.revocations.plain", event.into()).await.unwrap());
    }
    for acknowledgement in acknowledgements {
        acknowledgement.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_published_while_the_connection_is_cut_again_and_again_arrives() {
    let server = Server::running().await;
    let mut wire = Wire::to(&server).await;
    let url = format!("nats://127.0.0.1:{}", wire.port);
    let nats = config::Nats { url, ..server.target("clinch.revocations.>") };
    let revocations = start(&config(config::Feed::Nats(nats))).unwrap();
    ready(&revocations).await;
    for round in 0..3 {
        wire.cut().await;
        until("reconnecting", || revocations.status() == FeedStatus::Reconnecting).await;
        publish_many(&server, (0..100).map(|n| format!("{round}/{n}"))).await;
        wire.heal().await;
        until("current", || revocations.status() == FeedStatus::Current).await;
        assert_eq!(revocations.entries(), (round + 1) * 100, "current means caught up");
    }
    let reconnecting = revocations.feed().unwrap().transitions;
    assert!(reconnecting.contains(&("reconnecting", 3)), "{reconnecting:?}");
}

#[tokio::test]
async fn a_publisher_is_told_what_a_crash_of_the_server_lost_and_nothing_else_is_lost() {
    let mut server = Server::running().await;
    let revocations = server.follow().await;
    let mut published = 0;
    for crash in 0..3 {
        for n in 0..20 {
            server.publish(&format!("{crash}/{n}")).await;
            published += 1;
        }
        server.kill();
        let event = event(Fact::TokenId, "lost");
        let target = server.target(super::super::DEFAULT_SUBJECT);
        assert!(super::super::publish(&target, &event.id, event.to_json().as_bytes()).await.is_err());
        server.start().await;
        until("current", || revocations.status() == FeedStatus::Current).await;
    }
    until("all that was acknowledged", || revocations.entries() == published).await;
    assert_eq!(admits(&revocations, "lost"), Ok(()));
}

/// RV-026: also where the new stream is already longer than the old one was.
#[tokio::test]
async fn a_stream_made_anew_is_read_from_its_start_however_long_it_is() {
    for refilled in [1, 20] {
        let server = Server::running().await;
        let mut wire = Wire::to(&server).await;
        let url = format!("nats://127.0.0.1:{}", wire.port);
        let nats = config::Nats { url, ..server.target("clinch.revocations.>") };
        let revocations = start(&config(config::Feed::Nats(nats))).unwrap();
        ready(&revocations).await;
        publish_many(&server, (0..5).map(|n| format!("old/{n}"))).await;
        until("the old events", || revocations.entries() == 5).await;
        wire.cut().await;
        let context = jetstream::new(server.raw().await);
        let config = context.get_stream(STREAM).await.unwrap().cached_info().config.clone();
        context.delete_stream(STREAM).await.unwrap();
        context.create_stream(config).await.unwrap();
        publish_many(&server, (0..refilled).map(|n| format!("new/{n}"))).await;
        wire.heal().await;
        until("all of the new stream", || revocations.entries() == 5 + refilled).await;
        assert_eq!(admits(&revocations, "old/0"), Err(Denial::TokenRevoked), "nothing is forgotten");
    }
}

/// RV-026
#[tokio::test]
async fn a_stream_that_forgot_what_was_not_read_is_read_from_its_start() {
    let server = Server::running().await;
    let mut wire = Wire::to(&server).await;
    let url = format!("nats://127.0.0.1:{}", wire.port);
    let nats = config::Nats { url, ..server.target("clinch.revocations.>") };
    let revocations = start(&config(config::Feed::Nats(nats))).unwrap();
    ready(&revocations).await;
    publish_many(&server, (0..5).map(|n| format!("read/{n}"))).await;
    until("the first events", || revocations.applied() == 5).await;
    wire.cut().await;
    publish_many(&server, (0..10).map(|n| format!("missed/{n}"))).await;
    let stream = jetstream::new(server.raw().await).get_stream(STREAM).await.unwrap();
    stream.purge().sequence(9).await.unwrap();
    wire.heal().await;
    until("what is left", || revocations.applied() == 5 + 7).await;
    // A purge of what had been read is no gap.
    wire.cut().await;
    stream.purge().await.unwrap();
    wire.heal().await;
    server.publish("after").await;
    revoked(&revocations, "after").await;
    assert_eq!(revocations.applied(), 13);
}

#[tokio::test]
async fn what_the_client_drops_because_it_comes_too_fast_is_read_again() {
    let server = Server::running().await;
    drop(server.follow().await);
    publish_many(&server, (0..5000).map(|n| n.to_string())).await;
    let lifetimes = [("https://as.example.com".to_owned(), Duration::from_secs(3600))];
    let metrics = Telemetry::off().metrics.revocations.clone();
    let intake = Arc::new(Intake::new(&server.config(), lifetimes.into(), metrics));
    let target = server.target("clinch.revocations.>");
    let follower = Follower::with_room(&target, Arc::clone(&intake), None, 64).unwrap();
    tokio::time::timeout(Duration::from_secs(60), intake.health.ready()).await.unwrap();
    assert_eq!((intake.index.len(), intake.applied()), (5000, 5000), "each once");
    assert!(follower.seen.overflows.load(Relaxed) > 0, "the client's buffer did overflow");
    assert_eq!(follower.progress().position.as_deref(), Some("sequence 5000 of CLINCH_REVOCATIONS"));
    assert_eq!(follower.progress().lag, Some(0));
}

/// RV-019
#[tokio::test]
async fn poison_is_kept_aside_once_and_cut_and_the_feed_goes_on() {
    let server = Server::running().await;
    let revocations = server.follow().await;
    let client = server.raw().await;
    let mut aside = client.subscribe(super::super::REJECTED).await.unwrap();
    let deep = format!("{{\"id\":{}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
    for poison in [vec![b'x'; 900_000], vec![0xff; 5000], deep.into_bytes()] {
        let length = poison.len().to_string();
        client.publish("clinch.revocations.plain", poison.into()).await.unwrap();
        let kept = tokio::time::timeout(Duration::from_secs(10), aside.next()).await.unwrap().unwrap();
        assert_eq!(kept.payload.len(), 4096);
        assert_eq!(kept.headers.unwrap().get("Clinch-Length").unwrap().as_str(), length);
    }
    server.publish("good").await;
    revoked(&revocations, "good").await;
    assert_eq!(revocations.refused().map(|(_, count)| count).sum::<u64>(), 3);
}

#[tokio::test]
async fn a_stream_that_forgets_too_early_is_pointed_out() {
    let server = Server::running().await;
    let context = jetstream::new(server.raw().await);
    let stream = jetstream::stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["clinch.revocations.>".to_owned()],
        max_age: Duration::from_secs(60),
        ..Default::default()
    };
    context.create_stream(stream).await.unwrap();
    let revocations = server.follow().await;
    let told = revocations.feed().unwrap().progress.retention_warning;
    assert_eq!(told.as_deref(), Some("max_age is 1m, and tokens live for 1h"));
}

/// Who waits for a start sees why: once, and without the login.
#[tokio::test]
async fn a_server_that_was_never_there_is_told_of_once_and_awaited() {
    let mut server = Server::stopped();
    let log = Sink::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let url = format!("nats://clinch:s3cret@127.0.0.1:{}", server.port);
    let nats = config::Nats { url, ..server.target("clinch.revocations.>") };
    let revocations = start(&config(config::Feed::Nats(nats))).unwrap();
    let told = format!("trouble=can't connect to NATS at 127.0.0.1:{}: ", server.port);
    until("a word of why", || log.text().contains(&told)).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    server.start().await;
    ready(&revocations).await;
    assert_eq!(log.text().matches(&told).count(), 1, "{}", log.text());
    server.kill();
    until("a word of why again", || log.text().contains("can't connect to NATS again: ")).await;
    server.start().await;
    ready(&revocations).await;
    let text = log.text();
    assert_eq!(text.matches("can't connect to NATS again: ").count(), 1, "{text}");
    assert!(text.contains("refused") && !text.contains("s3cret"), "{text}");
}
