//! The command line of `clinch revoke`, and what it leaves in a journal.

use super::*;
use crate::config::{Nats, Redis, RedisAddress};
use crate::state::revocation::feed::publish::Published;
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
        Ok(Publisher::Nats(Nats {
            url: url.into(),
            stream: stream.into(),
            subject: subject.into(),
            ..Nats::default()
        }))
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
fn a_feed_or_a_configuration_is_needed_and_access_only_for_a_server() {
    for wrong in ["", "--feed f --config c", "--config c --ca a", "--feed f --nkey n --credentials c"] {
        assert!(parse(&format!("{wrong} --jti t --issuer i").replace("  ", " ")).is_err(), "{wrong}");
    }
    let publisher = |line: &str| parse(&format!("{line} --jti t --issuer i")).unwrap().place.publisher();
    assert_eq!(publisher("--feed f"), Ok(Publisher::File("f".into())));
    let told = |line: &str| publisher(line).unwrap_err();
    assert_eq!(told("--feed f --ca a"), "--ca, --credentials and --nkey are for a feed on NATS");
    assert_eq!(told("--feed nats://h --ca a"), "--ca means nothing without TLS: use tls://");
    assert_eq!(told("--feed tls://h --ca Cargo.toml"), "Cargo.toml holds no PEM certificates");
    assert_eq!(told("--feed nats://h --nkey Cargo.toml"), "Cargo.toml holds no seed of a user's nkey");
    assert_eq!(told("--feed nats://h --credentials Cargo.toml"), "Cargo.toml holds no NATS credentials");
    assert!(told("--config absent.yaml").contains("absent.yaml"));
    // A configuration names the stream and who we are; the events go where its filter finds them.
    let of = |file: &str| publisher(&format!("--config config/{file}"));
    let nats = Nats {
        url: "nats://127.0.0.1:4222".into(),
        stream: "CLINCH_REVOCATIONS".into(),
        subject: "clinch.revocations.plain".into(),
        ..Nats::default()
    };
    assert_eq!(
        Publisher::of_config(&crate::config::Feed::Nats(Nats {
            subject: "clinch.revocations.>".into(),
            ..nats.clone()
        })),
        Publisher::Nats(nats)
    );
    assert!(of("minimal.yaml").is_err());
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
    let of =
        |sequence: Option<&str>| Published { sequence: sequence.map(str::to_owned), journal_created: false };
    let report = |published, print: &dyn Fn(Report<'_>, &mut Vec<u8>)| {
        let mut out = Vec::new();
        print(Report { event: &event, feed: "journal".to_owned(), published: &published, at: NOW }, &mut out);
        String::from_utf8(out).unwrap()
    };
    let json = report(of(Some("7")), &|report, out| report.print_json(None, out).unwrap());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["id"], &json["sequence"]), (&event.id.clone().into(), &7.into()));
    assert_eq!((&json["published"], &json["journal_created"]), (&true.into(), &false.into()));
    assert_eq!(
        (&json["published_at"], &json["replicas"]),
        (&"2024-11-21T00:00:00.000Z".into(), &json["none"])
    );
    let text = report(of(None), &|report, out| report.print(out).unwrap());
    let id = &event.id;
    assert_eq!(
        text,
        format!("published jti \"t\" of i\nevent     {id}, at 2024-11-21T00:00:00.000Z\nfeed      journal\n")
    );
}

#[test]
fn what_each_replica_said_is_a_line_and_an_object() {
    use wait::Fate;
    let word = |fate| Word { replica: "http://h:1".to_owned(), fate };
    let after = Duration::from_millis(3);
    for (fate, line, json) in [
        (
            Fate::Applied { at: "T".to_owned(), after },
            "http://h:1 applied it at T, 3 ms after publication",
            r#"{"after_ms":3,"at":"T","replica":"http://h:1","result":"applied"}"#,
        ),
        (
            Fate::Not { result: "rejected", reason: "issuer_unknown".to_owned() },
            "http://h:1 rejected it: issuer_unknown",
            r#"{"reason":"issuer_unknown","replica":"http://h:1","result":"rejected"}"#,
        ),
        (
            Fate::Missing,
            "http://h:1 has not had it within 10s",
            r#"{"replica":"http://h:1","result":"missing"}"#,
        ),
        (
            Fate::Silent("refused".to_owned()),
            "http://h:1 gives no answer: refused",
            r#"{"reason":"refused","replica":"http://h:1","result":"no_answer"}"#,
        ),
    ] {
        let word = word(fate);
        assert_eq!(
            (word.line(Duration::from_secs(10)).as_str(), word.json().to_string().as_str()),
            (line, json)
        );
    }
}

#[test]
fn replicas_are_named_one_by_one_or_in_a_row() {
    let wait =
        |line: &str| parse(&format!("--feed f --jti t --issuer i {line}")).map(|a| (a.wait, a.timeout));
    let row = wait("--wait http://a:1,http://b:1 --wait http://c:1 --timeout 250ms").unwrap();
    assert_eq!(
        row,
        (["http://a:1", "http://b:1", "http://c:1"].map(str::to_owned).into(), Duration::from_millis(250))
    );
    assert_eq!(wait("--wait http://a:1").unwrap().1, Duration::from_secs(10));
    let arguments = parse("--feed /absent/journal --jti t --issuer i --wait a:1").unwrap();
    assert_eq!(main(&arguments), ExitCode::from(EX_USAGE), "before anything is published");
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

fn publish(feed: &Publisher, event: &Plain) -> anyhow::Result<Published> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(feed.publish(&event.id, &event.to_json()))
}
