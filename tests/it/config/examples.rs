//! The files in `config/` load, and say what their comments say.

use super::fixture::Fixture;
use clinch::config::{ClientCertificates, Config, Feed, LogFormat, OnStale};
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
        if name.ends_with(".yaml") {
            load(&fixture, &name);
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} examples");
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
    assert_eq!(config.upstream.authority.as_str(), "127.0.0.1:8080");
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
    assert_eq!(config.replay_max_entries, 2_000_000);
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
fn the_schema_in_the_repository_is_the_one_printed() {
    let file = directory().join("clinch.schema.json");
    let printed = format!("{:#}\n", clinch::config::schema());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), printed, "run with BLESS=1");
}

/// The budget for the whole start is 100 ms; this is a debug build on a shared machine.
#[test]
fn checking_takes_a_small_part_of_the_start_budget() {
    let fixture = Fixture::new("fast");
    let file = fixture.copy(&directory().join("clinch.yaml"));
    let fastest = (0..5)
        .map(|_| {
            let started = Instant::now();
            Config::load(&file).unwrap();
            started.elapsed()
        })
        .min();
    assert!(fastest.unwrap() < Duration::from_millis(50), "{fastest:?}");
}
