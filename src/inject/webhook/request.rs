//! One HTTP request: is it a question at all, and does its body come within its bounds?
//!
//! What is an AdmissionReview is answered with 200 whatever the verdict. What is none gets 400, 404, 405, 408, 413 or 415
//! with a sentence in JSON, and never a 5xx (WH-002). How its memory is bounded is
//! [`body`](super::body)'s.

use super::body::{self, Read, Unread};
use super::question::Question;
use super::review::{self, Answer, NoReview, Told};
use super::{Core, Phase};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Answers a request. `share` is the room that its address has for bodies.
pub(super) async fn answer(
    core: Arc<Core>,
    share: Arc<Semaphore>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let keeps_alive = request.version() == http::Version::HTTP_11;
    let mut response = match asked(&core, &share, request).await {
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

async fn asked(core: &Arc<Core>, share: &Semaphore, request: Request<Incoming>) -> Result<Vec<u8>, Refused> {
    let question = Question::at(request.uri().path()).ok_or(NO_SUCH_PATH)?;
    if request.method() != Method::POST {
        return Err(WRONG_METHOD);
    }
    if !is_json(request.headers().get(header::CONTENT_TYPE)) {
        return Err(WRONG_TYPE);
    }
    let read = timeout(BODY_TIMEOUT, body::read([share, &core.bytes], request.into_body())).await;
    let read = read.map_err(|_| TOO_SLOW)?.map_err(|unread| match unread {
        Unread::TooLarge => TOO_LARGE,
        Unread::BrokenOff => BROKEN_OFF,
    })?;
    let begun = Instant::now();
    let answer = reviewed(core, question, &read).await;
    let answer = answer.map_err(|NoReview(text)| Refused { text, ..NO_REVIEW })?;
    core.metrics.reviewed(question, answer.told.outcome, begun.elapsed());
    told(question, &answer.told, begun.elapsed());
    Ok(answer.body)
}

/// A usual pod takes less than a millisecond; a huge one must not keep other connections waiting.
async fn reviewed(core: &Arc<Core>, question: Question, read: &Read<'_>) -> Result<Answer, NoReview> {
    let (rules, body) = (core.rules.load_full(), read.body.clone());
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

/// Shorter than the API server waits, by so much that what waited for room behind somebody slow is still answered in time.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// What is judged where it was read: well below a millisecond.
const SMALL: usize = 128 << 10;
