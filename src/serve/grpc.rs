//! gRPC: our own answers as its clients understand them, and the time they give a call.
//!
//! Sources: "gRPC over HTTP2" (`PROTOCOL-HTTP2.md`) and "HTTP to gRPC Status Code Mapping" of the gRPC project. A gRPC
//! client reads `grpc-status`, and takes an HTTP status for an accident on the way. So a refusal or a fault becomes a
//! "Trailers-Only" answer: 200, the status and a message as fields, nothing else; the challenge, the nonce and
//! `retry-after` stay as its metadata. Logs, metrics and spans keep the status that it would have been.
//!
//! gRPC is HTTP/2 only: over HTTP/1.1 a content type that says gRPC changes nothing. Not decided here: whether the
//! request passes, and what becomes of the service's own answers.

use super::body::ResponseBody;
use super::response::Explanation;
use crate::state::revocation::Cut;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use std::time::Duration;

/// Whether a request, or the service's answer to one, is gRPC: `application/grpc` with a subtype or parameters, or
/// without; gRPC-Web, which is another protocol over plain HTTP, is not.
pub(super) fn is_spoken(version: Version, headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).filter(|_| version == Version::HTTP_2) else {
        return false;
    };
    let kind = kind.as_bytes();
    kind.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC.as_bytes()))
        && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// Turns an answer of ours that is not a success into one that a gRPC client understands. The service's own answers
/// stay as they are.
pub(super) fn translate(response: &mut Response<ResponseBody>) {
    let status = response.status();
    if !response.body().is_ours() || !(status.is_client_error() || status.is_server_error()) {
        return;
    }
    let message = match response.extensions().get::<Explanation>() {
        Some(Explanation { reason, text }) => encoded(&format!("{reason}: {text}")),
        None => encoded(status.canonical_reason().unwrap_or_default()),
    };
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = ResponseBody::own(Bytes::new());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(STATUS, Code::of(status).value());
    headers.insert(MESSAGE, message);
}

/// What a stream that has begun ends with when its token is good no longer: nobody takes it for complete.
pub(super) fn farewell(why: Cut) -> HeaderMap {
    let message = match why {
        Cut::Revoked => "token_revoked: the token has been revoked",
        Cut::Expired => "token_expired: the token has expired",
    };
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, Code::Unauthenticated.value());
    trailers.insert(MESSAGE, HeaderValue::from_static(message));
    trailers
}

/// The time the client gives the call: `grpc-timeout`, at most eight digits and a unit. What is none is the service's
/// to judge.
pub(super) fn time_limit(headers: &HeaderMap) -> Option<Duration> {
    let mut lines = headers.get_all(TIMEOUT).iter();
    let text = lines.next().filter(|_| lines.next().is_none())?.as_bytes();
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0_u64, |count, digit| count * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The status codes that we have a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// As a client maps an HTTP status by itself, so that it sees one code whoever refuses; but where that would say
    /// less than we know: 405 and 501 name a method that there is not (12), 429 is for one client (8), and 408 and
    /// 504 are a time that has passed (4). A request that we can't read (400, 431) or that is misdirected (421) is a mistake of
    /// some machine's on the way, not of the arguments of a call, hence 13 and not 3.
    fn of(status: StatusCode) -> Code {
        match status.as_u16() {
            400 | 421 | 431 | 500 | 508 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 | 405 | 501 => Code::Unimplemented,
            429 => Code::ResourceExhausted,
            502 | 503 => Code::Unavailable,
            408 | 504 => Code::DeadlineExceeded,
            _ => Code::Unknown,
        }
    }

    fn value(self) -> HeaderValue {
        HeaderValue::from(self as u16)
    }
}

/// Percent-encoded as `grpc-message` is: all but visible ASCII and spaces, and the percent sign.
fn encoded(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

const GRPC: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

#[cfg(test)]
mod tests;
