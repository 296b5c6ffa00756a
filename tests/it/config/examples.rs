//! The files in `config/` load, and say what their comments say.

use super::fixture::Fixture;
use clinch::config::{
    AuditSync, ClientCertificates, Config, Feed, LogFormat, OnFull, OnStale, OnUnavailable, Store,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn load(fixture: &Fixture, name: &str) -> Config {
    let file = fixture.copy(&directory().join(name));
    Config::load(&file).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_example_loads() {
    let fixture = Fixture::new("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // These have tests of their own.
        if name.ends_with(".yaml") && !["feed-kafka.yaml", "injector.yaml"].contains(&&*name) {
            load(&fixture, &name);
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} examples");
}

#[test]
fn a_file_is_found_from_its_own_folder_however_it_is_named() {
    let fixture = Fixture::new("folder");
    fixture.copy(&directory().join("feed-file.yaml"));
    for name in ["feed-file.yaml", "./feed-file.yaml"] {
        let mut clinch = std::process::Command::new(env!("CARGO_BIN_EXE_clinch"));
        let output = clinch.current_dir(fixture.path("")).args(["check", "--config", name]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_is_left_out_is_as_in_the_contract() {
    let config = load(&Fixture::new("defaults"), "minimal.yaml");
    assert_eq!(config.listen.address.to_string(), "0.0.0.0:8443");
    assert_eq!(config.listen.tls.client_certificate, ClientCertificates::Off);
    assert_eq!(config.listen.limits.connections, 10_000);
    assert_eq!(config.listen.limits.header_bytes, 32 * 1024);
    assert_eq!(config.listen.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(config.listen.limits.idle_timeout, Duration::from_secs(75));
    assert_eq!(config.listen.limits.in_flight, 2_000);
    assert_eq!(config.listen.drain, Duration::from_secs(20));
    assert_eq!(config.upstream.address.to_string(), "http://127.0.0.1:8080");
    assert_eq!(config.upstream.connect_timeout, Duration::from_secs(1));
    assert_eq!(config.upstream.response_timeout, Duration::from_secs(60));
    let issuer = &config.issuers[0];
    let algorithms: Vec<_> = issuer.expected.algorithms.iter().map(|a| a.name()).collect();
    assert_eq!(algorithms, ["ES256", "PS256", "EdDSA"]);
    assert_eq!(issuer.expected.token_types, ["at+jwt"]);
    assert_eq!(issuer.expected.max_lifetime, Duration::from_secs(3600));
    assert_eq!(issuer.jwks_refresh, Duration::from_secs(300));
    assert_eq!(issuer.jwks_cooldown, Duration::from_secs(10));
    assert_eq!(issuer.jwks_max_stale, Duration::from_secs(86_400));
    assert!(issuer.jwks_uri.is_none() && issuer.ca.is_empty());
    assert_eq!(config.dpop.max_age, Duration::from_secs(60));
    assert_eq!(config.dpop.max_future, Duration::from_secs(5));
    assert_eq!(config.replay.max_entries, 2_000_000);
    assert!(config.revocation.is_none());
    assert_eq!(config.telemetry.format, LogFormat::Json);
    assert_eq!(config.admin.to_string(), "127.0.0.1:9901");
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_full_example_shows_the_defaults_and_warns_of_what_is_dangerous() {
    let fixture = Fixture::new("full");
    let config = load(&fixture, "clinch.yaml");
    let revocation = config.revocation.unwrap();
    assert!(matches!(&revocation.feed, Feed::File { path } if *path == fixture.path("revocations.jsonl")));
    assert_eq!((revocation.on_stale, revocation.max_entries), (OnStale::Deny, 20_000_000));
    assert_eq!(config.listen.tls.client_ca.len(), 1);
    assert_eq!(config.routes.iter().count(), 4);
    let about: Vec<_> = config.warnings.iter().map(|w| w.split(':').next().unwrap()).collect();
    assert_eq!(about, ["routes[0]", "routes[3]"]);
}

#[test]
fn the_audit_example_shows_the_defaults_and_one_without_a_key_is_warned_of() {
    let fixture = Fixture::new("audit");
    let config = load(&fixture, "audit.yaml");
    assert_eq!(config.warnings, Vec::<String>::new());
    let audit = config.audit.unwrap();
    assert_eq!(audit.file, fixture.path("audit.jsonl"));
    assert!(audit.key.is_some() && audit.replica.is_none() && !audit.file.exists());
    assert_eq!((audit.sync, audit.on_full), (AuditSync::Second, OnFull::Deny));
    assert_eq!(
        (audit.checkpoint, audit.rotate_every),
        (Duration::from_secs(60), Duration::from_secs(86_400))
    );
    assert_eq!(audit.rotate_size, 256 << 20);
    let text = std::fs::read_to_string(directory().join("audit.yaml")).unwrap();
    let parse = |text: &str| Config::parse(text, &fixture.path("audit.yaml")).unwrap();
    let about = |text: &str| {
        let warnings = parse(text).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings[0].clone()
    };
    assert!(about(&text.replace("audit.key  ", "null  ")).starts_with("audit.sign_key_file: without a key"));
    let off = about(&text.replace("audit.jsonl  ", "null  "));
    assert!(off.starts_with("audit.sign_key_file: no audit log is kept"), "{off}");
}

#[test]
fn whom_certificates_are_believed_from_is_pointed_out() {
    let fixture = Fixture::new("hearsay");
    let warnings = |name: &str, change: &[(&str, &str)]| {
        let mut text = std::fs::read_to_string(directory().join(name)).unwrap();
        for (from, to) in change {
            assert!(text.contains(from), "{from} in {name}");
            text = text.replace(from, to);
        }
        Config::parse(&text, &fixture.path(name)).unwrap_or_else(|problems| panic!("{problems}")).warnings
    };
    let unchecked = [("verified", "unchecked"), ("client_ca: [tls/clients-ca.crt]", "client_ca: []")];
    let said = warnings("mtls.yaml", &unchecked);
    assert!(said.len() == 1 && said[0].starts_with("listen.tls.client_chain: no authority"), "{said:?}");

    // CF-017
    let pinned = "    certificates: [A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0]";
    for everybody in ["0.0.0.0/0", "'::/0'"] {
        let said = warnings("terminator.yaml", &[("10.0.0.0/8", everybody), (pinned, "")]);
        assert!(said.len() == 1 && said[0].contains("everyone who reaches this port is trusted"), "{said:?}");
    }
    assert_eq!(warnings("terminator.yaml", &[("10.0.0.0/8", "0.0.0.0/0")]), Vec::<String>::new());
    assert_eq!(warnings("terminator.yaml", &[]), Vec::<String>::new());

    let balancer = |from: &str| format!("  proxy_protocol_from: ['{from}']\n  client_cert_from:");
    let said =
        warnings("terminator.yaml", &[("  client_cert_from:", &balancer("10.9.0.0/16")), (pinned, "")]);
    assert!(said.len() == 1 && said[0].contains("by address alone"), "{said:?}");
    let said =
        warnings("terminator.yaml", &[("  client_cert_from:", &balancer("192.0.2.0/24")), (pinned, "")]);
    assert_eq!(said, Vec::<String>::new());
    let said = warnings("terminator.yaml", &[("  client_cert_from:", &balancer("::/0"))]);
    assert!(said.len() == 1 && said[0].contains("can say which address they have"), "{said:?}");
}

#[test]
fn the_introspection_example_shows_the_defaults_and_nothing_shows_the_secret() {
    let fixture = Fixture::new("introspection");
    let config = load(&fixture, "introspection.yaml");
    let asked = config.issuers[0].introspection.as_ref().unwrap();
    assert_eq!((asked.client_id.as_str(), asked.client_secret.expose()), ("clinch", "a-client-secret"));
    assert_eq!((asked.cache, asked.timeout), (Duration::from_secs(10), Duration::from_secs(2)));
    assert!(asked.endpoint.is_none() && !asked.always && !asked.signed_answers);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("a-client-secret"));
    let text = std::fs::read_to_string(directory().join("introspection.yaml")).unwrap();
    let accept = text.replace("missing_audience: refuse", "missing_audience: accept");
    let config = Config::parse(&accept, &fixture.path("introspection.yaml")).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].starts_with("issuers[0].introspection.missing_audience: "));
}

/// PUSH-05
#[test]
fn the_signals_example_shows_the_defaults_and_an_open_port_is_pointed_out() {
    let fixture = Fixture::new("ssf");
    let config = load(&fixture, "ssf.yaml");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("of-the-transmitter"));
    let revocation = config.revocation.unwrap();
    let push = revocation.push.unwrap();
    assert_eq!((push.address.to_string().as_str(), push.path.as_str()), ("0.0.0.0:9902", "/events"));
    assert_eq!((push.authorizations.len(), push.client_ca.len()), (1, 0));
    let poll = revocation.transmitters[1].poll.as_ref().unwrap();
    assert_eq!(poll.authorization.as_ref().unwrap().expose(), "Bearer of-the-transmitter");

    let text = std::fs::read_to_string(directory().join("clinch.yaml")).unwrap();
    let open = text.replace("push: false", "push: true");
    let config = Config::parse(&open, &fixture.path("clinch.yaml")).unwrap();
    assert_eq!(config.revocation.unwrap().push.unwrap().address.to_string(), "127.0.0.1:9902");
    assert!(config.warnings.iter().any(|w| w.starts_with("revocation.feed.push: ")), "{:?}", config.warnings);
}

/// The first configuration of the README, and each piece of the other pages added to it.
#[test]
fn the_readme_shows_configurations_that_load() {
    let fixture = Fixture::new("readme");
    let [readme, proofs, revocation, identity, audit] =
        ["README.md", "docs/fresh-proofs.md", "docs/revocation.md", "docs/identity.md", "docs/audit.md"]
            .map(|page| std::fs::read_to_string(directory().with_file_name(page)).unwrap());
    let all = [readme, proofs, revocation, identity, audit].concat();
    let blocks: Vec<&str> =
        all.split("```yaml\n").skip(1).map(|after| after.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 8);
    let (first, pieces) = blocks.split_first().unwrap();
    for piece in [""].iter().chain(pieces) {
        let text = format!("{first}{piece}");
        Config::parse(&text, &fixture.path("readme.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

/// Everything of the contract that does not work yet may be written, as long as it says nothing.
#[test]
fn what_does_not_work_yet_may_be_there_with_its_default() {
    let fixture = Fixture::new("idle");
    let minimal = std::fs::read_to_string(directory().join("minimal.yaml")).unwrap();
    let idle = "    acr: []
    max_auth_age: null
    condition: null
dpop:
  nonce: { mode: off, lifetime: 300s, secret_file: null }
  replay: { store: memory, url: null }
audit: { file: null, sign_key_file: null, checkpoint: 1m }
mode: enforce
";
    let comment = minimal.find("# The service").unwrap();
    let text = format!("{}{idle}", &minimal[..comment]);
    Config::parse(&text, &fixture.path("idle.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn line_ends_and_a_byte_order_mark_make_no_difference() {
    let fixture = Fixture::new("dos");
    let text = std::fs::read_to_string(directory().join("clinch.yaml")).unwrap();
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    Config::parse(&text, &fixture.path("dos.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
}

#[cfg(unix)]
#[test]
fn a_private_key_that_everyone_can_read_is_pointed_out() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new("open-key");
    let key = fixture.path("tls/server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load(&fixture, "minimal.yaml").warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("listen.tls.private_key: "), "{warnings:?}");
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    let fixture = Fixture::new("password");
    let text = std::fs::read_to_string(directory().join("feed-nats.yaml")).unwrap();
    let text = text.replace("nats://127", "nats://user:hunter2@127");
    let config = Config::parse(&text, &fixture.path("feed-nats.yaml")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let bad = text.replace("CLINCH_REVOCATIONS", "a.b").replace("max_staleness", "max_stale");
    let problems = Config::parse(&bad, &fixture.path("feed-nats.yaml")).unwrap_err();
    for shown in [problems.to_string(), format!("{problems:?}"), problems.to_json().to_string()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_redis_stream_is_read_and_what_is_sent_in_clear_is_warned_of() {
    let fixture = Fixture::new("feed-redis");
    let text = std::fs::read_to_string(directory().join("feed-redis.yaml")).unwrap();
    let parse = |text: &str| Config::parse(text, &fixture.path("feed-redis.yaml")).unwrap();
    let Some(Feed::Redis(redis)) = parse(&text).revocation.map(|r| r.feed) else { panic!("another feed") };
    assert_eq!(redis.stream, "clinch:revocations");
    let far =
        text.replace("redis://127.0.0.1", "redis+sentinel://user:hunter2@a,10.0.0.1").replace("/0", "/m");
    let config = parse(&far);
    assert!(
        config.warnings.iter().any(|w| w.contains("cross the network in clear")),
        "{:?}",
        config.warnings
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = parse(&far.replace("redis+", "rediss+").replace("ca: null", "ca: tls/server.crt"));
    assert!(!config.warnings.iter().any(|w| w.contains("in clear")), "{:?}", config.warnings);
}

#[test]
fn a_kafka_topic_is_read_by_a_clinch_that_has_kafka() {
    let fixture = Fixture::new("feed-kafka");
    let text = std::fs::read_to_string(directory().join("feed-kafka.yaml")).unwrap();
    let parse = |text: &str| Config::parse(text, &fixture.path("feed-kafka.yaml"));
    let bad = text.replace("kafka://", "kafka://u:hunter2@").replace("clinch.rev", "clinch/rev");
    let faults = parse(&bad).unwrap_err().to_string();
    assert!(
        faults.contains("logins and TLS are not supported") && faults.contains("name of a topic"),
        "{faults}"
    );
    assert!(!faults.contains("hunter2"), "{faults}");
    if cfg!(not(feature = "kafka")) {
        let faults = parse(&text).unwrap_err().to_string();
        assert!(faults.contains("built without Kafka") && faults.contains("--features kafka"), "{faults}");
        return;
    }
    let Some(Feed::Kafka(kafka)) = parse(&text).unwrap().revocation.map(|r| r.feed) else {
        panic!("another")
    };
    assert_eq!((kafka.brokers[0].as_str(), kafka.topic.as_str()), ("127.0.0.1:9092", "clinch.revocations"));
    let far = parse(&text.replace("127.0.0.1", "10.0.0.1")).unwrap();
    assert!(far.warnings.iter().any(|w| w.contains("in clear")), "{:?}", far.warnings);
}

#[test]
fn a_shared_replay_store_is_read_and_its_dangers_are_named() {
    let fixture = Fixture::new("redis");
    let text = std::fs::read_to_string(directory().join("replay-redis.yaml")).unwrap();
    let shared = Config::parse(&text, &fixture.path("replay-redis.yaml")).unwrap().replay.shared.unwrap();
    assert!(matches!(&shared.store, Store::Redis { url } if url == "redis://127.0.0.1:6379/0"));
    assert_eq!((shared.timeout, shared.on_unavailable), (Duration::from_millis(250), OnUnavailable::Deny));
    let text =
        text.replace("redis://127.0.0.1", "redis://user:hunter2@redis.example").replace("deny", "allow");
    let config = Config::parse(&text, &fixture.path("replay-redis.yaml")).unwrap();
    let about: Vec<_> = config.warnings.iter().map(|w| w.split(':').next().unwrap()).collect();
    assert_eq!(about, ["dpop.replay.url", "dpop.replay.on_unavailable"]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// The budget for the whole start is 100 ms; this is a debug build on a shared machine.
#[test]
fn checking_takes_a_small_part_of_the_start_budget() {
    let fixture = Fixture::new("fast");
    let file = fixture.copy(&directory().join("clinch.yaml"));
    let quick = (0..100).any(|_| {
        let started = Instant::now();
        Config::load(&file).unwrap();
        started.elapsed() < Duration::from_millis(50)
    });
    assert!(quick, "not once in a hundred times");
}
