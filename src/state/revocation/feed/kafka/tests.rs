//! The feed against librdkafka's mock cluster, which speaks the protocol on real ports.
//!
//! It can neither delete a topic nor expire records at will, so that these are found is not shown here.

use super::*;
use crate::pop::Denial;
use crate::state::revocation::event::Fact;
use crate::state::revocation::tests::{admits, config, event, ready, start, until};
use crate::state::revocation::{FeedStatus, Revocations};
use crate::telemetry::sink::Sink;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

const TOPIC: &str = "clinch.revocations";

/// Two brokers in one process.
struct Cluster {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    brokers: String,
}

impl Cluster {
    fn running() -> Cluster {
        let here = env!("CARGO_MANIFEST_DIR");
        let mut child = Command::new(format!("{here}/target/test-tools/venv/bin/python"))
            .args([&format!("{here}/tests/data/kafka/mock.py"), TOPIC])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("librdkafka is needed: `make test-tools` installs it");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = BufReader::new(output).lines();
        let brokers = output.next().expect("librdkafka is needed: `make test-tools` installs it").unwrap();
        Cluster { child, input, output, brokers }
    }

    /// One line for the script, and its answer.
    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
        assert_eq!(self.output.next().unwrap().unwrap(), "done");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn target(&self, topic: &str) -> config::Kafka {
        let brokers = config::kafka_brokers(&format!("kafka://{}", self.brokers)).unwrap();
        config::Kafka { brokers, topic: topic.to_owned() }
    }

    fn settings(&self) -> config::Revocation {
        let mut config = config(config::Feed::Kafka(self.target(TOPIC)));
        config.max_staleness = Duration::from_secs(4);
        config.max_entries = 200_000;
        config
    }

    async fn follow(&self) -> Arc<Revocations> {
        let revocations = start(&self.settings()).unwrap();
        ready(&revocations).await;
        revocations
    }

    async fn publish(&self, jti: &str) -> String {
        super::publish(&self.target(TOPIC), jti, &event(Fact::TokenId, jti).to_json()).await.unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn revoked(revocations: &Revocations, jti: &str) -> Duration {
    until(jti, || admits(revocations, jti) == Err(Denial::TokenRevoked)).await
}

async fn becomes(revocations: &Revocations, status: FeedStatus) {
    until(status.name(), || revocations.status() == status).await;
}

fn refused(revocations: &Revocations) -> u64 {
    revocations.refused().map(|(_, count)| count).sum()
}

fn listen() -> (Sink, tracing::subscriber::DefaultGuard) {
    let log = Sink::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// RV-025
#[tokio::test]
async fn the_backlog_of_every_partition_counts_before_ready_and_a_live_event_soon() {
    let mut cluster = Cluster::running();
    cluster.tell("5000");
    let revocations = cluster.follow().await;
    assert_eq!((revocations.entries(), revocations.applied()), (5_000, 5_000));
    for jti in ["0", "1", "2", "3", "4999"] {
        assert_eq!(admits(&revocations, jti), Err(Denial::TokenRevoked), "{jti}");
    }
    cluster.publish("live").await;
    let delay = revoked(&revocations, "live").await;
    // The mock looks for records once more only when the fetch has waited its time.
    assert!(delay < Duration::from_secs(5), "{delay:?}");
}

#[tokio::test]
async fn an_empty_topic_is_caught_up_and_stays_current() {
    let cluster = Cluster::running();
    let revocations = cluster.follow().await;
    assert_eq!((revocations.status(), revocations.entries()), (FeedStatus::Current, 0));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        assert_eq!(revocations.status(), FeedStatus::Current, "every fetch that ends is a sign of life");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// RV-027
#[tokio::test]
async fn every_replica_sees_every_event_of_every_partition() {
    let cluster = Cluster::running();
    let (one, two) = (cluster.follow().await, cluster.follow().await);
    assert_eq!(one.position(), None, "nothing has been applied");
    let mut partitions = std::collections::BTreeMap::new();
    for n in 0..24 {
        let sequence = cluster.publish(&n.to_string()).await;
        let (partition, offset) = sequence.split_once('-').unwrap();
        partitions.insert(partition.parse::<i32>().unwrap(), offset.parse::<i64>().unwrap());
    }
    assert!(partitions.len() > 1, "{partitions:?}");
    until("all events", || one.entries() == 24 && two.entries() == 24).await;
    let last = Position::Offsets(Arc::new(partitions.into_iter().collect()));
    for replica in [&one, &two] {
        until("the position", || replica.position().as_ref() == Some(&last)).await;
    }
    let told = one.feed().unwrap().progress.position.unwrap();
    assert_eq!(told, format!("partition:offset {last} of {TOPIC}"));
}

/// RV-019
#[tokio::test]
async fn bad_records_stop_nothing_and_say_where_they_are() {
    let (log, _guard) = listen();
    let mut cluster = Cluster::running();
    let revocations = cluster.follow().await;
    cluster.tell("2\tnot json");
    cluster.tell("2\t");
    cluster.tell(&format!("2\t{}", "{".repeat(500_000)));
    until("all three", || refused(&revocations) == 3).await;
    cluster.tell(&format!("2\t{}", event(Fact::TokenId, "good").to_json()));
    revoked(&revocations, "good").await;
    let text = log.text();
    assert!(text.contains("offset 0 of partition 2 of clinch.revocations"), "{text}");
    assert!(text.contains("too_long"), "{text}");
}

#[tokio::test]
async fn brokers_that_stall_are_stale_until_they_answer_and_nothing_is_lost() {
    let mut cluster = Cluster::running();
    let revocations = cluster.follow().await;
    cluster.signal("-STOP");
    becomes(&revocations, FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "t"), Err(Denial::RevocationsStale));
    cluster.signal("-CONT");
    cluster.tell(&format!("1\t{}", event(Fact::TokenId, "during").to_json()));
    revoked(&revocations, "during").await;
    becomes(&revocations, FeedStatus::Current).await;
    assert_eq!(admits(&revocations, "t"), Ok(()));
}

#[tokio::test]
async fn brokers_that_died_are_told_once_and_nobody_passes() {
    let (log, _guard) = listen();
    let mut cluster = Cluster::running();
    let revocations = cluster.follow().await;
    cluster.child.kill().unwrap();
    cluster.child.wait().unwrap();
    until("the trouble", || log.text().contains("the revocation feed is interrupted")).await;
    becomes(&revocations, FeedStatus::Stale).await;
    assert_eq!(admits(&revocations, "t"), Err(Denial::RevocationsStale));
    let error = super::publish(&cluster.target(TOPIC), "t", "{}").await.unwrap_err();
    assert!(!error.to_string().is_empty());
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_waited_for() {
    let (log, _guard) = listen();
    let cluster = Cluster::running();
    let mut config = cluster.settings();
    config.feed = config::Feed::Kafka(cluster.target("other"));
    let revocations = start(&config).unwrap();
    until("the trouble", || log.text().contains("there is no topic other")).await;
    assert_eq!(revocations.status(), FeedStatus::CatchingUp);
    let error = super::publish(&cluster.target("other"), "t", "{}").await.unwrap_err();
    assert!(error.to_string().contains("no topic"), "{error}");
}
