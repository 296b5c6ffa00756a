use super::*;
use crate::pop::Denial;
use crate::state::audit::Signer;
use crate::state::audit::tests::Said;
use crate::telemetry::{Passed, Reloaded};
use serde_json::{Value, json};
use std::sync::Arc;

fn members(write: impl FnOnce(Members<'_>)) -> Value {
    let mut text = br#"{"seq":1"#.to_vec();
    write(Members(&mut text));
    text.push(b'}');
    serde_json::from_slice(&text).unwrap()
}

fn without_seq(mut value: Value) -> Value {
    value.as_object_mut().unwrap().remove("seq");
    value
}

const HOSTILE: &str = "a\"b\\c\nd\re\u{1b}[31m\u{9b}\u{7f}\0\u{2028}\u{2029}\u{202e}é\u{1f600}";

/// HD-059
#[test]
fn no_value_breaks_a_record() {
    for value in [HOSTILE, "plain", "é", "\"", "\\"] {
        let mut text = Vec::new();
        string(&mut text, value, LONGEST_VALUE);
        assert!(!std::str::from_utf8(&text).unwrap().chars().any(breaks_lines), "{text:?}");
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value, "escaped, not altered");
    }
    let long = members(|mut members| members.text("x", &"é\"".repeat(2000)));
    assert!((2047..=2048).contains(&long["x"].as_str().unwrap().len()));
    let mut text = Vec::new();
    Members(&mut text).text("x", &"\u{1b}".repeat(2048));
    assert_eq!(text.len(), r#","x":"""#.len() + LONGEST_VALUE / 6 * 6, "as it is written, too");
}

#[test]
fn a_grant_tells_who_and_how_and_nothing_that_is_not_known() {
    let said = Said::default();
    let granted = without_seq(members(|members| members.decision(&said.decision(Ok(Passed::Request)))));
    let token = &said.token;
    let expected = json!({
        "request": said.request.as_str(), "peer": "[2001:db8::1]:443", "method": "GET",
        "target": "https://api.example.com/a", "route": "/{*rest}", "scheme": "DPoP", "proof": "dpop",
        "key": token.confirmation().jkt.unwrap().as_str(), "issuer": token.issuer(), "subject": token.subject(),
        "client": token.client(), "token_id": token.token_id(), "verdict": "granted",
        "trace": said.trace.as_str(), "generation": 3, "position": 17,
    });
    assert_eq!(granted, expected);
    let preflight = members(|members| members.decision(&said.decision(Ok(Passed::Preflight))));
    assert_eq!((&preflight["verdict"], &preflight["reason"]), (&json!("granted"), &json!("preflight")));
    let refused = members(|members| members.decision(&said.decision(Err(Denial::ProofReplayed))));
    assert_eq!((&refused["verdict"], &refused["reason"]), (&json!("refused"), &json!("proof_replayed")));
    assert_eq!((&refused["expected"], &refused["found"]), (&json!("this"), &json!("that")));
    assert!(refused["rule"].is_string());
}

#[test]
fn a_position_is_a_number_where_the_feed_counts_so_and_else_its_own_words() {
    let told = |position: Position| {
        let said = Said::default();
        let mut decision = said.decision(Ok(Passed::Request));
        decision.position = Some(position);
        members(|members| members.decision(&decision)).get("position").cloned()
    };
    assert_eq!(told(Position::Number(u64::MAX)), Some(json!(u64::MAX)));
    assert_eq!(told(Position::Entry(1_795_219_200_000, 3)), Some(json!("1795219200000-3")));
    assert_eq!(told(Position::Offsets(Arc::new(vec![(0, 17), (1, 4)]))), Some(json!("0:17,1:4")));
    assert_eq!(told(Position::Offsets(Arc::default())), None);
}

#[test]
fn what_happens_besides_requests_is_told() {
    let of = |event: Event| without_seq(members(|members| members.event(&event)));
    let config = Event::Config { generation: 2, result: Reloaded::InPart, digest: Some([0xab; 32]) };
    assert_eq!(of(config), json!({ "generation": 2, "result": "in_part", "digest": "ab".repeat(32) }));
    let unread = Event::Config { generation: 2, result: Reloaded::Refused, digest: None };
    assert_eq!(of(unread), json!({ "generation": 2, "result": "refused" }));
    let keys = |signer, added: Vec<String>| Event::Keys {
        signer,
        name: Arc::from("https://as"),
        added,
        removed: Vec::new(),
    };
    for (signer, member) in [(Signer::Issuer, "issuer"), (Signer::Transmitter, "transmitter")] {
        let expected = json!({ member: "https://as", "added": ["1"], "removed": [] });
        assert_eq!(of(keys(signer, vec!["1".to_owned()])), expected);
    }
    let many = of(keys(Signer::Issuer, vec!["é".repeat(1000); 1000]));
    assert_eq!(many["added"].as_array().unwrap().len(), MOST_NAMES);
    assert_eq!(many["added"][0].as_str().unwrap().len(), LONGEST_NAME);
    assert_eq!(of(Event::Feed { state: "stale" }), json!({ "state": "stale" }));
    let certificate = |at| Event::Certificate { thumbprint: [b'x'; 43], not_after: Timestamp::from_secs(at) };
    let told = json!({ "thumbprint": "x".repeat(43), "not_after": "2026-11-21T00:00:00Z" });
    assert_eq!(of(certificate(1_795_219_200)), told);
    assert_eq!(of(certificate(i64::MAX / 1000))["not_after"], "9999-12-31T23:59:59Z");
    let since = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_219_200_000_001);
    let lost = without_seq(members(|members| members.lost(&Lost { count: 7, since })));
    assert_eq!(lost, json!({ "records": 7, "since": "2026-11-21T00:00:00.000001Z" }));
    let start = |after: Option<(u64, &Vouched)>| {
        let mut told = without_seq(members(|members| members.start(1, &[1; 16], after)));
        let always = json!({ "version": env!("CARGO_PKG_VERSION"), "generation": 1, "log": "01".repeat(16) });
        for (name, value) in always.as_object().unwrap() {
            assert_eq!(told.as_object_mut().unwrap().remove(name).as_ref(), Some(value));
        }
        told
    };
    assert_eq!(start(None), json!({}));
    let continues = Some(End { sequence: 40, hash: [b'x'; 43] });
    let ours = Vouched { continues, signed: 40, ..Vouched::default() };
    assert_eq!(
        start(Some((42, &ours))),
        json!({ "continues": format!("40:{}", "x".repeat(43)), "unsigned": 2 })
    );
    let (other_key, set_aside) = (Some("k".to_owned()), Some("f".to_owned()));
    let other = Vouched { signed: 40, other_key, set_aside, ..Vouched::default() };
    assert_eq!(start(Some((40, &other))), json!({ "unsigned": 0, "other_key": "k", "set_aside": "f" }));
    assert_eq!(without_seq(members(|members| members.unsynced(3, 7))), json!({ "from": 3, "to": 7 }));
}
