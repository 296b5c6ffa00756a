//! One AdmissionReview (admission.k8s.io/v1) in, one out. Pure.
//!
//! Decides what is a review, whom it is about, and how a verdict is worded for the API server. What becomes of the pod is
//! [`patch`](crate::inject::patch)'s. Whatever can't be understood is a refusal in the same apiVersion with the uid echoed
//! (WH-002); what is no AdmissionReview at all is [`NoReview`]. The namespace is the request's, for a pod may not say its
//! own yet (WH-004). Nothing is remembered and nothing done, so a dry run is a review like any other (WH-020).

use super::question::Question;
use super::verdict::Verdict;
use super::{Rules, update};
use crate::inject::patch::Place;
use crate::inject::token::token;
use base64::{Engine, engine::general_purpose::STANDARD};
use kube_core::DynamicObject;
use kube_core::admission::{AdmissionRequest, AdmissionResponse, META_API_VERSION_V1, META_KIND, Operation};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The answer to a review.
#[derive(Debug)]
pub(super) struct Answer {
    /// An AdmissionReview, JSON.
    pub(super) body: Vec<u8>,
    /// For the log: never what is in the pod.
    pub(super) told: Told,
}

/// What is said of a review in the log and in metrics.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) uid: String,
    pub(super) namespace: String,
    /// Or `generateName`, with `*` behind it.
    pub(super) pod: String,
    pub(super) dry_run: bool,
    pub(super) outcome: &'static str,
    pub(super) reason: String,
}

/// Why something is no AdmissionReview, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoReview(pub(super) &'static str);

/// Answers a review.
pub(super) fn answer(body: &[u8], question: Question, rules: &Rules) -> Result<Answer, NoReview> {
    let review: Value = serde_json::from_slice(body).map_err(|_| NoReview("the body is not JSON"))?;
    let kind = review.get("kind").and_then(Value::as_str);
    let version = review.get("apiVersion").and_then(Value::as_str).filter(|text| text.len() <= LONGEST_NAME);
    let (Some(META_KIND), Some(version)) = (kind, version) else {
        return Err(NoReview("the body is not an AdmissionReview"));
    };
    let version = version.to_owned();
    let mut told = Told::default();
    let uid = review.pointer("/request/uid").and_then(Value::as_str).unwrap_or_default();
    told.uid = uid.chars().take(LONGEST_NAME).collect();
    // Echoed in full: another one is an error to the API server.
    let uid = uid.to_owned();
    let verdict = verdict(review, &version, question, rules, &mut told);
    (told.outcome, told.reason) = (verdict.outcome(), verdict.reason());
    let body = worded(verdict, version, uid).ok_or(NoReview("the answer can't be written"))?;
    Ok(Answer { body, told })
}

fn verdict(mut review: Value, version: &str, question: Question, rules: &Rules, told: &mut Told) -> Verdict {
    if version != META_API_VERSION_V1 {
        return Verdict::Malformed(
            "only admission.k8s.io/v1 is answered: admissionReviewVersions must be [v1]",
        );
    }
    let Some(request) = review.get_mut("request").filter(|request| request.is_object()) else {
        return Verdict::Malformed("the review has no request");
    };
    if told.uid.is_empty() {
        return Verdict::Malformed("the request has no uid");
    }
    // The pod as it was sent: what the types do not know is in it, too. Its author's mistakes are not the request's.
    let pod = request.get_mut("object").map(Value::take).unwrap_or_default();
    let before = request.get_mut("oldObject").map(Value::take).unwrap_or_default();
    let request = std::mem::take(request);
    let Ok(request) = serde_json::from_value::<AdmissionRequest<DynamicObject>>(request) else {
        return Verdict::Malformed("the request is not one of admission.k8s.io/v1");
    };
    told.namespace = request.namespace.clone().unwrap_or_default();
    told.pod = called(&request.name, &pod);
    told.dry_run = request.dry_run;
    judge(&request, (&pod, &before), question, rules)
}

/// The verdict on what was understood.
fn judge(
    request: &AdmissionRequest<DynamicObject>,
    (pod, before): (&Value, &Value),
    question: Question,
    rules: &Rules,
) -> Verdict {
    let kind = &request.kind;
    if (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()) != ("", "v1", "Pod") {
        return Verdict::Malformed(
            "only pods of v1 are answered for: the rules of the webhook name another kind",
        );
    }
    match request.operation {
        // What runs can't get a sidecar any more: whether it has one is the validating webhook's question.
        Operation::Update if question.injects() => return Verdict::Left("it runs already"),
        Operation::Create | Operation::Update => {}
        Operation::Delete | Operation::Connect => {
            return Verdict::Malformed(
                "only CREATE and UPDATE are answered for: the rules of the webhook name more",
            );
        }
    }
    if !pod.is_object() {
        return Verdict::Malformed("the request has no object");
    }
    let Some(namespace) = request.namespace.as_deref().filter(|namespace| !namespace.is_empty()) else {
        return Verdict::Malformed("the request has no namespace");
    };
    let Some(token) = token() else { return Verdict::Malformed("the injector's system has no randomness") };
    let place = Place { namespace, opted_in: question.opted_in(), own: &rules.own, token: &token };
    let (patch, verify) = rules.judges;
    let judged = catch_unwind(AssertUnwindSafe(|| {
        if question.injects() {
            Verdict::of_patch(patch(pod, &place, &rules.template))
        } else {
            let verify = |pod: &Value| verify(pod, &place, &rules.template);
            if request.operation != Operation::Update || !before.is_object() {
                return Verdict::of_verification(verify(pod));
            }
            match update::judge((pod, before), place.opted_in, verify) {
                Ok(true) => Verdict::Complete,
                Ok(false) => Verdict::Left("it was so before this update: clinch injector audit lists it"),
                Err(refusal) => Verdict::Refused(refusal),
            }
        }
    }));
    judged.unwrap_or(Verdict::Panicked)
}

/// The review that carries a verdict. `None` can't happen: every part of it can be written as JSON.
fn worded(verdict: Verdict, version: String, uid: String) -> Option<Vec<u8>> {
    let mut response = AdmissionResponse::invalid("");
    response.types.api_version = version;
    response.uid = uid;
    response.allowed = verdict.allows();
    response.audit_annotations.insert("outcome".to_owned(), verdict.outcome().to_owned());
    response.result = verdict.status();
    let mut patch = None;
    if let Verdict::Patched { patch: operations, warnings } = verdict {
        response = response.with_patch(operations).ok()?;
        patch = response.patch.take();
        response.warnings = warnings;
    }
    let mut review = serde_json::to_value(response.into_review()).ok()?;
    if let Some(patch) = patch {
        // The types would write a list of numbers, three times as long.
        let response = review.get_mut("response")?.as_object_mut()?;
        response.insert("patch".to_owned(), Value::String(STANDARD.encode(patch)));
    }
    serde_json::to_vec(&review).ok()
}

/// The pod's name, or what its name will begin with.
fn called(name: &str, pod: &Value) -> String {
    let of = |key: &str| pod.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default();
    let name = [name, of("name")].into_iter().find(|name| !name.is_empty());
    let name = name.map_or_else(|| format!("{}*", of("generateName")), str::to_owned);
    name.chars().take(LONGEST_NAME).collect()
}

/// Nothing that Kubernetes names is longer.
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests;
