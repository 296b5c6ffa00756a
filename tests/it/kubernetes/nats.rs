//! The NATS of the overlay: its own configuration, in a real server, with real keys.

use super::{deploy, object, objects};
use crate::support::clinch::Clinch;
use crate::support::eventually;
use crate::support::nats::Nats;
use crate::support::pki::Pki;
use crate::support::temporary::Folder;
use crate::support::wire::plain_get;
use crate::support::world::{config, write};
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use serde_json::json;
use std::process::{Command, Output};
use std::time::Duration;

const STREAM: &str = "CLINCH_REVOCATIONS";
const ISSUER: &str = "https://as.example.com";

/// The file of the ConfigMap with paths, ports and keys of this test.
fn settings(folder: &Folder, pki: &Pki, operators: &KeyPair, sidecars: &KeyPair) -> String {
    let all = objects("overlays/nats");
    let generated =
        all.iter().find(|o| o["kind"] == "ConfigMap" && o["data"].get("nats.conf").is_some()).unwrap();
    let file = generated["data"]["nats.conf"].as_str().unwrap();
    let mounted = object(&all, "StatefulSet", "nats")["spec"]["template"]["spec"].to_string();
    for name in ["/etc/nats-tls", "/data", generated["metadata"]["name"].as_str().unwrap()] {
        assert!(mounted.contains(name), "{name} is not in the pod");
    }
    assert_eq!(file, std::fs::read_to_string(deploy("kubernetes/overlays/nats/nats.conf")).unwrap());
    folder.write("tls.crt", &pki.server.certificate);
    folder.write("tls.key", &pki.server.key);
    let here = folder.at("").display().to_string();
    let file = file.replace("/etc/nats-tls/", &here).replace("$OPERATORS", &operators.public_key());
    let file = file.replace("$SIDECARS", &sidecars.public_key());
    // The rig chooses ports and the store itself.
    let chosen = |line: &&str| !["port:", "http:", "jetstream "].iter().any(|own| line.starts_with(own));
    file.lines().filter(chosen).map(|line| format!("{line}\n")).collect()
}

/// In a pod of a namespace that is opted in, or in one that says that it reads revocations.
#[test]
fn sidecars_of_single_pods_reach_it_too() {
    let all = objects("overlays/nats");
    let from = &object(&all, "NetworkPolicy", "nats")["spec"]["ingress"][0]["from"];
    assert_eq!(
        from[0],
        json!({ "namespaceSelector": { "matchLabels": { "clinch.dev/inject": "enabled" } } })
    );
    let said = json!({ "matchLabels": { "clinch.dev/revocations": "allow" } });
    assert_eq!(from[1], json!({ "namespaceSelector": {}, "podSelector": said }));
}

fn revoke(address: &str, folder: &Folder, key: &str) -> Output {
    let mut clinch = Command::new(env!("CARGO_BIN_EXE_clinch"));
    clinch.args([
        "revoke",
        "--issuer",
        ISSUER,
        "--feed",
        &format!("tls://{address}"),
        "--jti",
        "stolen",
        "--ca",
    ]);
    clinch.arg(folder.at("ca.crt")).arg("--nkey").arg(folder.at(key)).output().unwrap()
}

/// A sidecar's key may not even ask for this: the server says so, and hands it to nobody.
async fn denied(address: &str, folder: &Folder, sidecars: &KeyPair, request: &str) {
    let (said, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let options = async_nats::ConnectOptions::with_nkey(sidecars.seed().unwrap())
        .add_root_certificates(folder.at("ca.crt"))
        .event_callback(move |event| {
            let said = said.clone();
            async move { drop(said.send(event.to_string().to_lowercase())) }
        });
    let sidecar = options.connect(format!("tls://{address}")).await.unwrap();
    let body = r#"{"pause_until":"2100-01-01T00:00:00Z"}"#;
    sidecar.publish(format!("$JS.API.{request}"), body.into()).await.unwrap();
    sidecar.flush().await.unwrap();
    let violation = format!("permissions violation for publish to \"$js.api.{}\"", request.to_lowercase());
    let heard = async { while !hears.recv().await.unwrap().contains(&violation) {} };
    tokio::time::timeout(Duration::from_secs(20), heard)
        .await
        .unwrap_or_else(|_| panic!("{request} is admitted"));
}

/// A sidecar reads what operators publish, and may publish nothing itself.
#[tokio::test(flavor = "multi_thread")]
async fn sidecars_read_revocations_and_operators_write_them() {
    let (folder, pki) = (Folder::new(), Pki::new());
    let (operators, sidecars) = (KeyPair::new_user(), KeyPair::new_user());
    let nats = Nats::start_with(&settings(&folder, &pki, &operators, &sidecars)).await;
    folder.write("operators.nk", &operators.seed().unwrap());
    folder.write("sidecars.nk", &sidecars.seed().unwrap());
    let feed = format!(
        "revocation:\n  feed: {{ kind: nats, url: 'tls://{}', stream: CLINCH_REVOCATIONS, subject: 'clinch.revocations.>', \
         ca: ca.crt, nkey_file: sidecars.nk }}\n  accept_plain: true\n",
        nats.address()
    );
    let file = write(&folder, &pki, &(config(ISSUER, "127.0.0.1:1") + &feed));
    // The operator makes the stream, once.
    let ca = folder.at("ca.crt");
    let options = async_nats::ConnectOptions::with_nkey(operators.seed().unwrap()).add_root_certificates(ca);
    let operator = options.connect(format!("tls://{}", nats.address())).await.unwrap();
    let stream = async_nats::jetstream::stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["clinch.revocations.>".to_owned()],
        ..Default::default()
    };
    let stream = async_nats::jetstream::new(operator).create_stream(stream).await.unwrap();
    let replica = Clinch::start_unready(&file).await;
    let status = async |word: &str| {
        eventually(word, async || {
            let answer = plain_get(replica.admin, "/status").await?;
            answer.body.contains(word).then_some(())
        })
        .await;
    };
    status(r#""state":"current""#).await;
    let followed =
        eventually("a consumer", async || stream.consumer_names().next().await.and_then(Result::ok)).await;
    for request in ["PAUSE", "DELETE", "RESET", "UNPIN", "INFO", "CREATE"] {
        denied(&nats.address(), &folder, &sidecars, &format!("CONSUMER.{request}.{STREAM}.{followed}")).await;
    }
    for request in ["CONSUMER.NAMES", "CONSUMER.LIST", "STREAM.PURGE", "STREAM.DELETE", "STREAM.UPDATE"] {
        denied(&nats.address(), &folder, &sidecars, &format!("{request}.{STREAM}")).await;
    }
    assert_eq!(stream.consumer_names().next().await.unwrap().unwrap(), followed);
    let refused = revoke(&nats.address(), &folder, "sidecars.nk");
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    let done = revoke(&nats.address(), &folder, "operators.nk");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    status(r#""entries":1"#).await;
}
