//! The handshake of a WebSocket (RFC 6455 section 4): a request that asks for one, and the service's agreement.
//!
//! Possession is proved at the handshake, and that is all that the proof covers. Other protocols are never asked for,
//! h2c above all (HTTP-15): their requests would pass unseen. Until the service has agreed, nothing of the client's
//! passes but its request; what comes then is a [`tunnel`](super::tunnel).

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use hyper::upgrade::OnUpgrade;

/// The client's side of the connection, once it is no longer HTTP, if this request asks for a WebSocket as RFC 6455
/// section 4.1 has it. Whoever asks in another way gets an answer as if it had not asked.
pub(super) fn wish(parts: &mut Parts, has_content: bool) -> Option<OnUpgrade> {
    let upgrade = parts.extensions.remove::<OnUpgrade>()?;
    let only = |name| {
        let mut lines = parts.headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    };
    let options =
        parts.headers.get_all(header::CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    let asked = parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && !has_content
        && options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        && only(header::UPGRADE).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && only(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && only(header::SEC_WEBSOCKET_KEY).is_some_and(|key| key.len() == 24);
    asked.then_some(upgrade)
}

/// Asks the service, or tells the client (HTTP-15): the fields that are hop by hop, and so were removed.
pub(super) fn write(headers: &mut HeaderMap) {
    headers.remove(header::TE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether a 101 of the service switches to what was asked for.
pub(super) fn is_agreed(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::UPGRADE).iter();
    let named = lines.next().is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    named && lines.next().is_none() && headers.contains_key(header::SEC_WEBSOCKET_ACCEPT)
}
