//! The NATS of the overlay: its own configuration, in a real server, with real keys.

use super::{deploy, object, objects};
use crate::support::clinch::Clinch;
use crate::support::eventually;
use crate::support::nats::Nats;
use crate::support::pki::Pki;
use crate::support::temporary::Folder;
use crate::support::wire::plain_get;
use crate::support::world::{config, write};
use nkeys::KeyPair;
use std::process::{Command, Output};

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
        name: "CLINCH_REVOCATIONS".to_owned(),
        subjects: vec!["clinch.revocations.>".to_owned()],
        ..Default::default()
    };
    async_nats::jetstream::new(operator).create_stream(stream).await.unwrap();
    let replica = Clinch::start_unready(&file).await;
    let status = async |word: &str| {
        eventually(word, async || {
            let answer = plain_get(replica.admin, "/status").await?;
            answer.body.contains(word).then_some(())
        })
        .await;
    };
    status(r#""state":"current""#).await;
    let refused = revoke(&nats.address(), &folder, "sidecars.nk");
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    let done = revoke(&nats.address(), &folder, "operators.nk");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    status(r#""entries":1"#).await;
}
