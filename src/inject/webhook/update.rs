//! A pod that runs is changed: what it was before counts as well.
//!
//! What the change does not bring is not refused: that would guard nothing, and keep finalizers from being removed. But a pod
//! that was to be guarded can't take that back, or its next change would be asked about by nobody (WH-006).

use crate::inject::patch::Refusal;
use serde_json::{Map, Value};

/// Judges a change; `Ok(false)`: it was so before. `opted_in`: its namespace is.
pub(super) fn judge(
    (pod, before): (&Value, &Value),
    opted_in: bool,
    verify: impl Fn(&Value) -> Result<(), Refusal>,
) -> Result<bool, Refusal> {
    let takes_back = wants(before, opted_in) && !wants(pod, opted_in);
    let verified = verify(pod).and_then(|()| {
        if !takes_back {
            return Ok(());
        }
        verify(&asking_as(pod, before))?;
        Err(Refusal { faults: vec![TAKEN_BACK.to_owned()] })
    });
    let Err(refusal) = verified else { return Ok(true) };
    // Settings that can't be read hide what else is wrong: a container of our name is never changed into a bad one.
    let ours_stay = ours(pod) == ours(before);
    let was =
        verify(before).is_err_and(|before| refusal.faults.iter().all(|fault| before.faults.contains(fault)));
    if ours_stay && was { Ok(false) } else { Err(refusal) }
}

/// Whether a pod is to be guarded by what it says itself, and by its namespace.
fn wants(pod: &Value, opted_in: bool) -> bool {
    let says = |word: &str| SAID.iter().any(|at| pod.pointer(at).and_then(Value::as_str) == Some(word));
    says("enabled") || (opted_in && !says("disabled"))
}

/// The pod, asking as it did before.
fn asking_as(pod: &Value, before: &Value) -> Value {
    let mut judged = pod.clone();
    for (of, at) in ["labels", "annotations"].into_iter().zip(SAID) {
        let Some(metadata) = judged.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        let said = metadata.entry(of).or_insert_with(|| Value::Object(Map::new()));
        if said.is_null() {
            *said = Value::Object(Map::new());
        }
        let Some(said) = said.as_object_mut() else { continue };
        match before.pointer(at) {
            Some(word) => drop(said.insert(KEY.to_owned(), word.clone())),
            None => drop(said.remove(KEY)),
        }
    }
    judged
}

/// The containers of our names.
fn ours(pod: &Value) -> Vec<&Value> {
    let all = ["/spec/initContainers", "/spec/containers"].into_iter();
    let all = all.filter_map(|at| pod.pointer(at)?.as_array()).flatten();
    all.filter(|container| matches!(container["name"].as_str(), Some("clinch" | "clinch-redirect"))).collect()
}

const KEY: &str = "clinch.dev/inject";
const SAID: [&str; 2] = ["/metadata/labels/clinch.dev~1inject", "/metadata/annotations/clinch.dev~1inject"];
const TAKEN_BACK: &str = "clinch.dev/inject: a pod that runs can't take it back; delete the pod";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn pod(label: Option<&str>, image: &str) -> Value {
        let labels = label.map_or(json!({}), |label| json!({ "clinch.dev/inject": label }));
        let annotations = json!({ "clinch.dev/port": "8080" });
        json!({ "metadata": { "labels": labels, "annotations": annotations },
            "spec": { "containers": [{ "name": "app", "image": "a" }, { "name": "clinch", "image": image }] } })
    }

    /// What is not asked for is left alone; with a port that can't be read, nothing else is seen.
    fn verify(pod: &Value, opted_in: bool) -> Result<(), Refusal> {
        let fault = |text: &str| Err(Refusal { faults: vec![text.to_owned()] });
        if !wants(pod, opted_in) {
            return Ok(());
        }
        match (&pod["metadata"]["annotations"]["clinch.dev/port"], &pod["spec"]["containers"][1]["image"]) {
            (port, _) if port == "bad" => fault("port"),
            (_, image) if image == "ours" => Ok(()),
            _ => fault("image"),
        }
    }

    fn judged(opted_in: bool, before: &Value, pod: &Value) -> Result<bool, Vec<String>> {
        judge((pod, before), opted_in, |pod| verify(pod, opted_in)).map_err(|refusal| refusal.faults)
    }

    #[test]
    fn a_pod_that_runs_can_not_take_back_that_it_is_guarded() {
        let guarded = pod(Some("enabled"), "ours");
        assert_eq!(judged(false, &guarded, &guarded), Ok(true));
        for after in [None, Some("disabled")] {
            assert_eq!(judged(false, &guarded, &pod(after, "evil")), Err(vec!["image".to_owned()]));
            assert_eq!(judged(false, &guarded, &pod(after, "ours")), Err(vec![TAKEN_BACK.to_owned()]));
        }
        let mut bare = pod(None, "evil");
        bare["metadata"].as_object_mut().unwrap().clear();
        assert_eq!(judged(false, &guarded, &bare), Err(vec!["image".to_owned()]));
        let (member, leaves) = (pod(None, "ours"), pod(Some("disabled"), "ours"));
        assert_eq!(judged(true, &member, &leaves), Err(vec![TAKEN_BACK.to_owned()]));
        assert_eq!(judged(false, &pod(None, "ours"), &pod(None, "evil")), Ok(true), "it never asked");
    }

    #[test]
    fn what_was_wrong_before_is_left_unless_a_container_of_ours_changes() {
        let unguarded = pod(Some("enabled"), "evil");
        assert_eq!(judged(false, &unguarded, &unguarded), Ok(false));
        assert_eq!(judged(false, &unguarded, &pod(None, "evil")), Ok(false), "there was nothing to lose");
        let mut before = pod(Some("enabled"), "ours");
        before["metadata"]["annotations"]["clinch.dev/port"] = json!("bad");
        let mut after = before.clone();
        assert_eq!(judged(false, &before, &after), Ok(false));
        after["spec"]["containers"][1]["image"] = json!("evil");
        assert_eq!(judged(false, &before, &after), Err(vec!["port".to_owned()]));
    }
}
