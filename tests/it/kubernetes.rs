//! `deploy/kubernetes`, as a cluster would take it: rendered by `kubectl kustomize`, read into the API's own types, validated
//! against its schemas, and its policies evaluated.

mod contents;
mod docs;
mod golden;
mod images;
mod nats;
mod policies;
mod typed;

use super::support::temporary::Folder;
use super::support::tool;
use clinch::inject::manifest::documents;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const OVERLAYS: [&str; 5] =
    ["overlays/plain", "overlays/cert-manager", "overlays/spiffe", "overlays/redirect", "overlays/nats"];
const EXAMPLE: &str = "example";
/// The oldest that has ValidatingAdmissionPolicy for good, and the newest that the schemas know.
const VERSIONS: [&str; 3] = ["1.30", "1.33", "1.37"];

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// The text that `kubectl apply -k` would send.
fn rendered(folder: &str) -> String {
    let kubectl = Command::new(tool("bin/kubectl"))
        .arg("kustomize")
        .arg(deploy("kubernetes").join(folder))
        .output()
        .unwrap();
    assert!(kubectl.status.success(), "{folder}: {}", String::from_utf8_lossy(&kubectl.stderr));
    let said = String::from_utf8(kubectl.stderr).unwrap();
    assert!(!said.contains("deprecated"), "{folder}: {said}");
    String::from_utf8(kubectl.stdout).unwrap()
}

fn objects(folder: &str) -> Vec<Value> {
    documents(&rendered(folder)).unwrap()
}

/// The one object of this kind and name.
fn object<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let mut found = objects.iter().filter(is);
    let one = found.next().unwrap_or_else(|| panic!("no {kind}/{name}"));
    assert!(found.next().is_none(), "two {kind}/{name}");
    one
}

/// What `clinch inject` makes of a text.
fn injected(text: &str) -> String {
    let folder = Folder::new();
    let file = folder.write("manifest.yaml", text);
    let clinch =
        Command::new(env!("CARGO_BIN_EXE_clinch")).args(["inject", "-f"]).arg(file).output().unwrap();
    assert!(clinch.status.success(), "{}", String::from_utf8_lossy(&clinch.stderr));
    String::from_utf8(clinch.stdout).unwrap()
}

/// Fails unless everything in the text is as the schemas of these versions have it, and nothing else is in it.
fn validate(what: &str, text: &str) {
    let folder = Folder::new();
    let file = folder.write("objects.yaml", text);
    for version in VERSIONS {
        let validator = Command::new(tool("venv/bin/python"))
            .args(["-m", "kubernetes_validate", "--strict", "--no-warn", "-k", version])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&validator.stdout) + String::from_utf8_lossy(&validator.stderr);
        assert!(validator.status.success() && said.contains(" passed "), "{what}, {version}: {said}");
    }
}

#[test]
fn everything_is_valid_by_the_schemas_of_several_versions() {
    let example = rendered(EXAMPLE);
    let mut all = vec![injected(&example), example];
    all.extend(OVERLAYS.map(rendered));
    validate("deploy/kubernetes", &all.join("---\n"));
}

#[test]
fn a_mistake_would_be_found() {
    let folder = Folder::new();
    let file =
        folder.write("wrong.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {container: []}\n");
    let validator = Command::new(tool("venv/bin/python"))
        .args(["-m", "kubernetes_validate", "--strict", "-k", "1.30"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(!validator.status.success());
}
