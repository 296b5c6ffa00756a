//! The story for machines: one JSON document.

use super::caller::{Answer, Call};
use super::outcome::Outcome;
use super::stage::{MACHINE, Stage};
use super::stay::Offer;
use super::story::Told;
use super::telling::shortened;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The whole story. Tokens and proofs are shortened as they are for people.
pub(super) fn document(stage: &Stage, told: &[Told], took: Duration, offers: &[Offer]) -> Value {
    let mut document = json!({
        "ok": told.iter().all(Told::as_expected),
        "took_ms": millis(took),
        "clinch": stage.origin,
        "admin": format!("http://{}", stage.admin()),
        "service": format!("http://{}", stage.service),
        "issuer": stage.issuer.url,
        "steps": told.iter().map(step).collect::<Vec<_>>(),
    });
    if !offers.is_empty() {
        let offers = offers.iter().map(|offer| json!({"what": offer.what, "command": offer.command}));
        document["try"] = offers.collect();
    }
    document
}

fn step(told: &Told) -> Value {
    let exchanges = told.exchanges.iter();
    let mut step = json!({
        "step": told.number,
        "title": told.title,
        "tale": told.tale,
        "exchanges": exchanges
            .map(|(call, answer)| json!({"request": request(call), "response": response(answer)}))
            .collect::<Vec<_>>(),
        "expected": outcome(&told.expected),
        "seen": outcome(&told.seen),
        "ok": told.as_expected(),
    });
    if let Some(delay) = told.delay {
        step["delay_ms"] = millis(delay).into();
    }
    step
}

fn request(call: &Call) -> Value {
    let mut headers = Map::new();
    headers.insert("authorization".into(), format!("{} {}", call.scheme, shortened(&call.token)).into());
    if let Some((proof, _)) = &call.proof {
        headers.insert("dpop".into(), shortened(proof).into());
    }
    headers.extend(call.extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    json!({
        "method": call.method,
        "url": call.url,
        "headers": headers,
        "token": call.binding,
        "proof": call.proof.as_ref().map(|(_, from)| from),
        "certificate": (call.certificate == Some(true)).then_some(MACHINE),
    })
}

fn response(answer: &Answer) -> Value {
    json!({
        "status": answer.status.as_u16(),
        "www_authenticate": answer.challenges,
        "service_was_told": answer.told,
    })
}

fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Admitted { subject } => json!({"verdict": "admitted", "status": 200, "subject": subject}),
        Outcome::Refused(denial) => json!({
            "verdict": "refused",
            "status": denial.status().as_u16(),
            "error": denial.error().as_str(),
            "reason": denial.reason(),
        }),
        Outcome::Strange(status) => json!({"verdict": "strange", "status": status.as_u16()}),
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
