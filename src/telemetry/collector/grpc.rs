//! One unary gRPC call, as far as OTLP needs it: a frame of five bytes before the message, and a status behind it.
//!
//! Source: the gRPC protocol over HTTP/2 (Length-Prefixed-Message, Trailers, Trailers-Only), and the OTLP
//! specification on which status codes are worth another attempt.

use super::{Failure, Signal};
use crate::config::OtlpCompression;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Collected;
use std::time::Duration;

pub(super) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// How messages are compressed that are.
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The path of the call.
pub(super) fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// A message with its length in front, and whether it is compressed.
pub(super) fn framed(message: &[u8], compression: OtlpCompression) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME + message.len());
    frame.put_u8(match compression {
        OtlpCompression::None => 0,
        OtlpCompression::Gzip => 1,
    });
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// The message of the answer, if the call went well. The status is in the trailers, or in the head if there is nothing
/// between the two.
pub(super) fn answer(response: Response<Collected<Bytes>>) -> Result<Bytes, Failure> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Failure::of_status(head.status, &head.headers));
    }
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = code(&trailers).or_else(|| code(&head.headers));
    match status {
        Some(0) => {
            let mut message = body.to_bytes();
            Ok(if message.len() > FRAME { message.split_off(FRAME) } else { Bytes::new() })
        }
        Some(code) => {
            let pushed_back = pushback(&trailers).or_else(|| pushback(&head.headers));
            // Without a word about when, the collector's resources are exhausted for good.
            let again = PASSING.contains(&code) || code == RESOURCE_EXHAUSTED && pushed_back.is_some();
            Err(Failure { why: format!("gRPC status {code}"), again, after: pushed_back })
        }
        None => Err(Failure::new("no gRPC status", false)),
    }
}

fn code(fields: &HeaderMap) -> Option<u32> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// What servers that want to be left alone for a while say in milliseconds.
fn pushback(fields: &HeaderMap) -> Option<Duration> {
    fields.get("grpc-retry-pushback-ms")?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

const FRAME: usize = 5;
const RESOURCE_EXHAUSTED: u32 = 8;
/// CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
const PASSING: [u32; 6] = [1, 4, 10, 11, 14, 15];

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    async fn answered(trailers: &[(&'static str, &'static str)], body: Bytes) -> Result<Bytes, Failure> {
        let fields = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let fields: HeaderMap = fields.collect();
        let body = Full::new(body).with_trailers(std::future::ready(Some(Ok(fields))));
        answer(Response::new(body.collect().await.unwrap()))
    }

    #[tokio::test]
    async fn the_status_behind_the_message_counts() {
        assert_eq!(framed(b"abc", OtlpCompression::Gzip)[0], 1);
        let message = framed(b"abc", OtlpCompression::None);
        assert_eq!(&message[..], b"\0\0\0\0\x03abc");
        assert_eq!(answered(&[("grpc-status", "0")], message.clone()).await.unwrap(), "abc");
        assert_eq!(answered(&[("grpc-status", "0")], Bytes::new()).await.unwrap(), "");
        let refused = answered(&[("grpc-status", "16")], message.clone()).await.unwrap_err();
        assert_eq!((refused.why.as_str(), refused.again), ("gRPC status 16", false));
        assert!(answered(&[("grpc-status", "14")], Bytes::new()).await.unwrap_err().again);
        assert!(!answered(&[("grpc-status", "8")], Bytes::new()).await.unwrap_err().again);
        let later = [("grpc-status", "8"), ("grpc-retry-pushback-ms", "250")];
        let later = answered(&later, Bytes::new()).await.unwrap_err();
        assert_eq!((later.again, later.after), (true, Some(Duration::from_millis(250))));
        assert!(answered(&[], message).await.is_err(), "an answer that was broken off is none");
    }
}
