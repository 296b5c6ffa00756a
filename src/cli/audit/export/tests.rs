use super::*;
use serde_json::json;

const REFUSED: &str = r#"{"seq":17,"time":"2026-11-21T09:00:00.250000Z","kind":"decision","replica":"pod-1",
    "request":"00f067aa0ba902b7","peer":"[2001:db8::1]:4711","method":"GET","target":"https://api.example.com:8443/accounts/7",
    "route":"/accounts/{*rest}","scheme":"DPoP","proof":"dpop","key":"KEY","issuer":"https://as","subject":"alice",
    "client":"app","token_id":"t1","verdict":"refused","reason":"proof_replayed","rule":"RFC 9449 section 11.1",
    "expected":"a new jti","found":"the same","trace":"4bf92f3577b34da6a3ce929d0e0e4736","generation":3,"position":9,
    "prev":"P","hash":"H"}"#;

fn exported(event: fn(Record) -> Value, text: &str) -> Value {
    event(Record::read(text.as_bytes()).unwrap())
}

/// Every member of the record is somewhere in the event.
fn nothing_is_lost(event: &Value, record: &str) {
    let event = event.to_string();
    let record: Map<String, Value> = serde_json::from_str(record).unwrap();
    for (name, value) in record {
        let shown = match (name.as_str(), value.as_str()) {
            ("peer", _) => "2001:db8::1".to_owned(),
            ("verdict", _) => "ailure".to_owned(),
            (_, Some(text)) => text.to_owned(),
            (_, None) => value.to_string(),
        };
        assert!(event.contains(&shown), "{name} is not in {event}");
    }
}

