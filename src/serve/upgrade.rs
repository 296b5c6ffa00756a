//! The handshake of a WebSocket (RFC 6455 section 4): a request that asks for one, and the service's agreement.
//!
//! A client asks by the upgrade of an HTTP/1.1 connection, or by an extended CONNECT for a stream of HTTP/2 (RFC 8441),
//! and so is the service asked, in its own version. Where the two differ, that half of the handshake which HTTP/2 does not
//! have is ours: before a service of HTTP/1.1 the key, unless the client sent one, and the check of its answer; before one
//! of HTTP/2, which gets no key, the answer to the client's.
//!
//! Possession is proved at the handshake, and that is all that the proof covers. Other protocols are never asked for,
//! h2c above all (HTTP-15): their requests would pass unseen. Until the service has agreed, nothing of the client's
//! passes but its request; what comes then is a [`tunnel`](super::tunnel).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

/// A request for a WebSocket.
#[derive(Debug)]
pub(super) struct Wish {
    /// The client's side of the connection, or of the stream, once it is no longer HTTP.
    pub(super) client: OnUpgrade,
    /// What whoever agrees shows that it has read.
    key: Key,
    /// The client asks over HTTP/2.
    is_stream: bool,
    /// The service is asked over HTTP/2.
    asks_for_stream: bool,
}

/// The key of a handshake.
#[derive(Debug)]
struct Key {
    text: HeaderValue,
    /// The client has sent it. Over HTTP/2 it need not (RFC 8441 section 5), and wants its answer if it does.
    theirs: bool,
}

/// Whether this is an extended CONNECT for a WebSocket (RFC 8441 section 5). Any other CONNECT is none of ours.
pub(super) fn is_websocket_over_http2(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
    parts.method == Method::CONNECT && parts.version == Version::HTTP_2 && protocol == Some("websocket")
}

/// What this request asks for, if that is a WebSocket as RFC 6455 section 4.1 or RFC 8441 section 5 has it. Whoever asks
/// in another way gets an answer as if it had not asked. `asks_for_stream`: the service speaks HTTP/2.
pub(super) fn wish(parts: &mut Parts, has_content: bool, asks_for_stream: bool) -> Option<Wish> {
    let client = parts.extensions.remove::<OnUpgrade>()?;
    let sent = only(parts, header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH);
    if is_websocket_over_http2(parts) {
        let key = sent.map_or_else(Key::new, Key::of);
        return Some(Wish { client, key, is_stream: true, asks_for_stream });
    }
    let key = Key::of(sent?);
    let options =
        parts.headers.get_all(header::CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
    let asked = parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && !has_content
        && options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        && only(parts, header::UPGRADE)
            .is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && only(parts, header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    asked.then_some(Wish { client, key, is_stream: false, asks_for_stream })
}

/// The value of a field that is there once.
fn only(parts: &Parts, name: HeaderName) -> Option<&HeaderValue> {
    let mut lines = parts.headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

impl Key {
    /// The client's.
    fn of(sent: &HeaderValue) -> Key {
        Key { text: sent.clone(), theirs: true }
    }

    /// No secret: it shows that the service has read this request, and is not one that echoes (RFC 6455 section 1.3).
    fn new() -> Key {
        let mut random = [0; 16];
        let _ = aws_lc_rs::rand::fill(&mut random);
        Key { text: in_base64(&random), theirs: false }
    }

    /// What a service makes of it (RFC 6455 section 4.2.2).
    fn accept(&self) -> HeaderValue {
        let known = [self.text.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
        in_base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, &known).as_ref())
    }
}

impl Wish {
    /// Turns the client's request into the one that asks the service: an upgrade of a GET, or an extended CONNECT, which
    /// has no key (RFC 8441 section 5).
    pub(super) fn write(&self, parts: &mut Parts) {
        if self.asks_for_stream {
            parts.method = Method::CONNECT;
            parts.headers.remove(header::TE);
            parts.headers.remove(header::SEC_WEBSOCKET_KEY);
            parts.extensions.insert(h2::ext::Protocol::from_static("websocket"));
            return;
        }
        write(&mut parts.headers);
        if self.is_stream {
            parts.method = Method::GET;
            parts.headers.insert(header::SEC_WEBSOCKET_KEY, self.key.text.clone());
        }
    }

    /// Whether what the service answers can be told to the client. A switch has to fit the key, or what comes next may be no
    /// WebSocket; and short of it nothing that says success can be told over HTTP/2, where this would be the tunnel (RFC
    /// 8441 section 5).
    pub(super) fn is_answered_by(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        // A service of HTTP/2 has no key to answer to.
        if self.asks_for_stream {
            return true;
        }
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return !(self.is_stream && status.is_success());
        }
        let mut accepts = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
        accepts.next().is_some_and(|accept| accept.as_bytes() == self.key.accept().as_bytes())
            && accepts.next().is_none()
    }

    /// Turns the service's agreement into what the client is told: a 101, or a 200 over HTTP/2.
    pub(super) fn tell(&self, status: &mut StatusCode, headers: &mut HeaderMap) {
        headers.remove(header::CONTENT_LENGTH);
        if !self.key.theirs {
            headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        } else if self.asks_for_stream {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.key.accept());
        }
        if self.is_stream {
            *status = StatusCode::OK;
        } else {
            *status = StatusCode::SWITCHING_PROTOCOLS;
            write(headers);
        }
    }
}

fn in_base64(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(STANDARD.encode(bytes)).unwrap_or(HeaderValue::from_static(""))
}

/// Asks the service, or tells the client (HTTP-15): the fields that are hop by hop, and so were removed.
fn write(headers: &mut HeaderMap) {
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

/// Sixteen bytes in base64.
const KEY_LENGTH: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn a_key_has_its_answer() {
        let text = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(Key { text, theirs: true }.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes_and_new() {
        let (one, other) = (Key::new().text, Key::new().text);
        assert_eq!((one.len(), STANDARD.decode(&one).unwrap().len()), (KEY_LENGTH, 16));
        assert_ne!(one, other);
    }
}
