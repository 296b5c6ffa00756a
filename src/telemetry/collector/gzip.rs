//! Messages made smaller (RFC 1952) on their way to a collector that is far away, or asks money by the byte.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// What both HTTP and gRPC call it.
pub(super) const NAME: http::HeaderValue = http::HeaderValue::from_static("gzip");

/// The message, compressed; as quickly as that goes, for spans are much alike.
pub(super) fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
    // Writing to a Vec can't fail.
    let _ = out.write_all(message);
    out.finish().unwrap_or_default()
}
