//! `clinch check`, `clinch explain` and `clinch schema` as an operator runs them.

use super::examples::directory;
use super::fixture::Fixture;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The exit code, standard output and standard error.
fn clinch(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_clinch")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn full(fixture: &Fixture) -> String {
    fixture.copy(&directory().join("clinch.yaml")).to_str().unwrap().to_owned()
}

#[test]
fn a_good_file_is_summed_up_and_its_dangers_are_named() {
    let fixture = Fixture::new("check-good");
    let (code, out, err) = clinch(&["check", "--config", &full(&fixture)]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("0.0.0.0:8443 for https://api.example.com"), "{out}");
    assert!(out.contains("not JWTs are refused") && out.contains("only after a restart"), "{out}");
    assert!(err.contains("danger_unprotected") && err.contains("danger_bearer"), "{err}");
}

#[test]
fn a_bad_file_ends_with_64_and_every_problem_without_colour_in_a_pipe() {
    let fixture = Fixture::new("check-bad");
    let bad = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/bad/many.yaml");
    let file = fixture.copy(&bad);
    let file = file.to_str().unwrap();
    let (code, out, err) = clinch(&["check", "--config", file]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert!(
        err.contains("unknown key") && err.contains("has expired") && err.contains("no such file"),
        "{err}"
    );
    assert!(!err.contains('\u{1b}'), "{err:?}");
    let (code, out, _) = clinch(&["check", "--json", "--config", file]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 64);
    assert_eq!(json["problems"][0]["path"], "listen.adress");
    assert_eq!((&json["problems"][0]["line"], &json["problems"][0]["column"]), (&2.into(), &3.into()));
}

#[test]
fn what_does_not_work_yet_says_so() {
    let fixture = Fixture::new("check-online");
    let (code, _, err) = clinch(&["check", "--online", "--config", &full(&fixture)]);
    assert_eq!(code, 64);
    assert!(err.contains("not supported yet"), "{err}");
}

#[test]
fn a_request_is_explained_in_words() {
    let fixture = Fixture::new("explain");
    let file = full(&fixture);
    let explain = |method: &str, url: &str| clinch(&["explain", "--config", &file, method, url]);
    let (code, out, err) = explain("GET", "https://API.example.com:443/accounts/%7e1?page=2#top");
    assert_eq!(code, 0, "{err}");
    for part in [
        "/accounts/{*rest}",
        "htu https://api.example.com/accounts/~1",
        "accounts.read",
        "ES256",
        "60 seconds",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(explain("GET", "https://api.example.com/healthz").1.contains("open to everyone"));
    assert!(explain("POST", "https://api.example.com/payments").1.contains("both must be shown"));
    assert!(explain("GET", "https://api.example.com/legacy/x").1.contains("danger_bearer"));
    for (method, url, status, reason) in [
        ("GET", "https://api.example.com/nowhere", "403", "route_unknown"),
        ("DELETE", "https://api.example.com/payments", "405", "method_not_allowed"),
        ("GET", "https://other.example.com/payments", "421", "host_unknown"),
        ("GET", "https://api.example.com/a/../payments", "400", "path_ambiguous"),
        ("GET", "/payments", "400", "request_malformed"),
    ] {
        let (code, out, _) = explain(method, url);
        assert_eq!(code, 0);
        assert!(out.contains(status) && out.contains(reason), "{method} {url}: {out}");
    }
    let (_, out, _) = explain("GET", "https://api.example.com/a/../payments");
    assert!(out.contains("it has a dot segment"), "{out}");
}

#[test]
fn what_clinch_answers_itself_is_explained_too() {
    let fixture = Fixture::new("explain-metadata");
    let file = full(&fixture);
    let well_known = |path: &str| {
        let url = format!("https://api.example.com/.well-known/oauth-protected-resource{path}");
        clinch(&["explain", "--config", &file, "GET", &url]).1
    };
    let out = well_known("/payments");
    assert!(out.contains("answered by clinch itself") && out.contains("payments.write"), "{out}");
    assert!(well_known("/nowhere").contains("metadata_unknown"));
    let text = std::fs::read_to_string(&file).unwrap();
    let origins = "public_origins: [https://api.example.com]";
    let behind_a_prefix = text.replace(origins, "public_origins: [https://api.example.com/svc2]");
    std::fs::write(&file, behind_a_prefix).unwrap();
    let out = well_known("/svc2/payments");
    assert!(out.contains(r#""resource":"https://api.example.com/svc2/payments""#), "{out}");
    std::fs::write(&file, text.replace("resource_metadata: true", "resource_metadata: false")).unwrap();
    assert!(well_known("/payments").contains("route_unknown"));
}

#[test]
fn a_request_is_explained_to_machines() {
    let fixture = Fixture::new("explain-json");
    let file = full(&fixture);
    let (_, out, _) =
        clinch(&["explain", "--json", "--config", &file, "POST", "https://api.example.com/payments"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["route"], "/payments");
    assert_eq!(json["proof"], serde_json::json!(["dpop+mtls"]));
    assert_eq!(json["htu"], "https://api.example.com/payments");
}

#[test]
fn help_names_every_member_of_the_json() {
    let fixture = Fixture::new("help");
    let file = full(&fixture);
    let bad = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/bad/many.yaml");
    let bad = fixture.copy(&bad);
    let explain = |url: &str| clinch(&["explain", "--json", "--config", &file, "POST", url]).1;
    let document = "https://api.example.com/.well-known/oauth-protected-resource/payments";
    let explain_metadata = || clinch(&["explain", "--json", "--config", &file, "GET", document]).1;
    let check = |file: &str| clinch(&["check", "--json", "--config", file]).1;
    for (command, out) in [
        ("check", check(&file)),
        ("check", check(bad.to_str().unwrap())),
        ("explain", explain("https://api.example.com/payments")),
        ("explain", explain("https://api.example.com/a//payments")),
        ("explain", explain_metadata()),
    ] {
        let help = clinch(&[command, "--help"]).1;
        let json: Value = serde_json::from_str(&out).unwrap();
        for member in members(&json) {
            let named = help.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == member);
            assert!(named, "{command}: {member} in {help}");
        }
    }
}

/// The names of all members, at any depth.
fn members(json: &Value) -> Vec<String> {
    match json {
        Value::Object(object) => {
            object.iter().flat_map(|(name, below)| [vec![name.clone()], members(below)].concat()).collect()
        }
        Value::Array(items) => items.iter().flat_map(members).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn a_byte_order_mark_moves_no_column() {
    let fixture = Fixture::new("check-mark");
    let column = |text: &str| {
        let file = fixture.path("marked.yaml");
        std::fs::write(&file, text).unwrap();
        let (_, out, _) = clinch(&["check", "--json", "--config", file.to_str().unwrap()]);
        let json: Value = serde_json::from_str(&out).unwrap();
        json["problems"][0]["column"].as_u64()
    };
    assert_eq!(column("surprise: 1\n"), Some(1));
    assert_eq!(column("\u{feff}surprise: 1\n"), Some(1));
}

#[test]
fn the_schema_is_printed_and_closed() {
    let (code, out, _) = clinch(&["schema"]);
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema, clinch::config::schema());
    closed_and_documented(&schema, "");
}

/// Every mapping is closed, every key has a description, and what does not work yet says so.
fn closed_and_documented(schema: &Value, path: &str) {
    if let Some(keys) = schema.get("properties").and_then(Value::as_object) {
        assert_eq!(schema["additionalProperties"], false, "{path}");
        for (key, below) in keys {
            let description = below["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{path}.{key} has no description");
        }
    }
    if schema.get("x-not-yet").is_some() {
        let description = schema["description"].as_str().unwrap_or_default().to_lowercase();
        assert!(description.contains("not supported yet"), "{path}: {description}");
    }
    match schema {
        Value::Object(members) => {
            members.iter().for_each(|(key, below)| closed_and_documented(below, &format!("{path}.{key}")));
        }
        Value::Array(items) => items.iter().for_each(|below| closed_and_documented(below, path)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_file_that_is_none_is_named_in_words() {
    let fixture = Fixture::new("check-none");
    for (path, why) in [("tls", "is a directory"), ("nowhere.yaml", "no such file")] {
        let file = fixture.path(path);
        let (code, _, err) = clinch(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(code, 64);
        assert!(err.contains(&format!("the configuration can't be read: {why}\n")), "{err}");
        assert!(err.contains(&format!("1 problem in {}", file.display())), "{err}");
    }
}
