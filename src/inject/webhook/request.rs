//! One HTTP request: is it a question at all, and does its body come within its bounds?
//!
//! What is an AdmissionReview is answered with 200 whatever the verdict. What is none gets 400, 404, 405, 408, 413 or 415
//! with a sentence in JSON, and never a 5xx (WH-002). Bodies that are held at a time are bounded together, so that
//! nobody can have the memory that the API server's reviews need.

use super::question::Question;
use super::review::{self, Answer, NoReview, Told};
use super::{Core, Phase};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Answers a request.
pub(super) async fn answer(core: Arc<Core>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let keeps_alive = request.version() == http::Version::HTTP_11;
    let mut response = match asked(&core, request).await {
        Ok(answer) => json(StatusCode::OK, answer),
        Err(refused) => {
            core.metrics.unreadable(refused.reason);
            tracing::info!(reason = refused.reason, "a request that is no AdmissionReview");
            let text = serde_json::json!({ "error": refused.text }).to_string();
            let mut response = json(refused.status, text.into_bytes());
            if refused.status == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    };
    // Who comes back comes back to another replica. HTTP/2 has its own word for it.
    if *core.phase.borrow() >= Phase::Leaving && keeps_alive {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Why a request is no question.
struct Refused {
    status: StatusCode,
    /// The label of the metric.
    reason: &'static str,
    text: &'static str,
}

async fn asked(core: &Arc<Core>, request: Request<Incoming>) -> Result<Vec<u8>, Refused> {
    let question = Question::at(request.uri().path()).ok_or(NO_SUCH_PATH)?;
    if request.method() != Method::POST {
        return Err(WRONG_METHOD);
    }
    if !is_json(request.headers().get(header::CONTENT_TYPE)) {
        return Err(WRONG_TYPE);
    }
    let announced = usize::try_from(request.body().size_hint().upper().unwrap_or(MOST as u64));
    let announced = announced.ok().filter(|bytes| *bytes <= MOST).ok_or(TOO_LARGE)?;
    let permits = u32::try_from(announced).unwrap_or(u32::MAX);
    let read = async {
        // It never closes.
        let held = core.bytes.acquire_many(permits).await.map_err(|_| BROKEN_OFF)?;
        let body = Limited::new(request.into_body(), MOST).collect().await;
        Ok((held, body.map_err(|error| if error.is::<LengthLimitError>() { TOO_LARGE } else { BROKEN_OFF })?))
    };
    let (_held, body) = timeout(BODY_TIMEOUT, read).await.map_err(|_| TOO_SLOW)??;
    let begun = Instant::now();
    let answer = reviewed(core, question, body.to_bytes()).await;
    let answer = answer.map_err(|NoReview(text)| Refused { text, ..NO_REVIEW })?;
    core.metrics.reviewed(question, answer.told.outcome, begun.elapsed());
    told(question, &answer.told, begun.elapsed());
    Ok(answer.body)
}

/// A usual pod takes less than a millisecond; a huge one must not keep other connections waiting.
async fn reviewed(core: &Arc<Core>, question: Question, body: Bytes) -> Result<Answer, NoReview> {
    let rules = core.rules.load_full();
    let size = body.len();
    // The verdict guards itself; a panic beside it must not end the connection of others.
    let judge = move || catch_unwind(AssertUnwindSafe(|| review::answer(&body, question, &rules)));
    let judged = if size <= SMALL { judge() } else { spawn_blocking(judge).await.unwrap_or(Ok(BROKEN)) };
    judged.unwrap_or(BROKEN)
}

/// One line for each review.
fn told(question: Question, told: &Told, took: Duration) {
    let Told { uid, namespace, pod, dry_run, outcome, reason } = told;
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let path = question.path();
    match *outcome {
        "panicked" => tracing::error!(path, namespace, pod, uid, dry_run, outcome, reason, took_us, "review"),
        "refused" | "malformed" => {
            tracing::warn!(path, namespace, pod, uid, dry_run, outcome, reason, took_us, "review");
        }
        _ => tracing::info!(path, namespace, pod, uid, dry_run, outcome, reason, took_us, "review"),
    }
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

const fn refused(status: StatusCode, reason: &'static str, text: &'static str) -> Refused {
    Refused { status, reason, text }
}

const BROKEN: Result<Answer, NoReview> = Err(NoReview("the review can't be read"));
const NO_SUCH_PATH: Refused = refused(
    StatusCode::NOT_FOUND,
    "path",
    "ask at /inject/namespace, /inject/pod, /validate/namespace or /validate/pod",
);
const WRONG_METHOD: Refused = refused(StatusCode::METHOD_NOT_ALLOWED, "method", "reviews are sent by POST");
const WRONG_TYPE: Refused =
    refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", "reviews are application/json");
const TOO_LARGE: Refused =
    refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the review is larger than 8 MiB");
const TOO_SLOW: Refused = refused(StatusCode::REQUEST_TIMEOUT, "slow", "the review did not come in time");
const BROKEN_OFF: Refused = refused(StatusCode::BAD_REQUEST, "broken_off", "the review is not whole");
const NO_REVIEW: Refused = refused(StatusCode::BAD_REQUEST, "not_a_review", "");

/// An update carries the pod as it was and as it will be, each of which the API server bounds by 3 MiB; and a margin.
const MOST: usize = 8 << 20;
/// As many bodies as are held at a time, in bytes. A tree of JSON takes several times as much.
pub(super) const MOST_HELD: usize = 3 * MOST;
/// Shorter than the API server waits.
const BODY_TIMEOUT: Duration = Duration::from_secs(8);
/// What is judged where it was read: well below a millisecond.
const SMALL: usize = 128 << 10;
