//! `deploy/observability`: rules, alerts and dashboards by promtool, and against a real Prometheus that scrapes the
//! shipped binary while it is used.

use crate::support::echo::Echo;
use crate::support::eventually;
use crate::support::front::Front;
use crate::support::oauth_client::HOST;
use crate::support::prometheus::{Prometheus, encoded};
use crate::support::tool;
use crate::support::world::url;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/observability")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(tool("bin/promtool"))
        .args(arguments)
        .current_dir(folder().join("prometheus"))
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}\n{said}");
}

#[test]
fn promtool_finds_no_fault() {
    promtool(&["check", "rules", "rules.yaml", "alerts.yaml"]);
    promtool(&["check", "config", "prometheus.yaml"]);
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let files: Vec<&str> = CASES.iter().filter_map(|file| file.strip_prefix("prometheus/")).collect();
    promtool(&[&["test", "rules"], &files[..]].concat());
}

const CASES: [&str; 3] =
    ["prometheus/tests.yaml", "prometheus/tests-slow.yaml", "prometheus/tests-causes.yaml"];

/// The alerts that a case of promtool's expects, and those that one expects to be silent.
fn tried() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut fire, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for file in CASES {
        let cases: Value = serde_saphyr::from_str(&read(file)).unwrap();
        let every = |kind: &str| -> Vec<Value> {
            let of = |case: &Value| case[kind].as_array().cloned().unwrap_or_default();
            cases["tests"].as_array().unwrap().iter().flat_map(of).collect()
        };
        for asked in every("alert_rule_test") {
            let name = asked["alertname"].as_str().unwrap().to_owned();
            let expected = asked["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            if expected {
                fire.insert(name)
            } else {
                silent.insert(name)
            };
        }
        for asked in every("promql_expr_test") {
            let expr = asked["expr"].as_str().unwrap();
            let samples = asked["exp_samples"].as_array().filter(|_| expr.contains("ALERTS"));
            for sample in samples.into_iter().flatten() {
                let said = [expr, sample["labels"].as_str().unwrap()].concat();
                let names = said.split("alertname=\"").skip(1).filter_map(|rest| rest.split('"').next());
                fire.extend(names.map(str::to_owned));
            }
        }
    }
    (fire, silent)
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let (fire, silent) = tried();
    for name in alerts() {
        assert!(fire.contains(&name), "{name} never fires in a test");
        assert!(silent.contains(&name), "{name} is never expected to be silent");
    }
}

fn alerts() -> BTreeSet<String> {
    let alerts = read("prometheus/alerts.yaml");
    let names = alerts.split("- alert: ").skip(1).filter_map(|rest| rest.lines().next());
    names.map(str::to_owned).collect()
}

const DASHBOARDS: [&str; 3] = ["grafana/executive.json", "grafana/on-call.json", "grafana/debug.json"];

/// The title of each panel with a query of its.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for name in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(&read(name)).unwrap();
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let title = format!("{name}: {}", panel["title"].as_str().unwrap());
            for target in panel["targets"].as_array().unwrap() {
                queries.push((title.clone(), target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(queries.len() > 60);
    queries
}

/// Every metric that a text names, without what a histogram adds to its name.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let words = text.split(|c| !word(c));
    let metrics = words.filter(|word| word.starts_with("clinch_") || word.starts_with("process_"));
    let bare = |word: &str| {
        let suffixes = ["_bucket", "_sum", "_count"];
        suffixes.iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word).to_owned()
    };
    metrics.map(bare).collect()
}

/// `docs/metrics.md` is held to what is registered, so what is there is served.
#[test]
fn every_metric_that_is_named_is_there() {
    let document = std::fs::read_to_string(folder().join("../../docs/metrics.md")).unwrap();
    let rows: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for file in ["prometheus/rules.yaml", "prometheus/alerts.yaml"].iter().chain(&CASES).chain(&DASHBOARDS) {
        let named = named(&read(file));
        assert!(named.len() > 1, "{file}: {named:?}");
        let unknown: Vec<_> = named.iter().filter(|name| !rows.contains(name.as_str())).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which docs/metrics.md does not have");
    }
}

#[test]
fn every_alert_and_panel_leads_somewhere() {
    const RUNBOOKS: [&str; 10] = [
        "mass-401-after-key-rotation",
        "issuer-outage",
        "feed-stale",
        "replay-store-down",
        "revoke-now",
        "clock-skew",
        "certificate-expiry",
        "audit-write-failure",
        "upstream-down",
        "suspicious-use",
    ];
    let base = "https://github.com/clinch-dev/clinch/blob/main/docs/";
    let alerts = read("prometheus/alerts.yaml");
    let all = DASHBOARDS.map(read).concat() + &alerts;
    for runbook in RUNBOOKS {
        assert!(all.contains(&format!("{base}runbooks/{runbook}.md")), "nothing leads to {runbook}");
    }
    let links: Vec<&str> =
        all.split(base).skip(1).map(|rest| rest.split(['"', '\n']).next().unwrap()).collect();
    let operations = std::fs::read_to_string(folder().join("../../docs/operations.md")).unwrap();
    for link in links.iter().filter(|link| **link != "runbooks") {
        let runbook = link.strip_prefix("runbooks/").and_then(|name| name.strip_suffix(".md"));
        let section = link.strip_prefix("operations.md#");
        let known = runbook.is_some_and(|name| RUNBOOKS.contains(&name))
            || section.is_some_and(|name| {
                operations.to_lowercase().contains(&format!("\n## {}", name.replace("ready", "/ready")))
            });
        assert!(known, "{link}");
    }
    assert_eq!(alerts.matches("- alert:").count(), alerts.matches("runbook_url:").count());
    assert_eq!(alerts.matches("- alert:").count(), alerts.matches("description:").count());
}

