//! The pods of `tests/data/inject` once more: `clinch inject` makes of their text what the patch makes of them, keeps their
//! comments, and what comes out is what Kubernetes' schemas know.

use super::{deploy, validate};
use clinch::config::template::Template;
use clinch::inject::manifest::{Settings, documents, inject};
use clinch::inject::patch::patch;
use std::path::PathBuf;

/// What each pod should become: files with a pod in them, not a refusal.
fn patched() -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(deploy("../tests/data/inject")).unwrap().map(|entry| entry.unwrap().path());
    let outs = files.filter(|path| path.extension().is_some_and(|extension| extension == "out"));
    let with_text = outs.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()));
    let all: Vec<_> = with_text.filter(|(_, text)| text.contains("apiVersion:")).collect();
    assert!(all.len() > 15, "{}", all.len());
    all
}

/// WH-005, on texts.
#[test]
fn a_text_becomes_what_its_pod_becomes() {
    for (out, becomes) in patched() {
        let text = std::fs::read_to_string(out.with_extension("yaml")).unwrap();
        let (pod, template) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
        let template: Template = serde_saphyr::from_str(template).unwrap();
        let settings = Settings {
            namespace: "shop",
            own: "clinch-system",
            template: &template,
            token: "0123456789abcdef0123456789abcdef",
        };
        let injected =
            inject(pod, &settings, &patch).unwrap_or_else(|why| panic!("{}: {why:?}", out.display()));
        assert_eq!(documents(&injected.text), documents(&becomes), "{}", out.display());
        for line in pod.lines().filter(|line| line.trim_start().starts_with('#')) {
            assert!(injected.text.contains(line), "{}: {line}", out.display());
        }
        let again = inject(&injected.text, &settings, &patch).unwrap();
        assert_eq!(again.text, injected.text, "{}", out.display());
    }
}

#[test]
fn what_pods_become_is_valid_by_the_schemas() {
    let known = patched().into_iter().filter(|(out, _)| !out.ends_with("strange-keys.out"));
    // The validator wants a name; the API server would make one.
    let all: Vec<String> = known.map(|(_, text)| text.replace("generateName:", "name:")).collect();
    validate("tests/data/inject", &all.join("\n---\n"));
}
