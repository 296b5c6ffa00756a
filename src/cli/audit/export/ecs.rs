//! ECS 8.17 (<https://www.elastic.co/docs/reference/ecs>): a decision is an access to an API, allowed or denied.
//!
//! What ECS has no field for is under `clinch`, by the names of the record. The OAuth client is there too: `client` in ECS is
//! the network's.

use super::super::record::Record;
use super::{Target, object, peer, put, target};
use serde_json::{Map, Value, json};

const VERSION: &str = "8.17.0";

/// The record as an event.
pub(super) fn event(mut record: Record) -> Value {
    let kind = record.take_text("kind").unwrap_or_default();
    let is_decision = matches!(&*kind, "decision" | "cut" | "handshake");
    let of_decision = |record: &mut Record, name| is_decision.then(|| record.take_text(name)).flatten();
    let verdict = of_decision(&mut record, "verdict");
    let (category, types, outcome) = categorised(&kind, verdict.as_deref());
    let reason = record.take_text("reason").map(Value::from);
    let request = of_decision(&mut record, "request").map(Value::from);
    let about = [
        ("kind", Some("event".into())),
        ("category", Some([category].as_slice().into())),
        ("type", Some(types.into())),
        ("outcome", outcome.map(Value::from)),
        ("action", Some(kind.as_str().into())),
        ("reason", reason.clone()),
        ("dataset", Some("clinch.audit".into())),
        ("module", Some("clinch".into())),
        ("provider", Some("clinch".into())),
        ("sequence", record.take("seq")),
        ("hash", record.take_text("hash").map(Value::from)),
    ];
    let mut event = Map::new();
    put(&mut event, "@timestamp", record.take_text("time"));
    put(&mut event, "ecs", Some(json!({ "version": VERSION })));
    put(&mut event, "event", object(about));
    let observer = [
        ("vendor", Some("clinch".into())),
        ("product", Some("clinch".into())),
        ("type", Some("proxy".into())),
        ("name", record.take_text("replica").map(Value::from)),
        ("version", if kind == "start" { record.take_text("version").map(Value::from) } else { None }),
    ];
    put(&mut event, "observer", object(observer));
    if is_decision {
        let said =
            reason.as_ref().and_then(Value::as_str).map(|reason| format!(": {reason}")).unwrap_or_default();
        put(&mut event, "message", Some(format!("{}{said}", verdict.as_deref().unwrap_or(&kind))));
        decision(&mut record, &mut event, request, reason);
    } else {
        put(&mut event, "message", Some(kind));
    }
    put(&mut event, "clinch", Some(record.into_rest()).filter(|rest| !rest.is_empty()));
    Value::Object(event)
}

/// `event.category`, `event.type` and `event.outcome`, of the values that ECS allows together.
fn categorised(
    kind: &str,
    verdict: Option<&str>,
) -> (&'static str, &'static [&'static str], Option<&'static str>) {
    match (kind, verdict) {
        ("decision", Some("granted" | "observed")) => ("api", &["access", "allowed"], Some("success")),
        ("decision", Some("refused")) => ("api", &["access", "denied"], Some("failure")),
        ("decision", _) => ("api", &["access"], Some("unknown")),
        ("cut", _) => ("api", &["access", "denied"], Some("failure")),
        ("handshake", _) => ("network", &["connection", "denied"], Some("failure")),
        ("start", _) => ("process", &["start"], None),
        ("stop", _) => ("process", &["end"], None),
        ("config" | "keys" | "certificate", _) => ("configuration", &["change"], None),
        ("lost" | "touched", _) => ("process", &["info"], Some("failure")),
        (_, _) => ("process", &["info"], None),
    }
}

fn decision(
    record: &mut Record,
    event: &mut Map<String, Value>,
    request: Option<Value>,
    reason: Option<Value>,
) {
    let peer = peer(record);
    let address = peer.map(|peer| Value::from(peer.ip().to_string()));
    let source = [
        ("address", address.clone()),
        ("ip", address.clone()),
        ("port", peer.map(|peer| peer.port().into())),
    ];
    put(event, "source", object(source.clone()));
    put(event, "client", object(source));
    let subject = record.take_text("subject").map(Value::from);
    let user = [("id", subject.clone()), ("domain", record.take_text("issuer").map(Value::from))];
    put(event, "user", object(user));
    let list = |value: Option<Value>| value.map(|value| Value::from([value].as_slice()));
    put(event, "related", object([("ip", list(address)), ("user", list(subject))]));
    let http = [("method", record.take_text("method").map(Value::from)), ("id", request)];
    put(event, "http", object([("request", object(http))]));
    put(event, "url", target(record).and_then(url));
    put(event, "trace", object([("id", record.take_text("trace").map(Value::from))]));
    let rule = record.take_text("rule").map(Value::from);
    put(event, "rule", rule.and_then(|rule| object([("name", Some(rule)), ("id", reason)])));
}

fn url(target: Target) -> Option<Value> {
    let given = |text: String| (!text.is_empty()).then(|| Value::from(text));
    let full = given(target.full);
    object([
        ("full", full.clone()),
        ("original", full),
        ("scheme", target.scheme.map(Value::from)),
        ("domain", target.host.map(Value::from)),
        ("port", target.port.map(Value::from)),
        ("path", given(target.path)),
    ])
}