/// What stays empty where there is no introspection, no feed, no shared store, no audit log, no trouble.
const MAY_BE_EMPTY: [&str; 19] = [
    "clinch_introspection",
    "clinch_revocation_propagation",
    "clinch_revocation_rejected",
    "clinch_revocation_received",
    "clinch_revocation_unchecked",
    "clinch_feed_lag",
    "clinch_feed_silence",
    "clinch_feed_transitions",
    "clinch_replay_store_seconds",
    "clinch_replay_store_operations",
    "clinch_transmitter",
    "clinch_audit",
    "clinch_upstream_failures",
    "clinch_tls_handshake_failures",
    "clinch_unreadable",
    "clinch_connections_refused",
    "clinch_proxy_protocol",
    "token_not_yet_valid",
    "clinch_span_exports",
];

/// A runbook is found by the name of the alert that pages.
#[test]
fn runbooks_name_every_alert_and_no_other() {
    let alerts = alerts();
    let folder = folder().join("../../docs/runbooks");
    let mut seen = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        for name in text
            .split('`')
            .filter(|word| word.starts_with("Clinch") && word.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            assert!(alerts.contains(name), "{}: no alert {name}", file.display());
            seen.insert(name.to_owned());
        }
    }
    assert_eq!(seen, alerts, "each has its runbook");
}

#[test]
fn runbooks_tell_how_long_it_has_lasted() {
    let (alerts, runbooks) = (read("prometheus/alerts.yaml"), read("../../docs/runbooks/README.md"));
    let mut told = 0;
    for section in runbooks.split("\n## ").filter(|section| section.starts_with("Clinch")) {
        let name = section.lines().next().unwrap();
        let rule = alerts.split("- alert: ").find(|rule| rule.starts_with(name)).expect("an alert");
        let Some(lasts) = rule.split("\n        for: ").nth(1) else { continue };
        let words = match lasts.lines().next().unwrap() {
            "2m" => "for two minutes",
            "5m" => "for five minutes",
            other => panic!("{name}: {other}"),
        };
        assert!(section.to_lowercase().contains(words), "{name} fires when it has lasted {words}");
        told += 1;
    }
    assert!(told >= 3, "{told}");
}

async fn traffic(front: &Front) {
    for number in 0..6 {
        let path = format!("/a/{number}");
        let token = front.token(&json!({}));
        assert_eq!(front.get(&path, &url(&path), &token).await.status, 200);
        assert_eq!(front.get(&path, &url("/elsewhere"), &token).await.status, 401);
        assert_eq!(front.ask("GET", &path, &[]).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_understands_it_all() {
    let collector = Echo::start().await;
    let routes = format!(
        "  - {{ path: '/a/{{*rest}}', proof: [dpop] }}\ntelemetry: {{ otlp: 'http://{}', otlp_metrics: 1s }}",
        collector.address
    );
    let front = Front::start(&format!("  public_origins: ['https://{HOST}']\n  drain: 1s"), &routes).await;
    traffic(&front).await;
    let prometheus = Prometheus::scraping(front.clinch.admin, &folder().join("prometheus")).await;
    let count = async || {
        let result = prometheus.query("sum(clinch_requests_total)").await.unwrap();
        result.first()?["value"][1].as_str()?.parse::<u64>().ok()
    };
    let first = eventually("the first scrape", count).await;
    assert!(first >= 18, "{first}");
    traffic(&front).await;
    eventually("more to be scraped", async || count().await.filter(|now| *now >= first + 18)).await;
    let recorded = "job:clinch_verifications_failed:ratio_rate5m == 0";
    eventually("the recording rules", async || prometheus.query(recorded).await.unwrap().pop()).await;

    let mut faults = Vec::new();
    for (title, query) in queries() {
        let query = query.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$job", ".+");
        match prometheus.query(&query).await {
            Err(why) => faults.push(format!("{title}\n  {query}\n  {why}")),
            Ok(result) if result.is_empty() && !MAY_BE_EMPTY.iter().any(|name| query.contains(name)) => {
                faults.push(format!("{title}\n  {query}\n  has no data"));
            }
            Ok(_) => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let rules = prometheus.api("rules").await.unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), 63);
    for rule in rules {
        assert!(rule["health"] != "err", "{rule}");
        assert!(rule["state"] != "firing", "nothing is wrong: {rule}");
    }
    let exemplars = encoded("clinch_decision_seconds_bucket");
    let exemplars =
        prometheus.api(&format!("query_exemplars?query={exemplars}&start=0&end=9999999999")).await;
    let exemplars = exemplars.unwrap();
    let trace = exemplars[0]["exemplars"][0]["labels"]["trace_id"].as_str();
    assert_eq!(trace.map(str::len), Some(32), "{exemplars}");
    let sound = async || {
        let targets = prometheus.api("targets").await.unwrap();
        (targets["activeTargets"][0]["lastError"] == "").then_some(())
    };
    eventually("a scrape without a fault", sound).await;
}
