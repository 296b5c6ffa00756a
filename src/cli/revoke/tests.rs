//! The command line of `clinch revoke`, and what it leaves in a journal.

use super::*;
use crate::config::{Nats, Redis, RedisAddress};
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

const NOW: Timestamp = Timestamp::from_secs(1_732_147_200);

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Line::try_parse_from(["revoke"].into_iter().chain(line.split(' '))).map(|line| line.arguments)
}

#[test]
fn the_event_says_what_the_arguments_say() {
    let arguments =
        parse("--feed f --sub alice --issuer https://as --at 2024-11-21T00:00:00Z --until 1732150800")
            .unwrap();
    let event = event(&arguments, Timestamp::from_secs(0)).unwrap();
    assert_eq!(
        (event.fact, event.value.as_str(), event.issuer.as_str()),
        (Some(Fact::Subject), "alice", "https://as")
    );
    assert_eq!((event.at, event.until), (NOW, Some(Timestamp::from_secs(1_732_150_800))));
    assert_eq!(Plain::parse(event.to_json().as_bytes()), Ok(event));
}

#[test]
fn two_events_have_two_ids_and_now_is_the_default() {
    let arguments = parse("--feed f --jti t --issuer i").unwrap();
    let (one, two) = (event(&arguments, NOW).unwrap(), event(&arguments, NOW).unwrap());
    assert_eq!((one.at, one.until), (NOW, None));
    assert_ne!(one.id, two.id);
}

#[test]
fn exactly_one_target_is_wanted() {
    assert!(parse("--feed f --issuer i").is_err());
    assert!(parse("--feed f --issuer i --jti t --sub s").is_err());
    assert!(parse("--feed f --jti t").is_err());
    assert!(parse("--feed f --jti t --issuer i --at yesterday").is_err());
}

#[test]
fn every_kind_of_the_contract_is_published() {
    for (option, name) in
        [("sid", "sid"), ("client", "client_id"), ("jkt", "jkt"), ("x5t", "x5t#S256"), ("kid", "kid")]
    {
        let arguments = parse(&format!("--feed f --{option} v --issuer i")).unwrap();
        let event = event(&arguments, NOW).unwrap();
        assert_eq!(event.fact.map(Fact::name), Some(name));
        assert_eq!(Plain::parse(event.to_json().as_bytes()), Ok(event));
    }
    let all = event(&parse("--feed f --all --issuer i").unwrap(), NOW).unwrap();
    assert_eq!(Plain::parse(all.to_json().as_bytes()), Ok(all));
}

#[test]
fn an_end_before_the_beginning_and_empty_values_are_refused() {
    assert!(event(&parse("--feed f --jti t --issuer i --at 10 --until 9").unwrap(), NOW).is_err());
    assert!(event(&parse("--feed f --jti= --issuer i").unwrap(), NOW).is_err());
}

