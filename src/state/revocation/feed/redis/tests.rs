//! The feed against one real redis-server, to which every unkind thing is done.

mod server;
mod topology;

use crate::pop::Denial;
use crate::state::revocation::event::Fact;
use crate::state::revocation::tests::{admits, event, ready, start, until};
use crate::state::revocation::{FeedStatus, Revocations};
use crate::telemetry::sink::Sink;
use ::redis::cmd;
use server::{STREAM, Server, becomes, publish, settings};
use std::time::{Duration, Instant};

async fn revoked(revocations: &Revocations, jti: &str) -> Duration {
    until(jti, || admits(revocations, jti) == Err(Denial::TokenRevoked)).await
}

/// Waits until it holds of a server.
async fn until_async(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn refused(revocations: &Revocations) -> u64 {
    revocations.refused().map(|(_, count)| count).sum()
}

/// What this thread logs from now on.
fn listen() -> (Sink, tracing::subscriber::DefaultGuard) {
    let log = Sink::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn a_stream_that_was_never_there_is_an_empty_one_until_it_is() {
    let server = Server::running().await;
    let revocations = server.follow().await;
    assert_eq!((revocations.status(), revocations.entries()), (FeedStatus::Current, 0));
    assert_eq!(server.tell::<i64>(&format!("EXISTS {STREAM}")).await, 0, "a reader makes nothing");
    let id = server.publish("first").await;
    assert!(id.ends_with("-0") && id.len() > 14, "{id}");
    let delay = revoked(&revocations, "first").await;
    assert!(delay < Duration::from_secs(5), "{delay:?}");
}

/// RV-025
#[tokio::test]
async fn a_backlog_of_100_000_counts_before_ready_and_a_live_event_within_milliseconds() {
    let server = Server::running().await;
    let mut connection = server.raw().await;
    for thousand in 0..100 {
        let mut pipeline = ::redis::pipe();
        for n in 0..1000 {
            let event = event(Fact::TokenId, &format!("{thousand}/{n}")).to_json();
            pipeline.cmd("XADD").arg(STREAM).arg("*").arg("event").arg(event).ignore();
        }
        pipeline.exec_async(&mut connection).await.unwrap();
    }
    let revocations = start(&settings(&server.url())).unwrap();
    // How fast this is says the benchmark: here the build is for debugging, and the machine may be busy.
    tokio::time::timeout(Duration::from_secs(120), revocations.ready()).await.unwrap();
    assert_eq!((revocations.entries(), revocations.applied()), (100_000, 100_000));
    assert_eq!(admits(&revocations, "99/999"), Err(Denial::TokenRevoked));
    server.publish("live").await;
    let delay = revoked(&revocations, "live").await;
    assert!(delay < Duration::from_secs(5), "{delay:?}");
}

/// RV-027
#[tokio::test]
async fn every_replica_sees_every_event() {
    let server = Server::running().await;
    let (one, two) = (server.follow().await, server.follow().await);
    let mut last = String::new();
    for n in 0..20 {
        last = server.publish(&n.to_string()).await;
    }
    until("all events", || one.entries() == 20 && two.entries() == 20).await;
    for replica in [&one, &two] {
        until("the position", || replica.position().is_some_and(|at| at.to_string() == last)).await;
    }
    let three = server.follow().await;
    assert_eq!(three.position().unwrap().to_string(), last, "after the backlog, too");
    assert_eq!(three.feed().unwrap().progress.position.unwrap(), format!("entry {last} of {STREAM}"));
}

#[tokio::test]
async fn silence_is_no_trouble() {
    let server = Server::running().await;
    server.publish("t").await;
    let revocations = server.follow().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        assert_eq!(revocations.status(), FeedStatus::Current, "every read that ends is a sign of life");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// RV-028
#[tokio::test]
async fn a_killed_server_that_kept_the_stream_heals_with_nothing_lost() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let revocations = server.follow().await;
    server.publish("before").await;
    revoked(&revocations, "before").await;
    server.kill();
    becomes(&revocations, FeedStatus::Reconnecting).await;
    assert_eq!(admits(&revocations, "other"), Ok(()), "not stale yet");
    becomes(&revocations, FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "other"), Err(Denial::RevocationsStale));
    server.start().await;
    server.publish("during").await;
    revoked(&revocations, "during").await;
    becomes(&revocations, FeedStatus::Current).await;
    assert_eq!((revocations.entries(), admits(&revocations, "other")), (2, Ok(())));
}

#[tokio::test]
async fn a_restart_that_lost_the_stream_is_not_believed_until_there_is_one() {
    let mut server = Server::running().await;
    server.publish("before").await;
    let revocations = server.follow().await;
    server.kill();
    server.start().await;
    becomes(&revocations, FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "other"), Err(Denial::RevocationsStale));
    server.publish("after").await;
    becomes(&revocations, FeedStatus::Current).await;
    for jti in ["before", "after"] {
        assert_eq!(admits(&revocations, jti), Err(Denial::TokenRevoked), "{jti}");
    }
}

#[tokio::test]
async fn a_deleted_stream_is_not_taken_for_an_empty_one() {
    let (log, _guard) = listen();
    let server = Server::running().await;
    server.publish("before").await;
    let revocations = server.follow().await;
    server.tell::<()>(&format!("DEL {STREAM}")).await;
    becomes(&revocations, FeedStatus::Stale).await;
    assert_eq!(log.text().matches("has disappeared").count(), 1, "{}", log.text());
    // By its id it is older than everything that was read.
    server.tell::<()>(&format!("XADD {STREAM} 1-1 event x")).await;
    becomes(&revocations, FeedStatus::Current).await;
    assert_eq!(refused(&revocations), 1);
    server.publish("after").await;
    revoked(&revocations, "after").await;
}

