//! The JSON Schema, against a validator that others use.

use super::examples::directory;
use super::fixture::Fixture;
use clinch::config::{Config, schema};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| Fixture::new("schema"));
static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());

#[test]
fn the_schema_in_the_repository_is_the_one_printed() {
    let file = directory().join("clinch.schema.json");
    let printed = format!("{:#}\n", clinch::config::schema());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), printed, "run with BLESS=1");
}

/// JSON is YAML too, so one text can be judged by both.
fn good() -> Value {
    json!({
        "mode": "enforce",
        "listen": {
            "address": "0.0.0.0:8443",
            "public_origins": ["https://api.example.com"],
            "tls": { "certificate": "tls/server.crt", "private_key": "tls/server.key", "client_certificate": "off" },
            "limits": { "connections": 10, "header_bytes": "32KiB", "header_timeout": "10s" },
            "drain": "20s",
        },
        "issuers": [{
            "issuer": "https://as.example.com",
            "audiences": ["https://api.example.com"],
            "algorithms": ["ES256"],
            "jwks_uri": null,
            "jwks": { "refresh": "5m" },
        }],
        "dpop": { "max_age": "60s", "nonce": { "mode": "off" }, "replay": { "store": "memory", "max_entries": 10 } },
        "revocation": { "feed": { "kind": "file", "path": "journal" }, "accept_plain": true, "on_stale": "deny" },
        "routes": [
            { "path": "/a", "proof": ["dpop"], "methods": ["GET"], "scopes": ["a"] },
            { "path": "/b", "proof": { "all": ["dpop"] } },
            { "path": "/c", "danger_unprotected": true },
        ],
        "identity": { "headers": { "x-tenant": "tenant" }, "forward_authorization": false },
        "telemetry": { "otlp": null, "sample": 0.5, "log": { "format": "json", "level": "info" } },
        "admin": { "address": "127.0.0.1:9901" },
    })
}

fn load(value: &Value) -> Result<Config, clinch::config::Problems> {
    Config::parse(&value.to_string(), &FIXTURE.path("clinch.yaml"))
}

#[test]
fn the_validator_and_clinch_take_the_good_file() {
    assert!(VALIDATOR.is_valid(&good()), "{:?}", VALIDATOR.validate(&good()));
    load(&good()).unwrap_or_else(|problems| panic!("{problems}"));
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(key, v)| places(v, &format!("{at}/{key}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), all));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!(7)),
        Just(json!("")),
        Just(json!("off")),
        Just(json!("10s")),
        Just(json!("text")),
        Just(json!([])),
        Just(json!(["dpop"])),
        Just(json!([7])),
        Just(json!({})),
        Just(json!({ "all": ["mtls"] })),
        Just(json!({ "unknown": 1 })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Clinch may be stricter than the schema, never laxer.
    #[test]
    fn what_the_schema_refuses_clinch_refuses(
        at in any::<prop::sample::Index>(),
        instead in anything(),
        how in 0..3,
    ) {
        let mut value = good();
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let place = value.pointer_mut(&all[at.index(all.len())]).unwrap();
        match (how, place) {
            (0, Value::Object(members)) => {
                members.insert("unknown".to_owned(), instead);
            }
            (1, Value::Object(members)) => {
                let key = members.keys().nth(at.index(members.len().max(1))).cloned();
                key.and_then(|key| members.remove(&key));
            }
            (_, place) => *place = instead,
        }
        if !VALIDATOR.is_valid(&value) {
            prop_assert!(load(&value).is_err(), "{value}");
        }
    }
}