#[test]
fn a_refusal_is_api_activity_that_was_denied() {
    let event = exported(ocsf::event, REFUSED);
    assert_eq!(
        (&event["class_uid"], &event["activity_id"], &event["type_uid"]),
        (&json!(6003), &json!(2), &json!(600_302))
    );
    assert_eq!(
        (&event["status_id"], &event["action_id"], &event["disposition_id"]),
        (&json!(2), &json!(2), &json!(2))
    );
    assert_eq!(event["time"], json!(1_795_251_600_250_u64));
    assert_eq!(
        (&event["status_code"], &event["status_detail"]),
        (&json!("proof_replayed"), &json!("RFC 9449 section 11.1"))
    );
    assert_eq!(
        event["actor"],
        json!({ "app_uid": "app", "session": { "uid": "t1", "issuer": "https://as" }, "user": { "uid": "alice", "type_id": 0 } })
    );
    assert_eq!(event["src_endpoint"], json!({ "ip": "2001:db8::1", "port": 4711 }));
    assert_eq!(event["http_request"]["url"]["path"], json!("/accounts/7"));
    assert_eq!(
        event["api"],
        json!({ "operation": "GET /accounts/{*rest}", "request": { "uid": "00f067aa0ba902b7" } })
    );
    assert_eq!(event["trace"]["uid"], json!("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(
        (&event["metadata"]["sequence"], &event["metadata"]["version"]),
        (&json!(17), &json!("1.6.0"))
    );
    assert_eq!(event["unmapped"]["found"], json!("the same"));
    nothing_is_lost(&event, REFUSED);
}

#[test]
fn what_is_not_known_is_not_made_up() {
    let text = r#"{"seq":1,"time":"2026-11-21T09:00:00.000000Z","kind":"decision","peer":"nonsense","host":"evil\u001b","verdict":"refused"}"#;
    let event = exported(ocsf::event, text);
    assert_eq!(event["actor"], json!({ "app_name": "unknown" }));
    assert_eq!(
        (&event["dst_endpoint"]["hostname"], &event["unmapped"]["peer"]),
        (&json!("evil\u{1b}"), &json!("nonsense"))
    );
    assert!(event.get("src_endpoint").is_none() && event.get("trace").is_none());
    let event = exported(ecs::event, text);
    assert_eq!(
        (&event["url"], &event["clinch"]["peer"]),
        (&json!({ "domain": "evil\u{1b}" }), &json!("nonsense"))
    );
}

#[test]
fn a_refusal_is_an_access_that_was_denied() {
    let event = exported(ecs::event, REFUSED);
    assert_eq!(event["@timestamp"], json!("2026-11-21T09:00:00.250000Z"));
    assert_eq!(
        (&event["event"]["category"], &event["event"]["type"]),
        (&json!(["api"]), &json!(["access", "denied"]))
    );
    assert_eq!(
        (&event["event"]["outcome"], &event["event"]["reason"]),
        (&json!("failure"), &json!("proof_replayed"))
    );
    assert_eq!(event["source"], json!({ "address": "2001:db8::1", "ip": "2001:db8::1", "port": 4711 }));
    assert_eq!(event["user"], json!({ "id": "alice", "domain": "https://as" }));
    assert_eq!(event["http"]["request"], json!({ "method": "GET", "id": "00f067aa0ba902b7" }));
    assert_eq!((&event["url"]["domain"], &event["url"]["port"]), (&json!("api.example.com"), &json!(8443)));
    assert_eq!(event["rule"], json!({ "name": "RFC 9449 section 11.1", "id": "proof_replayed" }));
    assert_eq!((&event["observer"]["name"], &event["clinch"]["client"]), (&json!("pod-1"), &json!("app")));
    nothing_is_lost(&event, REFUSED);
}

#[test]
fn the_life_of_the_sidecar_and_of_its_log_has_classes_too() {
    for (kind, class, activity, category, what) in [
        ("start", 6002, 3, "process", "start"),
        ("stop", 6002, 4, "process", "end"),
        ("config", 6002, 8, "configuration", "change"),
        ("keys", 6002, 99, "configuration", "change"),
        ("feed", 6002, 99, "process", "info"),
        ("rotated", 1008, 5, "process", "info"),
        ("checkpoint", 1008, 99, "process", "info"),
        ("something new", 6002, 99, "process", "info"),
    ] {
        let text = format!(
            r#"{{"seq":1,"time":"2026-11-21T09:00:00.000000Z","kind":"{kind}","next":"audit.jsonl","version":"0.1.0"}}"#
        );
        let event = exported(ocsf::event, &text);
        assert_eq!((&event["class_uid"], &event["activity_id"]), (&json!(class), &json!(activity)), "{kind}");
        nothing_is_lost(&event, &text);
        let event = exported(ecs::event, &text);
        assert_eq!(
            (&event["event"]["category"][0], &event["event"]["type"][0]),
            (&json!(category), &json!(what)),
            "{kind}"
        );
        nothing_is_lost(&event, &text);
    }
}

/// Whatever a record has in it, the event is one line of JSON with all of it, and what is not of the right type is in no
/// field of the schema.
#[test]
fn hostile_values_are_kept_and_stay_values() {
    let nasty = "\\\"},{\\\"x\\\":[\\u0000\\n\\u2028\\ud83d\\ude00";
    let members = [
        "request", "method", "target", "route", "subject", "issuer", "client", "token_id", "reason", "rule",
        "trace", "peer",
    ];
    let texts: String = members.iter().map(|name| format!(r#","{name}":"{name}{nasty}""#)).collect();
    let wrong: String = members.iter().map(|name| format!(r#","{name}":{{"{name}":[1,null]}}"#)).collect();
    for kind in ["decision", "start", "stop", "lost", "unsynced", nasty] {
        for (verdict, said) in [("evil", &texts), ("refused", &texts), ("evil", &wrong)] {
            let text = format!(
                r#"{{"seq":1,"time":"T{nasty}","kind":"{kind}","replica":{{"r":1}},"hash":["h"],"verdict":"{verdict}"{said}}}"#
            );
            for event in [exported(ocsf::event, &text), exported(ecs::event, &text)] {
                let line = event.to_string();
                assert!(!line.contains(|c: char| c.is_ascii_control()), "{line}");
                assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), event);
                for name in members {
                    assert!(
                        line.contains(&format!("{name}\\\"}},{{"))
                            || line.contains(&format!(r#"{{"{name}":[1,null]}}"#)),
                        "{name}: {line}"
                    );
                }
                assert!(line.contains(verdict) || verdict == "refused", "{line}");
                assert!(line.contains(r#"{"r":1}"#) && line.contains(r#"["h"]"#), "{line}");
                assert!(event.get("observer").is_none_or(|observer| observer.get("name").is_none()));
            }
        }
    }
}

#[test]
fn what_was_cut_is_access_that_ended() {
    let record = r#"{"seq":18,"time":"2026-11-21T09:00:00.250000Z","kind":"cut","replica":"pod-1","request":"00f067aa0ba902b7",
        "peer":"[2001:db8::1]:4711","route":"/accounts/{*rest}","issuer":"https://as","subject":"alice","client":"app",
        "token_id":"t1","reason":"revoked","event":"e1","open_ms":7,"generation":3,"position":9,"prev":"P","hash":"H"}"#;
    let event = exported(ocsf::event, record);
    assert_eq!((&event["class_uid"], &event["action_id"]), (&json!(6003), &json!(2)));
    nothing_is_lost(&event, record);
    let event = exported(ecs::event, record);
    assert_eq!(
        (&event["event"]["type"], &event["message"]),
        (&json!(["access", "denied"]), &json!("cut: revoked"))
    );
    assert_eq!(event["http"]["request"]["id"], json!("00f067aa0ba902b7"));
    nothing_is_lost(&event, record);
}
