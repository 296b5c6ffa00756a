//! Reviews of pods, asked as the API server asks.

use crate::support::api_server::{ApiServer, MUTATING};
use crate::support::eventually;
use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{ask, connect, patched, pod, review, send};
use crate::support::temporary::Folder;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// An injector with a certificate from files, which the API server was told of.
async fn scene() -> (Pki, Folder, ApiServer, Injector) {
    let (pki, folder) = (Pki::new(), Folder::new());
    let server = ApiServer::start(&pki).await.with_webhooks();
    let mut configuration = server.get(MUTATING).unwrap();
    configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!(STANDARD.encode(&pki.ca_pem));
    server.put(MUTATING, configuration);
    let injector = Injector::start(&write_with_files(&folder, &pki, "", "")).await;
    (pki, folder, server, injector)
}

/// WH-004, WH-020
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_gets_the_sidecar_in_the_namespace_of_the_request_and_nothing_else_happens() {
    let (_pki, _folder, server, mut injector) = scene().await;
    let mut dry = review("shop", &pod());
    dry["request"]["dryRun"] = json!(true);
    let mut answers = Vec::new();
    for review in [&dry, &review("shop", &pod())] {
        let response = ask(&server, injector.address, Duration::ZERO, review).await.unwrap();
        assert_eq!(response["allowed"], true, "{response}");
        assert_eq!(response["auditAnnotations"]["outcome"], "patched");
        answers.push(patched(&pod(), &response));
    }
    assert_eq!(answers[0], answers[1]);
    let sidecar = &answers[0]["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], "clinch", "{}", answers[0]);
    // In the injector's own namespace there is nothing to do, whoever asks.
    let own = review("clinch-system", &pod());
    let response = ask(&server, injector.address, Duration::ZERO, &own).await.unwrap();
    assert_eq!(
        (&response["allowed"], &response["auditAnnotations"]["outcome"]),
        (&json!(true), &json!("left"))
    );
    assert!(response.get("patch").is_none());
    let asked: Vec<String> = [Method::GET, Method::POST, Method::PUT, Method::PATCH]
        .iter()
        .flat_map(|method| server.asked(method))
        .collect();
    assert_eq!(asked, Vec::<String>::new(), "the API server");
    assert_eq!(
        injector
            .metric(r#"clinch_injector_reviews_total{question="inject_namespace",outcome="patched"}"#)
            .await,
        2
    );
    assert_eq!(injector.metric("clinch_injector_review_seconds_count").await, 3);
    assert!(injector.metric("clinch_injector_certificate_seconds").await > 86_400);
    let line = |line: &str| {
        let record: Value = serde_json::from_str(line).ok()?;
        (record["message"] == "review" && record["dry_run"] == true).then_some(record)
    };
    let line = injector.program.hear("the line of the dry run", line).await;
    let uid = dry["request"]["uid"].as_str().unwrap();
    let told =
        ["namespace", "pod", "uid", "outcome", "path"].map(|key| line[key].as_str().unwrap().to_owned());
    assert_eq!(told, ["shop", "cart-7d4b9-*", uid, "patched", "/inject/namespace"]);
    assert!(!injector.program.output().contains("s3cr3t"), "{}", injector.program.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_that_was_injected_passes_the_validating_webhook_and_a_bare_pod_does_not() {
    let (pki, _folder, server, injector) = scene().await;
    let response = ask(&server, injector.address, Duration::ZERO, &review("shop", &pod())).await.unwrap();
    let guarded = patched(&pod(), &response);
    for operation in ["CREATE", "UPDATE"] {
        for (pod, allowed) in [(&guarded, true), (&pod(), false)] {
            let mut review = review("shop", pod);
            review["request"]["operation"] = json!(operation);
            let stream = connect(injector.address, pki.ca_pem.as_bytes(), None, true).await.unwrap();
            let response = send(stream, "/validate/namespace?timeout=10s", &review).await.unwrap();
            assert_eq!(response["allowed"], allowed, "{operation} {response}");
            assert!(response.get("patch").is_none());
        }
    }
    let stream = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.unwrap();
    let again = send(stream, "/inject/namespace", &review("shop", &guarded)).await.unwrap();
    assert_eq!(again["auditAnnotations"]["outcome"], "complete", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_a_namespace_that_is_not_opted_in_is_injected_only_if_it_asks() {
    let (pki, _folder, _server, injector) = scene().await;
    for (asks, outcome) in [(false, "left"), (true, "patched")] {
        let mut pod = pod();
        if asks {
            pod["metadata"]["labels"]["clinch.dev/inject"] = json!("enabled");
        }
        let stream = connect(injector.address, pki.ca_pem.as_bytes(), None, false).await.unwrap();
        let response = send(stream, "/inject/pod", &review("shop", &pod)).await.unwrap();
        assert_eq!(response["auditAnnotations"]["outcome"], outcome, "{response}");
    }
}

/// The API server may have a client certificate: then nobody else may ask (WH-019).
///
/// WH-019
#[tokio::test(flavor = "multi_thread")]
async fn only_the_api_server_may_ask_where_it_has_a_certificate() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let tls = ", client_ca: ca.crt, client_names: [client.example]";
    let injector = Injector::start(&write_with_files(&folder, &pki, tls, "")).await;
    let asked = async |client, http2| {
        let stream = connect(injector.address, pki.ca_pem.as_bytes(), client, http2).await?;
        send(stream, "/inject/namespace", &review("shop", &pod())).await
    };
    for http2 in [true, false] {
        let answered = asked(Some(super::client(&pki.client)), http2).await.unwrap();
        assert_eq!(answered["allowed"], true, "{answered}");
        assert!(asked(None, http2).await.is_err(), "nobody");
        assert!(
            asked(Some(super::client(&pki.thief)), http2).await.is_err(),
            "of the same authority, by another name"
        );
        let stranger = Pki::new();
        assert!(asked(Some(super::client(&stranger.client)), http2).await.is_err(), "of another authority");
    }
    let failed =
        async || (injector.metric("clinch_injector_handshakes_failed_total").await == 6).then_some(());
    eventually("all to be counted", failed).await;
}

/// Whoever reaches the port learns what the template says of the pod that it brings, and nothing of others.
///
/// WH-019
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_holds_nothing_secret() {
    let (_pki, folder, server, injector) = scene().await;
    let response = ask(&server, injector.address, Duration::ZERO, &review("shop", &pod())).await.unwrap();
    let mut told = response.to_string() + &patched(&pod(), &response).to_string();
    told = told.replace("s3cr3t-of-the-pod", "");
    let key = std::fs::read_to_string(folder.at("tls.key")).unwrap();
    assert!(!told.contains(key.lines().nth(1).unwrap()) && !told.contains("PRIVATE"));
    assert!(!told.contains("s3cr3t") && !told.contains(folder.at("").to_str().unwrap()), "{told}");
}