#[test]
fn feeds_are_told_apart() {
    let file = |path: &str| Ok(Publisher::File(path.into()));
    let nats = |url: &str, stream: &str, subject: &str| {
        Ok(Publisher::Nats(Nats { url: url.into(), stream: stream.into(), subject: subject.into() }))
    };
    assert_eq!(Publisher::of_url("events.jsonl"), file("events.jsonl"));
    assert_eq!(Publisher::of_url("/var/lib/a:b"), file("/var/lib/a:b"));
    assert_eq!(Publisher::of_url("file:/var/x"), file("/var/x"));
    assert_eq!(Publisher::of_url("file:///var/x"), file("/var/x"));
    assert_eq!(
        Publisher::of_url("nats://127.0.0.1:4222"),
        nats("nats://127.0.0.1:4222", "CLINCH_REVOCATIONS", "clinch.revocations.plain")
    );
    assert_eq!(Publisher::of_url("nats://h?stream=S&subject=a.b"), nats("nats://h", "S", "a.b"));
    for (url, stream) in [
        ("redis://h", "clinch:revocations"),
        ("rediss://u:p@h:1/2?stream=s", "s"),
        ("redis+sentinel://a,b/m?stream=s", "s"),
        ("rediss+cluster://a,b", "clinch:revocations"),
    ] {
        let address = RedisAddress::parse(url.split('?').next().unwrap()).unwrap();
        let redis = Redis { address, ca: Vec::new(), stream: stream.to_owned() };
        assert_eq!(Publisher::of_url(url), Ok(Publisher::Redis(redis)), "{url}");
    }
    for wrong in ["file:x", "http://h", "nats://h?subject=a.>", "nats://h?stream=", "nats://h?queue=q"] {
        assert!(Publisher::of_url(wrong).is_err(), "{wrong}");
    }
    let kafka = Publisher::of_url("kafka://a:1,b?topic=t.1").unwrap();
    assert!(matches!(&kafka, Publisher::Kafka(kafka) if kafka.brokers.len() == 2 && kafka.topic == "t.1"));
    for wrong in ["kafka://h", "kafka://h?topic=", "kafka://u:p@h?topic=t", "kafkas://h?topic=t"] {
        assert!(Publisher::of_url(wrong).is_err(), "{wrong}");
    }
    for wrong in ["redis://h/x", "redis:h", "redis://h?stream=", "redis://h?stream=a&b=c", "redis+x://h"] {
        assert!(Publisher::of_url(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_journal_gets_one_line_and_the_report_names_the_event() {
    let mut name = std::env::temp_dir();
    name.push(format!("clinch-revoke-{}", id().unwrap()));
    let arguments = parse(&format!("--feed {} --jti t --issuer i", name.display())).unwrap();
    assert_eq!(main(&arguments), ExitCode::SUCCESS);
    let journal = std::fs::read_to_string(&name).unwrap();
    std::fs::remove_file(&name).unwrap();
    let event = Plain::parse(journal.trim_end().as_bytes()).unwrap();
    assert_eq!((event.fact, event.value.as_str(), journal.lines().count()), (Some(Fact::TokenId), "t", 1));
    let mut out = Vec::new();
    report(
        &event,
        &Publisher::File(name.clone()),
        &Published { sequence: Some("7".into()), journal_created: false },
        true,
        &mut out,
    )
    .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&json["id"], &json["sequence"]), (&event.id.clone().into(), &7.into()));
    assert_eq!((&json["published"], &json["journal_created"]), (&true.into(), &false.into()));
    let mut out = Vec::new();
    report(
        &event,
        &Publisher::File(name),
        &Published { sequence: None, journal_created: false },
        false,
        &mut out,
    )
    .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("published jti \"t\" of i\n") && !text.contains("revoked"), "{text}");
}

#[test]
fn a_journal_that_was_not_there_is_pointed_out() {
    let directory = crate::cli::holder::random_id();
    let name = std::env::temp_dir().join(format!("clinch-revoke-{directory}"));
    let feed = Publisher::File(name.clone());
    let event = event(&parse("--feed f --jti t --issuer i").unwrap(), NOW).unwrap();
    assert!(publish(&feed, &event).unwrap().journal_created);
    assert!(!publish(&feed, &event).unwrap().journal_created);
    std::fs::remove_file(&name).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_told_once() {
    let feed = Publisher::of_url("nats://127.0.0.1:1").unwrap();
    let event = event(&parse("--feed f --jti t --issuer i").unwrap(), NOW).unwrap();
    let told = format!("{:#}", publish(&feed, &event).unwrap_err());
    assert_eq!(told.matches("refused").count(), 1, "{told}");
}

#[test]
fn a_feed_that_can_not_be_written_is_a_failure_not_a_usage_error() {
    let arguments = parse("--feed /absent/directory/journal --jti t --issuer i").unwrap();
    assert_eq!(main(&arguments), ExitCode::from(1));
}
