//! The answers of our own: problem documents (RFC 9457) for refusals and for faults on the way to the service.
//!
//! Every text in them is fixed, so the documents are written once; nothing of the request is echoed. Besides, the
//! metadata of protected resources goes out from here.

use super::body::ResponseBody;
use crate::pop::Denial;
use crate::telemetry::RequestId;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body as _;
use serde::Serialize;
use std::sync::LazyLock;
use std::time::Duration;

/// Why an admitted request got no answer from the service. Not a refusal: the caller did nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection to the service.
    UpstreamUnreachable,
    /// The connection broke, or the answer is not HTTP.
    UpstreamBroken,
    /// No answer within the response timeout.
    UpstreamTimeout,
    /// No answer within the time the client gave the call (`grpc-timeout`).
    DeadlineExceeded,
    /// The service speaks HTTP/2 and takes no WebSocket there (RFC 8441 section 3).
    WebSocketUnsupported,
    /// The service has as many requests as it may get at a time, and the queue is full or too slow.
    UpstreamBusy,
    /// The client stopped sending the body in the middle.
    RequestAborted,
    /// Nothing of the body came within `body_timeout`.
    RequestTimeout,
    /// The request has been here before (RFC 9110 section 7.6.3).
    Loop,
}

impl Fault {
    const ALL: [Fault; 9] = [
        Fault::UpstreamUnreachable,
        Fault::UpstreamBroken,
        Fault::UpstreamTimeout,
        Fault::DeadlineExceeded,
        Fault::WebSocketUnsupported,
        Fault::UpstreamBusy,
        Fault::RequestAborted,
        Fault::RequestTimeout,
        Fault::Loop,
    ];

    fn status(self) -> StatusCode {
        match self {
            Fault::UpstreamUnreachable | Fault::UpstreamBroken => StatusCode::BAD_GATEWAY,
            Fault::UpstreamTimeout | Fault::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Fault::WebSocketUnsupported => StatusCode::NOT_IMPLEMENTED,
            Fault::UpstreamBusy => StatusCode::SERVICE_UNAVAILABLE,
            Fault::RequestAborted => StatusCode::BAD_REQUEST,
            Fault::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Fault::Loop => StatusCode::LOOP_DETECTED,
        }
    }
    /// The stable name, in logs and in the document.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Fault::UpstreamUnreachable => "upstream_unreachable",
            Fault::UpstreamBroken => "upstream_broken",
            Fault::UpstreamTimeout => "upstream_timeout",
            Fault::DeadlineExceeded => "deadline_exceeded",
            Fault::WebSocketUnsupported => "websocket_unsupported",
            Fault::UpstreamBusy => "upstream_busy",
            Fault::RequestAborted => "request_aborted",
            Fault::RequestTimeout => "request_timeout",
            Fault::Loop => "loop_detected",
        }
    }
    fn description(self) -> &'static str {
        match self {
            Fault::UpstreamUnreachable => "the service can't be reached",
            Fault::UpstreamBroken => "the service broke off or did not answer in HTTP",
            Fault::UpstreamTimeout => "the service did not answer in time",
            Fault::DeadlineExceeded => "the time that the client gave the call has passed",
            Fault::WebSocketUnsupported => "the service takes no WebSockets",
            Fault::UpstreamBusy => "the service has no room for this request now",
            Fault::RequestAborted => "the request body broke off",
            Fault::RequestTimeout => "the request body did not come in time",
            Fault::Loop => "the request has passed here before",
        }
    }
}

/// What a problem document says, for whoever says it in another form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Explanation {
    /// The stable name.
    pub(super) reason: &'static str,
    /// The fixed text.
    pub(super) text: &'static str,
}

/// The answer to a refused request. `allow`: the methods for a 405 (RFC 9110 section 15.5.6).
pub(super) fn refusal(
    denial: Denial,
    challenges: Vec<HeaderValue>,
    allow: Option<HeaderValue>,
) -> Response<ResponseBody> {
    let document = REFUSALS.get(denial as usize).cloned().unwrap_or_default();
    let mut response = problem(denial.status(), document);
    response.extensions_mut().insert(Explanation { reason: denial.reason(), text: denial.description() });
    let headers = response.headers_mut();
    for challenge in challenges {
        headers.append(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, allow);
    }
    if matches!(denial.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, some_seconds());
    }
    response
}

