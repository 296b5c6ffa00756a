//! A restart with a snapshot, against a real nats-server.

use super::*;
use std::path::Path;

fn keeping(server: &Server, directory: &Directory) -> config::Revocation {
    let snapshot = config::Snapshot { file: file(directory), every: Duration::from_secs(3600) };
    config::Revocation { snapshot: Some(snapshot), ..server.config() }
}

fn file(directory: &Directory) -> PathBuf {
    directory.path().join("revocations.snapshot")
}

async fn started(config: &config::Revocation) -> Arc<Revocations> {
    let revocations = start(config).unwrap();
    ready(&revocations).await;
    revocations
}

/// Runs until an orderly stop, with these events applied.
async fn lived(server: &Server, config: &config::Revocation, events: &[&str]) {
    let revocations = started(config).await;
    for event in events {
        server.publish(event).await;
        revoked(&revocations, event).await;
    }
    revocations.stop().await;
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// RV-025
#[tokio::test]
async fn a_restart_reads_only_what_is_new_and_forgets_nothing() {
    let (server, directory) = (Server::running().await, Directory::new());
    let config = keeping(&server, &directory);
    lived(&server, &config, &["a", "b", "c"]).await;
    server.publish("while it was down").await;
    let revocations = started(&config).await;
    assert_eq!((revocations.entries(), revocations.applied()), (4, 1), "only the tail is read");
    for jti in ["a", "b", "c", "while it was down"] {
        assert_eq!(admits(&revocations, jti), Err(Denial::TokenRevoked), "{jti}");
    }
    assert_eq!(admits(&revocations, "d"), Ok(()));
    server.publish("d").await;
    revoked(&revocations, "d").await;
}

#[tokio::test]
async fn a_snapshot_alone_makes_nobody_ready() {
    let (mut server, directory) = (Server::running().await, Directory::new());
    let config = keeping(&server, &directory);
    lived(&server, &config, &["a"]).await;
    server.kill();
    let revocations = start(&config).unwrap();
    assert_eq!((revocations.status(), revocations.entries()), (FeedStatus::CatchingUp, 1));
    assert_eq!(admits(&revocations, "b"), Err(Denial::RevocationsStale));
    std::fs::remove_file(file(&directory)).unwrap();
    revocations.stop().await;
    assert!(!file(&directory).exists(), "none is written before the feed has caught up");
    server.start().await;
    ready(&revocations).await;
    assert_eq!((revocations.entries(), revocations.applied()), (1, 0));
}

#[tokio::test]
async fn a_damaged_one_is_put_aside_and_all_is_read_from_the_stream() {
    let (server, directory) = (Server::running().await, Directory::new());
    let config = keeping(&server, &directory);
    lived(&server, &config, &["a", "b"]).await;
    flip(&file(&directory));
    let revocations = started(&config).await;
    assert_eq!((revocations.entries(), revocations.applied()), (2, 2));
    assert_eq!(admits(&revocations, "a"), Err(Denial::TokenRevoked));
    assert!(directory.path().join("revocations.snapshot.refused").exists());
}

/// RV-026
#[tokio::test]
async fn where_the_stream_has_dropped_unread_events_all_that_is_left_is_read() {
    let (server, directory) = (Server::running().await, Directory::new());
    let config = keeping(&server, &directory);
    lived(&server, &config, &["a", "b"]).await;
    for jti in ["c", "d"] {
        server.publish(jti).await;
    }
    let stream = jetstream::new(server.raw().await).get_stream(STREAM).await.unwrap();
    // `a`, `b` and `c` are dropped: of those, `c` was never read.
    stream.purge().sequence(4).await.unwrap();
    let revocations = started(&config).await;
    assert_eq!((revocations.entries(), revocations.applied()), (3, 1));
    for jti in ["a", "b", "d"] {
        assert_eq!(admits(&revocations, jti), Err(Denial::TokenRevoked), "{jti}");
    }
}

#[tokio::test]
async fn it_is_written_now_and_then_while_it_runs() {
    let (server, directory) = (Server::running().await, Directory::new());
    let mut config = keeping(&server, &directory);
    config.snapshot = Some(config::Snapshot { file: file(&directory), every: Duration::from_millis(50) });
    let revocations = started(&config).await;
    let length = || std::fs::metadata(file(&directory)).map_or(0, |found| found.len());
    until("a snapshot of nothing", || length() > 0).await;
    let empty = length();
    server.publish("a").await;
    revoked(&revocations, "a").await;
    until("a snapshot of it", || length() > empty).await;
    drop(revocations);
    let revocations = started(&config).await;
    assert_eq!((revocations.entries(), revocations.applied()), (1, 0));
}
