//! The gRPC health checking protocol (grpc.health.v1), by hand: one message of one field in each direction.
//!
//! It is asked as the kubelet asks, in clear, on a connection of its own.

use super::ask::{Ended, USER_AGENT};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::encoding::{decode_key, decode_varint, encode_varint, skip_field};
use tokio::net::TcpStream;

/// `Some` if the service says SERVING of itself, or of the one of its services that is named.
pub(super) async fn check(stream: TcpStream, service: &str) -> Option<()> {
    let authority = stream.peer_addr().ok()?;
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::new(question(service)))
        .ok()?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.ok()?;
    let _connection = Ended(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let answer = Limited::new(response.into_body(), LARGEST).collect().await.ok()?;
    let went_well = answer.trailers().is_some_and(is_ok);
    (went_well && is_serving(answer.to_bytes())).then_some(())
}

/// HealthCheckRequest: field 1, the service's name, in a message that is not compressed (gRPC over HTTP/2).
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(NAME);
        encode_varint(service.len() as u64, &mut message);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(&message);
    framed.freeze()
}

/// HealthCheckResponse: field 1 is SERVING.
fn is_serving(framed: Bytes) -> bool {
    let Some((prefix, message)) = framed.split_first_chunk::<5>() else { return false };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return false;
    }
    status(message) == Some(SERVING)
}

/// The last one counts, and fields that are not known are passed over (Protocol Buffers, encoding).
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let (field, kind) = decode_key(&mut message).ok()?;
        if field == 1 && kind == prost::encoding::WireType::Varint {
            status = decode_varint(&mut message).ok()?;
        } else {
            skip_field(kind, field, &mut message, Default::default()).ok()?;
        }
    }
    Some(status)
}

fn is_ok(trailers: &HeaderMap) -> bool {
    trailers.get("grpc-status").is_some_and(|status| status == "0")
}

/// The key of a field 1 that has a length.
const NAME: u8 = 0x0a;
const SERVING: u64 = 1;
const LARGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_serving_is_good() {
        let answer = |message: &[u8]| {
            let mut framed = BytesMut::from(&[0, 0, 0, 0][..]);
            framed.put_u8(u8::try_from(message.len()).unwrap());
            framed.extend_from_slice(message);
            is_serving(framed.freeze())
        };
        assert!(answer(&[0x08, 1]) && answer(&[0x12, 1, b'x', 0x08, 1]) && answer(&[0x08, 2, 0x08, 1]));
        for wrong in [&[][..], &[0x08, 0], &[0x08, 2], &[0x08, 3], &[0x08], &[0x0a, 1], &[0x08, 0x80]] {
            assert!(!answer(wrong), "{wrong:?}");
        }
        assert!(!is_serving(Bytes::from_static(&[1, 0, 0, 0, 2, 0x08, 1])), "compressed");
        assert!(!is_serving(Bytes::from_static(&[0, 0, 0, 0, 3, 0x08, 1])), "cut short");
        assert!(!is_serving(Bytes::new()));
    }

    #[test]
    fn the_question_names_the_service() {
        assert_eq!(question(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(question("a.B"), &[0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B'][..]);
    }
}
