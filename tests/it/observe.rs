//! `mode: observe`: who could not prove possession gets through, nameless and on record; nobody else does.

use crate::support::eventually;
use crate::support::front::Front;
use crate::support::proof::{Proof, ProofKey, now, unique};
use crate::support::wire::{Answer, plain_get};
use crate::support::world::url;
use serde_json::{Value, json};
use std::io::Write;

const LISTEN: &str = "  public_origins: ['https://api.example.com']\n  resource_metadata: false";
const ROUTES: &str = "  - { path: '/a', proof: [dpop], scopes: [read] }
revocation:
  accept_plain: true
  feed: { kind: file, path: revocations.jsonl }
audit: { file: audit.jsonl, sync: always }
mode: observe
";

async fn shown(front: &Front, scheme: &str, token: &str, proof: Option<&str>) -> Answer {
    let authorization = format!("{scheme} {token}");
    let mut fields = vec![("Authorization", authorization.as_str()), ("clinch-subject", "mallory")];
    fields.extend(proof.map(|proof| ("DPoP", proof)));
    front.ask("GET", "/a", &fields).await
}

/// The members of a decision, counted from 0.
async fn recorded(front: &Front, at: usize) -> Value {
    let file = front.config.with_file_name("audit.jsonl");
    eventually("the record", async || {
        let text = std::fs::read_to_string(&file).ok()?;
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter(|record| record["kind"] == "decision").nth(at)
    })
    .await
}

/// CF-023: the service, the log, the metrics and the record all say that it was only observed.
#[tokio::test(flavor = "multi_thread")]
async fn a_want_of_proof_is_waived_and_recorded() {
    let front = Front::start(LISTEN, ROUTES).await;
    let unbound = front.token(&json!({ "cnf": null, "client_id": "old-app" }));
    let bound = front.token(&json!({}));
    let thief = ProofKey::new();
    let other = Proof::new(&thief, "GET", &url("/a"), &bound).sign(&thief);
    let moved = Proof::new(&front.client, "GET", &url("/b"), &bound).sign(&front.client);
    let shows = [
        ("Bearer", &unbound, None, "token_unbound"),
        ("Bearer", &bound, None, "token_bound_as_bearer"),
        ("DPoP", &bound, None, "proof_missing"),
        ("DPoP", &bound, Some(&other), "key_mismatch"),
        ("DPoP", &bound, Some(&moved), "proof_target"),
        ("DPoP", &bound, Some(&"nonsense".to_owned()), "proof_malformed"),
    ];
    for (at, (scheme, token, proof, reason)) in shows.into_iter().enumerate() {
        let answer = shown(&front, scheme, token, proof.map(String::as_str)).await;
        assert_eq!(answer.status, 200, "{reason}: {answer:?}");
        let received = front.service.received().pop().unwrap();
        assert_eq!(received.header("clinch-observed"), Some(reason));
        for told in ["clinch-subject", "clinch-client", "clinch-proof", "clinch-key", "authorization", "dpop"]
        {
            assert_eq!(received.header(told), None, "{reason}: {told}");
        }
        let record = recorded(&front, at).await;
        assert_eq!((&record["verdict"], &record["reason"]), (&json!("observed"), &json!(reason)));
        let client = if *token == unbound { "old-app" } else { "app" };
        assert_eq!((&record["client"], record.get("proof")), (&json!(client), None));
        assert!(record["rule"].is_string(), "{record}");
    }
    let page = plain_get(front.clinch.admin, "/metrics").await.unwrap().body;
    let line = r#"clinch_requests_total{route="/a",verdict="observed",reason="proof_missing"} 1"#;
    assert!(page.contains(line), "{page}");
    for said in ["mode: nothing is refused for want of proof", "request observed", "old-app"] {
        eventually(said, async || front.clinch.program.output().contains(said).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_good_counts_and_its_copy_is_only_observed() {
    let front = Front::start(LISTEN, ROUTES).await;
    let token = front.token(&json!({}));
    let proof = Proof::new(&front.client, "GET", &url("/a"), &token).sign(&front.client);
    for (subject, observed) in [(Some("alice"), None), (None, Some("proof_replayed"))] {
        assert_eq!(shown(&front, "DPoP", &token, Some(&proof)).await.status, 200);
        let received = front.service.received().pop().unwrap();
        assert_eq!(received.header("clinch-subject"), subject);
        assert_eq!(received.header("clinch-observed"), observed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_want_of_proof_is_refused_as_ever() {
    let front = Front::start(LISTEN, ROUTES).await;
    let expired = front.token(&json!({ "iat": now() - 600, "exp": now() - 300 }));
    let scopeless = front.token(&json!({ "scope": "write", "cnf": null }));
    let forged = format!("{}x", front.token(&json!({})));
    let revoked = front.token(&json!({ "jti": unique() }));
    let jti = crate::support::proof::claims(&revoked)["jti"].clone();
    let event = json!({ "id": unique(), "iss": front.issuer.name, "revoke": { "jti": jti }, "at": now() });
    let journal = front.config.with_file_name("revocations.jsonl");
    let mut journal = std::fs::OpenOptions::new().append(true).open(journal).unwrap();
    journal.write_all(format!("{event}\n").as_bytes()).unwrap();
    eventually("the revocation", async || {
        (shown(&front, "Bearer", &revoked, None).await.status == 401).then_some(())
    })
    .await;
    let before = front.service.received().len();
    for (token, status, reason) in [
        (&expired, 401, "token_expired"),
        (&scopeless, 403, "scope_insufficient"),
        (&forged, 401, "token_signature"),
        (&revoked, 401, "token_revoked"),
    ] {
        let answer = shown(&front, "Bearer", token, None).await;
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &document["reason"]), (status, &json!(reason)));
    }
    assert_eq!(front.ask("GET", "/a", &[]).await.status, 401, "no token at all");
    assert_eq!(front.service.received().len(), before, "none of it went through");
}
