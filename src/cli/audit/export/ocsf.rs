//! OCSF 1.6 (<https://schema.ocsf.io>): a decision is API Activity, the sidecar's own life is Application Lifecycle, and what
//! befalls the log is Event Log Activity.
//!
//! Not Authorize Session and not Authentication: those are about sessions that are opened and privileges that are assigned
//! to them; here single requests to an API are let through or not, which is what the profile Security Control adds.

use super::super::record::Record;
use super::{Target, object, peer, put, target};
use serde_json::{Map, Value, json};

/// A class of events, by its number in its category.
struct Class {
    category: (u64, &'static str),
    uid: u64,
    name: &'static str,
}

const API_ACTIVITY: Class = Class { category: (6, "Application Activity"), uid: 6003, name: "API Activity" };
const LIFECYCLE: Class =
    Class { category: (6, "Application Activity"), uid: 6002, name: "Application Lifecycle" };
const EVENT_LOG: Class = Class { category: (1, "System Activity"), uid: 1008, name: "Event Log Activity" };
const VERSION: &str = "1.6.0";
const OTHER: u64 = 99;
/// The methods that a request can have by the schema; another one stays among the rest.
const METHODS: [&str; 9] = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH"];

/// The record as an event.
pub(super) fn event(mut record: Record) -> Value {
    let kind = record.take_text("kind").unwrap_or_default();
    let (class, activity, name) = classified(&kind, record.text("method"));
    let mut event = frame(&mut record, &class, (activity, name), &kind);
    match class.uid {
        6003 => decision(&mut record, &mut event, &kind),
        6002 => {
            let version = record.take_text("version").map(Value::from);
            put(
                &mut event,
                "app",
                object([
                    ("name", Some("clinch".into())),
                    ("vendor_name", Some("clinch".into())),
                    ("version", version),
                ]),
            );
            let result = record.take_text("result");
            put(
                &mut event,
                "status_id",
                result.as_deref().map(|result| if result == "refused" { 2 } else { 1 }),
            );
            put(&mut event, "status_detail", result);
        }
        _ => {
            put(&mut event, "log_name", Some("audit"));
            put(&mut event, "log_provider", Some("clinch"));
        }
    }
    put(&mut event, "unmapped", Some(record.into_rest()));
    Value::Object(event)
}

/// Of which class it is, and what was done.
fn classified<'a>(kind: &'a str, method: Option<&str>) -> (Class, u64, &'a str) {
    match kind {
        "decision" => {
            let (activity, name) = match method {
                Some("POST") => (1, "Create"),
                Some("GET" | "HEAD" | "OPTIONS" | "QUERY") => (2, "Read"),
                Some("PUT" | "PATCH") => (3, "Update"),
                Some("DELETE") => (4, "Delete"),
                Some(_) => (OTHER, "Other"),
                None => (0, "Unknown"),
            };
            (API_ACTIVITY, activity, name)
        }
        // An access that was allowed is allowed no more.
        "cut" | "handshake" => (API_ACTIVITY, OTHER, kind),
        "start" => (LIFECYCLE, 3, "Start"),
        "stop" => (LIFECYCLE, 4, "Stop"),
        "config" => (LIFECYCLE, 8, "Update"),
        "rotated" => (EVENT_LOG, 5, "Rotate"),
        "checkpoint" | "lost" | "recovered" | "touched" | "unsynced" => (EVENT_LOG, OTHER, kind),
        _ => (LIFECYCLE, OTHER, kind),
    }
}

/// What every event has.
fn frame(
    record: &mut Record,
    class: &Class,
    (activity, name): (u64, &str),
    kind: &str,
) -> Map<String, Value> {
    let time = record.take_text("time");
    let millis = time.as_deref().and_then(|time| humantime::parse_rfc3339(time).ok());
    let millis = millis.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let replica = record.take_text("replica");
    let profiles: &[&str] =
        if class.uid == 6003 { &["host", "security_control", "trace"] } else { &["host"] };
    let sequence = record.take("seq");
    let mut event = Map::new();
    put(&mut event, "category_uid", Some(class.category.0));
    put(&mut event, "category_name", Some(class.category.1));
    put(&mut event, "class_uid", Some(class.uid));
    put(&mut event, "class_name", Some(class.name));
    put(&mut event, "activity_id", Some(activity));
    put(&mut event, "activity_name", Some(name));
    put(&mut event, "type_uid", Some(class.uid * 100 + activity));
    // A name of our own is for the activity only: the type is the schema's.
    let of_type = if activity == OTHER { "Other" } else { name };
    put(&mut event, "type_name", Some(format!("{}: {of_type}", class.name)));
    put(&mut event, "severity_id", Some(1));
    put(&mut event, "time", millis.map(|time| u64::try_from(time.as_millis()).unwrap_or_default()));
    put(&mut event, "device", replica.map(|name| json!({ "hostname": name, "type_id": 0 })));
    let metadata = object([
        ("version", Some(VERSION.into())),
        ("product", Some(json!({ "name": "clinch", "vendor_name": "clinch" }))),
        ("profiles", Some(profiles.into())),
        ("log_name", Some("audit".into())),
        ("event_code", Some(kind.into())),
        ("sequence", sequence),
        // The hash of the record names it beyond doubt.
        ("uid", record.take_text("hash").map(Value::from)),
        ("original_time", time.map(Value::from)),
    ]);
    put(&mut event, "metadata", metadata);
    event
}

