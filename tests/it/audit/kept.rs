//! What is in it: every decision, and what happens besides.

use super::{Audited, kinds, of_kind};
use crate::support::clinch::{command, finish};
use crate::support::eventually;
use crate::support::oauth_client::HOST;
use crate::support::pki::Pki;
use crate::support::proof::{Proof, ProofKey, claims};
use crate::support::redis::Redis;
use crate::support::stage::status;
use crate::support::wire::get;
use serde_json::json;

/// HD-059
#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_there_and_nothing_of_a_token() {
    let mut audited = Audited::start("sync: always").await;
    let stage = &audited.stage;
    let client = stage.anonymous();
    let key = ProofKey::new();
    let token = stage.token(&json!({ "jkt": key.thumbprint() }));
    let proof = Proof::new(&key, "GET", &format!("https://{HOST}/either/1"), &token).sign(&key);
    let authorization = format!("DPoP {token}");
    let with_proof = |path: &str| {
        get(path, &[("Authorization", &authorization), ("DPoP", &proof), ("traceparent", PARENT)])
    };
    let mut ids = Vec::new();
    let requests = [
        (200, with_proof("/either/1?q=in-the-query")),
        (401, with_proof("/either/1?q=in-the-query")),
        (401, with_proof("/either/2")),
        (401, get("/either/3", &[("Authorization", "DPoP not.a.token-at-all")])),
        (401, get("/either/4", &[])),
        (200, get("/open/%C3%A9", &[])),
        (400, get("/nowhere/\"", &[])),
        (421, get("/either/1", &[]).replace(HOST, "elsewhere.example")),
    ];
    for (expected, request) in &requests {
        let answer = stage.ask(&client, request).await.unwrap();
        assert_eq!(status(Some(&answer)), Some(*expected), "{request}\n{answer}");
        ids.push(answer.lines().find_map(|line| line.strip_prefix("clinch-request-id: ")).map(str::to_owned));
    }
    let public = stage.clinch.program.output();
    audited.end().await;
    let records = audited.records();
    let decisions = of_kind(&records, "decision");
    assert_eq!(decisions.len(), requests.len(), "{decisions:#?}");
    for (decision, id) in decisions.iter().zip(&ids) {
        assert!(id.as_ref().is_none_or(|id| decision["request"] == **id));
        assert!(humantime::parse_rfc3339(decision["time"].as_str().unwrap()).is_ok());
        assert_eq!(decision["time"].as_str().unwrap().len(), "2026-11-21T16:00:00.000000Z".len());
        assert!(decision["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(
            (&decision["replica"], &decision["method"], &decision["generation"]),
            (&json!("one"), &json!("GET"), &json!(1))
        );
        assert!(decision.as_object().unwrap().values().all(|value| !value.is_null()));
    }
    let said = claims(&token);
    let granted = decisions[0];
    assert_eq!(granted["target"], format!("https://{HOST}/either/1"));
    assert_eq!(
        (&granted["route"], &granted["scheme"], &granted["proof"]),
        (&json!("/either/{*rest}"), &json!("DPoP"), &json!("dpop"))
    );
    assert_eq!(
        (&granted["issuer"], &granted["subject"], &granted["token_id"]),
        (&said["iss"], &said["sub"], &said["jti"])
    );
    assert_eq!((&granted["key"], &granted["verdict"]), (&json!(key.thumbprint()), &json!("granted")));
    assert_eq!(granted["trace"], PARENT[3..35]);
    assert!(
        granted.get("reason").is_none() && granted.get("rule").is_none() && granted.get("position").is_none()
    );
    let reasons: Vec<_> =
        decisions[1..].iter().map(|decision| decision["reason"].as_str().unwrap_or("-")).collect();
    assert_eq!(reasons[0], "proof_replayed");
    assert!(
        decisions[1..]
            .iter()
            .all(|decision| (decision["verdict"] == "granted") == decision.get("rule").is_none())
    );
    assert_eq!(decisions[1]["subject"], said["sub"], "who was refused, once it is known");
    assert!(decisions[3].get("subject").is_none(), "and not before");
    assert!(decisions[7].get("target").is_none() && decisions[7]["host"] == "elsewhere.example");
    assert_eq!(kinds(&records)[records.len() - 2..], ["stop", "checkpoint"]);

    let text = std::fs::read_to_string(stage_file(&audited)).unwrap();
    let secrets = [
        &token[..40],
        token.rsplit('.').next().unwrap(),
        proof.rsplit('.').next().unwrap(),
        "not.a.token",
        "in-the-query",
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(text.is_ascii() || !text.chars().any(|c| c.is_control() && c != '\n'));
    let last = records.last().unwrap();
    let anchor = audited.stage.clinch.program.output();
    assert!(
        anchor.contains("audit checkpoint") && anchor.contains(last["hash"].as_str().unwrap()),
        "{public}"
    );
}

fn stage_file(audited: &Audited) -> std::path::PathBuf {
    audited.stage.folder().join("audit.jsonl")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_besides_requests_is_there_too() {
    let feed = "revocation: { feed: { kind: file, path: journal }, accept_plain: true, max_staleness: 8s }\n";
    let mut audited = Audited::stage("sync: always", |text| text + feed).await;
    audited.stage.restart().await;
    let key = ProofKey::new();
    let token = audited.stage.token(&json!({ "jkt": key.thumbprint() }));
    let proof = Proof::new(&key, "GET", &format!("https://{HOST}/either/1"), &token).sign(&key);
    let authorization = format!("DPoP {token}");
    let request = get("/either/1", &[("Authorization", &authorization), ("DPoP", &proof)]);
    let answer = audited.stage.ask(&audited.stage.anonymous(), &request).await;
    assert_eq!(status(answer.as_deref()), Some(200));

    // Another certificate and another time to drain at once, and then something that is no configuration.
    let other = Pki::new();
    audited.stage.write("other.crt", &other.server.certificate);
    audited.stage.write("other.key", &other.server.key);
    let text = audited.stage.config().replace("drain: 20s", "drain: 21s");
    let text = text.replace("server.crt", "other.crt").replace("server.key", "other.key");
    audited.stage.configure(&text);
    let configs = async |count: usize| {
        let of_now =
            async || Some(audited.records()).filter(|records| of_kind(records, "config").len() >= count);
        eventually("a record of the configuration", of_now).await
    };
    configs(2).await;
    audited.stage.configure("listen: nothing\n");
    configs(3).await;
    audited.stage.configure(&text);
    audited.end().await;
    let records = audited.records();
    assert_eq!((&records[0]["kind"], &records[0]["seq"]), (&json!("start"), &json!(1)));
    assert_eq!(records[0]["log"].as_str().unwrap().len(), 32);
    let configs = of_kind(&records, "config");
    let results: Vec<_> = configs.iter().take(3).map(|config| config["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["applied", "applied", "refused"]);
    let digest = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!((&configs[1]["generation"], &configs[1]["digest"]), (&json!(2), &json!(digest(&text))));
    assert!(configs[2].get("digest").is_none() && configs[2]["generation"] == 2);
    let certificates: Vec<_> =
        of_kind(&records, "certificate").iter().map(|one| one["thumbprint"].clone()).collect();
    assert!(certificates.len() == 2 && certificates[0] != certificates[1], "{certificates:?}");
    let keys = of_kind(&records, "keys");
    assert!(!keys.is_empty() && keys[0]["removed"] == json!([]) && keys[0]["added"] != json!([]), "{keys:?}");
    assert!(of_kind(&records, "feed").iter().any(|feed| feed["state"] == "current"), "{records:#?}");
    assert_eq!(of_kind(&records, "decision")[0]["position"], 0);
}

/// RV-025: an auditor finds the event in the stream by what the record says.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_names_the_entry_of_the_stream_up_to_which_it_had_heard() {
    let redis = Redis::start().await;
    let feed = format!("{}?stream=revoked", redis.url());
    let section = format!(
        "revocation: {{ feed: {{ kind: redis, url: '{}', stream: revoked }}, accept_plain: true, max_staleness: 8s }}\n",
        redis.url()
    );
    let mut audited = Audited::stage("sync: always", |text| text + &section).await;
    audited.stage.restart().await;
    let key = ProofKey::new();
    let token = audited.stage.token(&json!({ "jkt": key.thumbprint() }));
    let (said, authorization) = (claims(&token), format!("DPoP {token}"));
    let ask = async || {
        let proof = Proof::new(&key, "GET", &format!("https://{HOST}/either/1"), &token).sign(&key);
        let request = get("/either/1", &[("Authorization", &authorization), ("DPoP", &proof)]);
        status(audited.stage.ask(&audited.stage.anonymous(), &request).await.as_deref())
    };
    assert_eq!(ask().await, Some(200));
    let (jti, issuer) = (said["jti"].as_str().unwrap(), said["iss"].as_str().unwrap());
    let arguments = ["revoke", "--feed", &feed, "--jti", jti, "--issuer", issuer, "--json"];
    let output = finish(command().args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    eventually("the refusal", async || (ask().await == Some(401)).then_some(())).await;
    audited.end().await;
    let records = audited.records();
    let decisions = of_kind(&records, "decision");
    assert_eq!(decisions[0]["position"], "0-0", "nothing had been published");
    let refused = decisions.last().unwrap();
    assert_eq!((&refused["reason"], &refused["position"]), (&json!("token_revoked"), &told["sequence"]));
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// DS-017
#[tokio::test(flavor = "multi_thread")]
async fn what_there_was_no_room_for_is_told_with_its_target() {
    let one = |text: String| text.replacen("drain: 20s", "drain: 20s\n  limits: { in_flight: 1 }", 1);
    let mut audited = Audited::stage("sync: second", one).await;
    audited.stage.restart().await;
    let client = audited.stage.anonymous();
    let held = get("/open/held", &[]);
    let held = audited.stage.ask(&client, &held);
    let other = async {
        audited.stage.service.held().await;
        let other = audited.stage.ask(&client, &get("/open/7?q=secret", &[])).await;
        audited.stage.service.release();
        other
    };
    let (_, other) = tokio::join!(held, other);
    assert_eq!(status(other.as_deref()), Some(503));
    audited.end().await;
    let records = audited.records();
    let refused =
        of_kind(&records, "decision").into_iter().find(|one| one["reason"] == "overloaded").unwrap();
    assert_eq!(refused["target"], format!("https://{HOST}/open/7"));
    assert!(refused.get("host").is_none(), "{refused}");
}
