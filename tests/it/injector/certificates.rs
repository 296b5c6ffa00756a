//! Certificates of the injector's own: who makes them, who is told, and what becomes of them when others meddle.

use crate::support::api_server::{ApiServer, MUTATING, SECRET, VALIDATING};
use crate::support::eventually;
use crate::support::injector::{Injector, write};
use crate::support::pki::Pki;
use crate::support::reviewer::{ask, pod, review};
use crate::support::temporary::Folder;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const QUICK: &str = "{ self_managed: { check: 1s } }";

async fn scene() -> (Pki, Folder, ApiServer, PathBuf) {
    let (pki, folder) = (Pki::new(), Folder::new());
    let server = ApiServer::start(&pki).await.with_webhooks();
    let config = write(&folder, &pki, QUICK, "", Some(&server));
    (pki, folder, server, config)
}

/// The bundles of our own entries in both configurations, and those of others.
fn bundles(server: &ApiServer) -> (Vec<Value>, Vec<Value>) {
    let all = [MUTATING, VALIDATING].map(|path| server.get(path).unwrap()["webhooks"].clone());
    let all = all.iter().flat_map(|webhooks| webhooks.as_array().unwrap().clone());
    let (ours, others): (Vec<Value>, Vec<Value>) =
        all.partition(|webhook| webhook["clientConfig"]["service"]["name"] == "clinch-injector");
    let bundle =
        |webhooks: Vec<Value>| webhooks.iter().map(|one| one["clientConfig"]["caBundle"].clone()).collect();
    (bundle(ours), bundle(others))
}