fn decision(record: &mut Record, event: &mut Map<String, Value>, kind: &str) {
    let text = |record: &mut Record, name| record.take_text(name).map(Value::from);
    let (request, method, route) =
        (text(record, "request"), record.text("method").map(str::to_owned), record.take_text("route"));
    let granted = match record.text("verdict") {
        Some("granted" | "observed") => Some(true),
        Some("refused") => Some(false),
        None if kind == "cut" => Some(false),
        // Another word stays what it is, beside the rest.
        Some(_) | None => None,
    };
    // That it was observed says more than that it was let in.
    if granted.is_some() && record.text("verdict") != Some("observed") {
        record.take("verdict");
    }
    let outcome = |yes: &'static str, no: &'static str| granted.map(|granted| if granted { yes } else { no });
    put(event, "status_id", Some(granted.map_or(0, |granted| if granted { 1 } else { 2 })));
    put(event, "status", outcome("Success", "Failure"));
    put(event, "action_id", Some(granted.map_or(0, |granted| if granted { 1 } else { 2 })));
    put(event, "action", outcome("Allowed", "Denied"));
    put(event, "disposition_id", Some(granted.map_or(0, |granted| if granted { 1 } else { 2 })));
    put(event, "disposition", outcome("Allowed", "Blocked"));
    let reason = text(record, "reason");
    put(event, "message", reason.clone().or_else(|| outcome("granted", "refused").map(Value::from)));
    put(event, "status_code", reason);
    put(event, "status_detail", text(record, "rule"));

    let (subject, client) = (text(record, "subject"), text(record, "client"));
    let session = object([("uid", text(record, "token_id")), ("issuer", text(record, "issuer"))]);
    let user = subject.map(|subject| json!({ "uid": subject, "type_id": 0 }));
    // An actor has to have something, and who asked is not known before the token is verified.
    let nobody = (user.is_none() && client.is_none() && session.is_none()).then(|| "unknown".into());
    let actor = [("user", user), ("app_uid", client), ("session", session), ("app_name", nobody)];
    put(event, "actor", object(actor));

    let operation = [method.as_deref(), route.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let operation = if operation.is_empty() { "unknown" } else { &operation };
    let api = [
        ("operation", Some(operation.into())),
        ("request", request.clone().map(|uid| json!({ "uid": uid }))),
    ];
    put(event, "api", object(api));
    let generation = record.number("generation");
    // A policy has a name. The generation is among the rest in any case.
    let version = generation.filter(|_| route.is_some()).map(|number| number.to_string().into());
    put(event, "policy", object([("name", route.map(Value::from)), ("version", version)]));
    let target = target(record);
    let host = target.as_ref().and_then(|target| target.host.clone());
    put(event, "dst_endpoint", object([("hostname", host.map(Value::from))]));
    let known = method.filter(|method| METHODS.contains(&method.as_str()));
    if known.is_some() {
        record.take("method");
    }
    let asked = [("http_method", known.map(Value::from)), ("uid", request), ("url", target.and_then(url))];
    put(event, "http_request", object(asked));
    let peer = peer(record);
    let source = [
        ("ip", peer.map(|peer| peer.ip().to_string().into())),
        ("port", peer.map(|peer| peer.port().into())),
    ];
    put(event, "src_endpoint", object(source));
    put(event, "trace", record.take_text("trace").map(|id| json!({ "uid": id })));
}

/// Nothing where only the host is known: the destination has that.
fn url(target: Target) -> Option<Value> {
    let given = |text: String| (!text.is_empty()).then(|| text.into());
    if target.full.is_empty() {
        return None;
    }
    object([
        ("url_string", given(target.full)),
        ("scheme", target.scheme.map(Value::from)),
        ("hostname", target.host.map(Value::from)),
        ("port", target.port.map(Value::from)),
        ("path", given(target.path)),
    ])
}