#[tokio::test]
async fn a_stream_made_anew_while_nobody_looked_is_read_from_its_start() {
    let (log, _guard) = listen();
    let server = Server::running().await;
    for n in 0..5 {
        server.publish(&n.to_string()).await;
    }
    let revocations = server.follow().await;
    let shut_out = shut_out(&server, &revocations).await;
    server.tell::<()>(&format!("DEL {STREAM}")).await;
    server.publish("new").await;
    shut_out.end(&server).await;
    revoked(&revocations, "new").await;
    assert!(log.text().contains("made anew or set back"), "{}", log.text());
}

/// RV-026
#[tokio::test]
async fn what_was_trimmed_before_it_was_read_is_told() {
    let (log, _guard) = listen();
    let server = Server::running().await;
    server.publish("seen").await;
    let revocations = server.follow().await;
    let shut_out = shut_out(&server, &revocations).await;
    for jti in ["one", "two", "three"] {
        server.publish(jti).await;
    }
    server.tell::<()>(&format!("XTRIM {STREAM} MAXLEN 1")).await;
    shut_out.end(&server).await;
    revoked(&revocations, "three").await;
    assert!(log.text().contains("lost=2"), "{}", log.text());
    // Trimming what was read is none of it.
    server.publish("four").await;
    revoked(&revocations, "four").await;
    server.tell::<()>(&format!("XTRIM {STREAM} MAXLEN 0")).await;
    server.publish("five").await;
    revoked(&revocations, "five").await;
    becomes(&revocations, FeedStatus::Current).await;
    assert_eq!(log.text().matches("was trimmed beyond").count(), 1, "{}", log.text());
}

/// Nobody may read for a while, without a restart of the server.
struct ShutOut;

async fn shut_out(server: &Server, revocations: &Revocations) -> ShutOut {
    server.tell::<()>("ACL SETUSER other on nopass ~* +@all").await;
    server.tell::<()>("ACL SETUSER default -xread -xinfo").await;
    server.tell::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
    becomes(revocations, FeedStatus::Stale).await;
    ShutOut
}

impl ShutOut {
    async fn end(self, server: &Server) {
        server.tell::<()>("ACL SETUSER default +@all").await;
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_taken_up_where_it_was() {
    let server = Server::running().await;
    server.publish("before").await;
    let revocations = server.follow().await;
    for n in 0..3 {
        server.tell::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
        let jti = n.to_string();
        server.publish(&jti).await;
        revoked(&revocations, &jti).await;
    }
    assert_eq!(revocations.applied(), 4, "resumed behind what was applied");
}

/// RV-019
#[tokio::test]
async fn bad_entries_stop_nothing_and_say_where_they_are() {
    let (log, _guard) = listen();
    let server = Server::running().await;
    let revocations = server.follow().await;
    let add = format!("XADD {STREAM} 5-1");
    server.tell::<()>(&format!("{add} other {}", event(Fact::TokenId, "t").to_json())).await;
    until("the first", || refused(&revocations) == 1).await;
    let huge = vec![b'{'; 20 << 20];
    let mut connection = server.raw().await;
    let bad: [&[u8]; 3] = [b"not json", b"\xff\xfe", &huge];
    for (at, event) in bad.into_iter().enumerate() {
        cmd("XADD").arg(STREAM).arg("*").arg("event").arg(event).exec_async(&mut connection).await.unwrap();
        until("the next", || refused(&revocations) == 2 + at as u64).await;
    }
    server.publish("good").await;
    revoked(&revocations, "good").await;
    becomes(&revocations, FeedStatus::Current).await;
    let text = log.text();
    assert!(text.contains("entry 5-1 of clinch:revocations, which has no field `event`"), "{text}");
    assert!(text.contains("too_long"), "{text}");
}

#[tokio::test]
async fn a_start_before_the_server_waits_for_it() {
    let mut server = Server::stopped(&[]);
    let revocations = start(&settings(&server.url())).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    server.start().await;
    ready(&revocations).await;
    server.publish("t").await;
    revoked(&revocations, "t").await;
}

#[tokio::test]
async fn a_key_that_is_no_stream_is_neither_read_nor_written() {
    let (log, _guard) = listen();
    let server = Server::running().await;
    server.tell::<()>(&format!("SET {STREAM} x")).await;
    let revocations = start(&settings(&server.url())).unwrap();
    until("the trouble", || log.text().contains("WRONGTYPE")).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    let error = publish(&server.url(), "t").await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

#[tokio::test]
async fn a_server_that_forgets_to_make_room_is_warned_of() {
    let (log, _guard) = listen();
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let _revocations = server.follow().await;
    assert!(log.text().contains("allkeys-lru"), "{}", log.text());
}

#[tokio::test]
async fn a_server_that_was_never_there_is_told_of_once_and_awaited() {
    let (log, _listening) = listen();
    let mut server = Server::running().await;
    server.kill();
    let revocations = start(&settings(&server.url())).unwrap();
    until("a word of why", || log.text().contains("trouble=Redis: ")).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    server.start().await;
    becomes(&revocations, FeedStatus::Current).await;
    let text = log.text();
    assert_eq!(text.matches("refused").count(), 1, "{text}");
}
