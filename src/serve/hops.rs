//! How far an OPTIONS may go: `Max-Forwards`, and the answer to one that ends here (RFC 9110 section 7.6.2).

use super::body::ResponseBody;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

/// Whether the sender of an OPTIONS wants it to go no further than here; if not, one hop less remains (RFC 9110
/// section 7.6.2; HTTP-32). What is no number of hops is not passed on.
pub(super) fn take_a_hop(parts: &mut Parts) -> bool {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::MAX_FORWARDS) {
        return false;
    }
    let hops = parts.headers.remove(header::MAX_FORWARDS);
    let hops = hops.and_then(|hops| hops.to_str().ok()?.parse::<u64>().ok());
    if let Some(left) = hops.and_then(|hops| hops.checked_sub(1)) {
        parts.headers.insert(header::MAX_FORWARDS, left.into());
    }
    hops == Some(0)
}

/// The answer to an OPTIONS that ends here.
pub(super) fn nothing_to_say() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
