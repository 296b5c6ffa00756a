//! Why a delivery is not taken, and how its sender is told (RFC 8935 section 2.3).

use crate::state::revocation::SetError;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

/// Why nothing is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Path,
    Method,
    Stranger,
    Type,
    TooLarge,
    Slow,
    Set(SetError),
}

impl Refused {
    /// For metric and log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refused::Path => "not_found",
            Refused::Method => "method",
            Refused::Stranger => "authentication_failed",
            Refused::Type => "content_type",
            Refused::TooLarge => "too_large",
            Refused::Slow => "too_slow",
            Refused::Set(error) => error.name(),
        }
    }

    /// As RFC 8935 section 2.3 words it (PUSH-03).
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let (status, code, description) = match self {
            Refused::Path => return empty(StatusCode::NOT_FOUND),
            Refused::Method => {
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                return response;
            }
            Refused::Stranger => {
                (StatusCode::UNAUTHORIZED, "authentication_failed", "Authorization is not what was agreed")
            }
            Refused::Type => {
                (StatusCode::BAD_REQUEST, "invalid_request", "Content-Type must be application/secevent+jwt")
            }
            Refused::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the token is too long"),
            Refused::Slow => return later(StatusCode::REQUEST_TIMEOUT),
            Refused::Set(error) => match error.code() {
                Some(code) => (StatusCode::BAD_REQUEST, code, error.description()),
                None => return later(StatusCode::SERVICE_UNAVAILABLE),
            },
        };
        let document = serde_json::json!({ "err": code, "description": description });
        let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en-US"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn later(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = empty(status);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

pub(super) fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