/// Protected resource metadata (RFC 9728 section 3.2): for every script to read, and to keep for a while
/// (PRM-02, PRM-10).
pub(super) fn metadata(document: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(Bytes::from(document)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The answer when the service gave none.
pub(super) fn fault(fault: Fault) -> Response<ResponseBody> {
    let mut response = problem(fault.status(), FAULTS.get(fault as usize).cloned().unwrap_or_default());
    response.extensions_mut().insert(Explanation { reason: fault.reason(), text: fault.description() });
    if fault.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, some_seconds());
    }
    response
}

/// The fields alone of an answer of ours, for a HEAD (RFC 9110 section 9.3.2): over HTTP/2 hyper would send the rest.
pub(super) fn withhold(response: &mut Response<ResponseBody>) {
    if response.body().is_ours() {
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = ResponseBody::own(Bytes::new());
    }
}

/// What the request is called, in an answer of ours: with it whoever runs clinch finds out why.
pub(super) fn tell_request_id(id: RequestId, response: &mut Response<ResponseBody>) {
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// The header of a request's id, in answers of our own.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("clinch-request-id");

fn problem(status: StatusCode, document: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(document));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One to five seconds, so that clients do not come back all at once (DS-018).
fn some_seconds() -> HeaderValue {
    HeaderValue::from(1 + random() % 5)
}

/// When it is known, in whole seconds (RFC 9110 section 10.2.3), and perhaps one more for the same reason.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = u64::try_from(wait.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
    HeaderValue::from(seconds.max(1).saturating_add(random() % 2))
}

fn random() -> u64 {
    let mut random = [0];
    let _ = aws_lc_rs::rand::fill(&mut random);
    u64::from(random[0])
}

/// RFC 9457 section 3.1, with our reason as an extension.
#[derive(Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    reason: &'static str,
}

fn document(status: StatusCode, reason: &'static str, detail: &'static str) -> Bytes {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail, reason };
    Bytes::from(serde_json::to_vec(&problem).unwrap_or_default())
}

static REFUSALS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    Denial::ALL
        .iter()
        .map(|denial| document(denial.status(), denial.reason(), denial.description()))
        .collect()
});
static FAULTS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    Fault::ALL.iter().map(|fault| document(fault.status(), fault.reason(), fault.description())).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// DS-018
    #[test]
    fn a_wait_is_told_in_whole_seconds_that_are_never_too_few() {
        for (millis, least) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let told = |_| retry_after(Duration::from_millis(millis)).to_str().unwrap().parse().unwrap();
            let told: std::collections::BTreeSet<u64> = (0..200).map(told).collect();
            assert_eq!(told, [least, least + 1].into(), "{millis} ms, and not the same for everybody");
        }
        assert!(
            retry_after(Duration::MAX).to_str().unwrap().parse::<u64>().unwrap() > 1 << 32,
            "no overflow"
        );
    }

    async fn read(response: Response<ResponseBody>) -> (http::response::Parts, serde_json::Value) {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn every_refusal_has_its_own_document() {
        for denial in Denial::ALL {
            let (parts, document) = read(refusal(*denial, Vec::new(), None)).await;
            assert_eq!(parts.status, denial.status());
            assert_eq!(parts.headers["content-type"], "application/problem+json");
            assert_eq!(parts.headers["cache-control"], "no-store");
            assert_eq!(document["reason"], denial.reason());
            assert_eq!(document["status"], denial.status().as_u16());
            assert_eq!(document["detail"], denial.description());
            let later = [429, 503].contains(&denial.status().as_u16());
            assert_eq!(parts.headers.contains_key("retry-after"), later, "{denial:?}");
        }
    }

    #[tokio::test]
    async fn every_fault_has_its_own_document() {
        for one in Fault::ALL {
            let (parts, document) = read(fault(one)).await;
            assert_eq!(parts.status, one.status());
            assert_eq!(parts.headers.contains_key("retry-after"), one == Fault::UpstreamBusy);
            assert_eq!(document["reason"], one.reason());
        }
    }

    #[test]
    fn challenges_are_separate_field_lines() {
        let challenges = vec![HeaderValue::from_static("DPoP"), HeaderValue::from_static("Bearer")];
        let response = refusal(Denial::CredentialsMissing, challenges, None);
        assert_eq!(response.headers().get_all("www-authenticate").iter().count(), 2);
    }

    #[test]
    fn retry_after_is_between_one_and_five_seconds() {
        for _ in 0..100 {
            let value = some_seconds();
            let seconds: u32 = value.to_str().expect("ASCII").parse().expect("a number");
            assert!((1..=5).contains(&seconds));
        }
    }

    #[test]
    fn a_405_names_the_methods() {
        let allow = HeaderValue::from_static("GET, HEAD");
        let response = refusal(Denial::MethodNotAllowed, Vec::new(), Some(allow));
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }
}
