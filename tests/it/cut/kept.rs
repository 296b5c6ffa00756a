//! What is kept of a cut: a record in the audit log, for the access that was granted has ended.

use super::{Scene, broken_off};
use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::proof::claims;
use serde_json::{Value, json};
use std::path::PathBuf;

impl Scene {
    fn log(&self) -> PathBuf {
        self.front.config.with_file_name("audit.jsonl")
    }

    /// The complete records of this kind.
    fn records(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log()).unwrap();
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter(|record| record["kind"] == kind).collect()
    }
}

/// RV-039: who was cut, by which event, and which request that was.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_in_the_audit_log_under_its_request() {
    let scene = Scene::start().await;
    let token = scene.front.token(&json!({ "sub": "u1", "jti": "t1" }));
    let mut stream = scene.open("/events", &token).await;
    scene.revoke(json!({ "sub": "u1" })).await;
    broken_off(&mut stream).await;
    let cut = eventually("the record", async || scene.records("cut").pop()).await;
    let decision = scene.records("decision").pop().unwrap();
    assert_eq!((&decision["verdict"], &decision["token_id"]), (&json!("granted"), &json!("t1")));
    for same in ["request", "peer", "route", "issuer", "subject", "client", "token_id", "trace", "generation"]
    {
        assert!(cut[same] == decision[same] && !cut[same].is_null(), "{same}: {cut}\n{decision}");
    }
    let journal = std::fs::read_to_string(scene.log().with_file_name("revocations.jsonl")).unwrap();
    let event: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    assert_eq!((&cut["reason"], &cut["event"]), (&json!("revoked"), &event["id"]));
    assert!(cut["open_ms"].is_u64() && cut["position"].as_u64() <= Some(journal.len() as u64), "{cut}");
    assert_eq!((&cut["subject"], &cut["token_id"]), (&claims(&token)["sub"], &claims(&token)["jti"]));
    // Whoever asks about the request sees both: that it was let in, and that it was ended.
    let mut tail = command();
    tail.args(["audit", "tail", "--request", cut["request"].as_str().unwrap(), "--file"]).arg(scene.log());
    let told = finish(&mut tail).await;
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.starts_with("request ") && told.lines().next().unwrap().ends_with("granted"), "{told}");
    let also = told.split_once("also of it\n").and_then(|(_, rest)| rest.split_once("before it\n"));
    let also = also.unwrap_or_else(|| panic!("{told}")).0;
    let id = cut["event"].as_str().unwrap();
    assert!(also.contains(" cut ") && also.contains("reason=revoked") && also.contains(id), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_with_its_token_is_there_too() {
    let scene = Scene::start().await;
    let exp = crate::support::proof::now() + 6;
    let mut stream = scene.open("/events", &scene.front.token(&json!({ "exp": exp }))).await;
    broken_off(&mut stream).await;
    let cut = eventually("the record", async || scene.records("cut").pop()).await;
    assert!(cut["reason"] == "expired" && cut.get("event").is_none(), "{cut}");
}
