//! `clinch injector audit`.

use crate::support::api_server::{ApiServer, TOKEN};
use crate::support::clinch::{command, finish};
use crate::support::injector::{Injector, write_with_files};
use crate::support::pki::Pki;
use crate::support::reviewer::{connect, patched, pod, review, send};
use crate::support::temporary::Folder;
use serde_json::{Value, json};
use std::process::Output;

struct Scene {
    pki: Pki,
    folder: Folder,
    server: ApiServer,
}

impl Scene {
    async fn set() -> Scene {
        let (pki, folder) = (Pki::new(), Folder::new());
        let server = ApiServer::start(&pki).await;
        for (name, label) in [("shop", "enabled"), ("bank", "enabled"), ("zoo", "disabled"), ("farm", "")] {
            let labels = if label.is_empty() { json!({}) } else { json!({ "clinch.dev/inject": label }) };
            server.put(
                &format!("/api/v1/namespaces/{name}"),
                json!({ "metadata": { "name": name, "labels": labels } }),
            );
        }
        Scene { pki, folder, server }
    }

    fn runs(&self, namespace: &str, name: &str, mut pod: Value, phase: &str) {
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(namespace);
        pod["status"] = json!({ "phase": phase });
        self.server.put(&format!("/api/v1/pods/{namespace}/{name}"), pod);
    }

    async fn audit(&self, more: &[&str]) -> Output {
        let mut command = command();
        command.args(["injector", "audit", "--config"]).arg(self.folder.at("injector.yaml"));
        command.args(["--server", &self.server.url, "--token-file"]).arg(self.folder.at("token"));
        finish(command.arg("--ca").arg(self.folder.at("ca.crt")).args(more)).await
    }
}

fn asking() -> Value {
    let mut asking = pod();
    asking["metadata"]["labels"]["clinch.dev/inject"] = json!("enabled");
    asking
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_should_have_the_sidecar_and_do_not_are_listed_with_the_reason() {
    let scene = Scene::set().await;
    let config = write_with_files(&scene.folder, &scene.pki, "", "");
    let injector = Injector::start(&config).await;
    let stream = connect(injector.address, scene.pki.ca_pem.as_bytes(), None, false).await.unwrap();
    let response = send(stream, "/inject/namespace", &review("shop", &pod())).await.unwrap();
    let guarded = patched(&pod(), &response);
    let mut forged = guarded.clone();
    forged["spec"]["initContainers"][0]["image"] = json!("evil.example/clinch:0.1.0");
    for number in 0..5 {
        scene.runs("shop", &format!("guarded-{number}"), guarded.clone(), "Running");
    }
    scene.runs("farm", "unasked", pod(), "Running");
    let output = scene.audit(&[]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said == "all 5 pods that should be guarded are\n", "{said}");

    let at = "/api/v1/namespaces/mine";
    let labels = json!({ "clinch.dev/inject": "enable" });
    scene.server.put(at, json!({ "metadata": { "name": "mine", "labels": labels } }));
    scene.runs("mine", "unseen", pod(), "Running");
    let output = scene.audit(&[]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "a mistyped label");
    assert!(said.contains("namespace mine") && said.contains("`enable`, expected"), "{said}");

    scene.runs("bank", "naked", pod(), "Running");
    scene.runs("shop", "forged", forged, "Pending");
    scene.runs("shop", "finished", pod(), "Succeeded");
    scene.runs("zoo", "asks", asking(), "Running");
    scene.server.forgets(2);
    let output = scene.audit(&["--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["judged"], 8);
    assert_eq!(found["namespaces"], json!([{ "name": "mine", "label": "enable" }]));
    let pods = found["pods"].as_array().unwrap();
    let named: Vec<String> = pods
        .iter()
        .map(|pod| ["namespace", "name", "phase"].map(|key| pod[key].as_str().unwrap().to_owned()).join(" "))
        .collect();
    assert_eq!(named, ["bank naked Running", "shop forged Pending", "zoo asks Running"]);
    assert!(pods.iter().all(|pod| !pod["reasons"][0].as_str().unwrap().is_empty()), "{said}");
    assert!(!said.contains("s3cr3t") && !said.contains(TOKEN), "{said}");

    let output = scene.audit(&[]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("3 of 8 pods that should be guarded are not") && said.contains("NAMESPACE"),
        "{said}"
    );
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_can_not_be_made_fails_and_says_why() {
    let scene = Scene::set().await;
    write_with_files(&scene.folder, &scene.pki, "", "");
    scene.folder.write("token", "another\n");
    let output = scene.audit(&[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("401"), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("another"), "{said}");
    let mut command = command();
    command.args(["injector", "audit", "--config"]).arg(scene.folder.at("injector.yaml"));
    command.args(["--server", "http://localhost:1", "--token-file"]).arg(scene.folder.at("token"));
    assert_eq!(finish(&mut command).await.status.code(), Some(64), "the token in clear");
}