/// All our entries hold what the Secret says.
async fn told(server: &ApiServer) -> Value {
    let told = async || {
        let bundle = server.get(SECRET)?["data"]["ca.crt"].clone();
        bundles(server).0.iter().all(|one| *one == bundle).then_some(bundle)
    };
    eventually("caBundle to be in both configurations", told).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_share_one_authority() {
    let (_pki, _folder, server, config) = scene().await;
    let (first, second) = tokio::join!(Injector::start(&config), Injector::start(&config));
    told(&server).await;
    assert_eq!(bundles(&server).1, [Value::Null, Value::Null], "webhooks of others are left alone");
    for replica in [&first, &second] {
        let response = ask(&server, replica.address, Duration::ZERO, &review("shop", &pod())).await.unwrap();
        assert_eq!(response["allowed"], true, "{response}");
    }
    let secret = server.get(SECRET).unwrap();
    assert_eq!(secret["type"], "Opaque");
    let mut keys: Vec<&String> = secret["data"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    // Nothing is written when nothing is due.
    let written = || [Method::POST, Method::PUT, Method::PATCH].map(|method| server.asked(&method).len());
    let (before, looks) = (written(), server.asked(&Method::GET).len());
    let looked = async || (server.asked(&Method::GET).len() > looks + 12).then_some(());
    eventually("both to look again", looked).await;
    assert_eq!(written(), before);
    for replica in [&first, &second] {
        assert!(!replica.program.output().contains("PRIVATE"), "{}", replica.program.output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_others_blank_is_put_back() {
    let (_pki, _folder, server, config) = scene().await;
    let injector = Injector::start(&config).await;
    let bundle = told(&server).await;
    for path in [MUTATING, VALIDATING] {
        let mut configuration = server.get(path).unwrap();
        configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!("");
        configuration["webhooks"][2]["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        server.put(path, configuration);
    }
    assert_eq!(told(&server).await, bundle);
    // Counted when the API server has answered, which is after it has written.
    let counted =
        async || (injector.metric("clinch_injector_ca_bundles_written_total").await >= 2).then_some(());
    eventually("both to be counted", counted).await;
    ask(&server, injector.address, Duration::ZERO, &review("shop", &pod())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_gone_or_spoilt_gets_what_is_served() {
    let (_pki, _folder, server, config) = scene().await;
    let injector = Injector::start(&config).await;
    let bundle = told(&server).await;
    let sound = server.get(SECRET).unwrap();
    let back = async || server.get(SECRET).filter(|secret| secret["data"] == sound["data"]);
    server.remove(SECRET);
    eventually("the Secret to be back", back).await;
    let mut spoilt = server.get(SECRET).unwrap();
    spoilt["data"]["ca.key"] = spoilt["data"]["tls.key"].clone();
    spoilt["metadata"]["annotations"] = json!({ "of": "somebody" });
    server.put(SECRET, spoilt);
    let secret = eventually("the Secret to be sound", back).await;
    assert_eq!(secret["metadata"]["annotations"]["of"], "somebody");
    assert_eq!(told(&server).await, bundle);
    ask(&server, injector.address, Duration::ZERO, &review("shop", &pod())).await.unwrap();
}

/// The way out when a key has leaked: nothing of the old authority comes back, from no replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_emptied_gets_a_new_authority_and_the_old_one_is_trusted_no_more() {
    let (_pki, _folder, server, config) = scene().await;
    let replicas = [Injector::start(&config).await, Injector::start(&config).await];
    let leaked = told(&server).await;
    let old = server.get(SECRET).unwrap();
    let mut emptied = old.clone();
    emptied.as_object_mut().unwrap().remove("data");
    server.put(SECRET, emptied);
    let anew = async || server.get(SECRET).filter(|secret| secret["data"]["ca.key"].is_string());
    let new = eventually("the Secret to be filled", anew).await;
    for key in ["ca.crt", "ca.key", "tls.crt", "tls.key"] {
        assert_ne!(new["data"][key], old["data"][key], "{key}");
    }
    let bundle = told(&server).await;
    let text =
        |bundle: &Value| String::from_utf8(STANDARD.decode(bundle.as_str().unwrap()).unwrap()).unwrap();
    assert!(!text(&bundle).contains(text(&leaked).trim()), "the old authority");
    assert_eq!(text(&bundle).matches("BEGIN CERTIFICATE").count(), 1);
    for replica in &replicas {
        let asked =
            async || ask(&server, replica.address, Duration::ZERO, &review("shop", &pod())).await.ok();
        eventually("each replica to serve the new certificate", asked).await;
    }
    let looks = server.asked(&Method::GET).len();
    let looked = async || (server.asked(&Method::GET).len() > looks + 12).then_some(());
    eventually("both to look again", looked).await;
    assert_eq!(
        (told(&server).await, server.get(SECRET).unwrap()["data"].clone()),
        (bundle, new["data"].clone())
    );
}

/// Otherwise whoever applies the manifests again would begin anew each time.
#[test]
fn the_secret_of_the_manifests_names_no_data() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes/overlays/plain/secret.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("name: clinch-injector-tls"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("data") || line.starts_with("stringData")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_it_waits_for_its_first_certificate_and_serves_on_with_it() {
    let (_pki, _folder, server, config) = scene().await;
    server.is_down(true);
    let mut injector = Injector::start_unready(&config).await;
    let warned = |line: &str| line.contains("can't be looked after").then(|| line.to_owned());
    let line = injector.program.hear("a warning", warned).await;
    assert!(line.contains("503") && !line.contains("of-the-service-account"), "{line}");
    let answer = injector.ready().await.unwrap();
    assert_eq!((answer.status, &*answer.body), (503, "no certificate yet\n"));
    server.is_down(false);
    injector.becomes_ready().await;
    told(&server).await;
    server.is_down(true);
    let failures = async || {
        (injector.metric("clinch_injector_kubernetes_failures_total{what=\"secret\"}").await >= 2)
            .then_some(())
    };
    eventually("looks in vain", failures).await;
    assert_eq!(injector.ready().await.unwrap().status, 200);
    ask(&server, injector.address, Duration::ZERO, &review("shop", &pod())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_api_server_is_known_before_a_port_is_bound() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let config = write(&folder, &pki, QUICK, "", None);
    let mut command = crate::support::clinch::command();
    command.env_remove("KUBERNETES_SERVICE_HOST").args(["injector", "--config"]).arg(config);
    let output = crate::support::clinch::finish(&mut command).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("KUBERNETES_SERVICE_HOST"), "{said}");
    let mut command = crate::support::clinch::command();
    let output = crate::support::clinch::finish(command.args(["injector", "--config", "/nonexistent"])).await;
    assert_eq!(output.status.code(), Some(64));
}
