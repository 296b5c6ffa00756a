//! HTTP/2 frame by frame: whatever a test writes reaches the wire as it is.

use super::PATIENCE;
use super::stage::Stage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with this status.
    Status(u16),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code, which is an error.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// A connection that sends whatever it is told.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    next: u32,
}

impl Wire {
    /// A connection, its preface sent. SETTINGS_HEADER_TABLE_SIZE 0: every status comes in full.
    pub async fn to(stage: &Stage) -> Wire {
        Wire::with_settings(stage, b"\0\x01\0\0\0\0").await
    }

    /// The same with these settings (RFC 9113 section 6.5.1).
    pub async fn with_settings(stage: &Stage, settings: &[u8]) -> Wire {
        let mut client = stage.anonymous();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let mut stream = stage.connect(&client).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(4, 0, 0, settings)).await.unwrap();
        Wire { stream, next: 1 }
    }

    /// Writes these bytes; false if the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// A request without a body, its fields in this order and spelling.
    pub async fn ask(&mut self, fields: &[(&str, &str)]) -> Outcome {
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        // END_STREAM and END_HEADERS
        self.request(5, &block).await
    }

    /// A request whose body is still to come, with this field block.
    pub async fn begin(&mut self, block: &[u8]) -> Outcome {
        // END_HEADERS
        self.request(4, block).await
    }

    async fn request(&mut self, flags: u8, block: &[u8]) -> Outcome {
        let id = self.next;
        self.next += 2;
        let _ = self.send(&frame(1, flags, id, block)).await;
        tokio::time::timeout(PATIENCE, self.outcome(id)).await.expect("an outcome")
    }

    /// Reads on until as much content of this stream has come.
    pub async fn data(&mut self, id: u32, enough: usize) {
        let (mut head, mut came) = ([0; 9], 0);
        while came < enough {
            self.stream.read_exact(&mut head).await.expect("another frame");
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            self.stream.read_exact(&mut vec![0; length]).await.expect("its payload");
            let ours = u32::from_be_bytes(head[5..].try_into().unwrap()) == id;
            came += if head[3] == 0 && ours { length } else { 0 };
        }
    }

    /// The next frame: its kind, its stream and its payload; nothing once the connection has ended.
    pub async fn next_frame(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], u32::from_be_bytes(head[5..].try_into().unwrap()), payload))
    }

    /// What comes next of this stream or of the connection.
    pub async fn outcome(&mut self, id: u32) -> Outcome {
        let mut head = [0; 9];
        while self.stream.read_exact(&mut head).await.is_ok() {
            let mut payload =
                vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
            if self.stream.read_exact(&mut payload).await.is_err() {
                break;
            }
            let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            let ours = u32::from_be_bytes(head[5..].try_into().unwrap()) == id;
            match head[3] {
                1 if ours => return Outcome::Status(status(&payload)),
                3 if ours => return Outcome::Reset(number(0)),
                7 if number(4) != 0 => return Outcome::GoAway(number(4)),
                _ => {}
            }
        }
        Outcome::Closed
    }
}

/// A frame (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

/// A literal field without indexing and without Huffman coding (RFC 7541 section 6.2.2).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// The status at the head of a field block (RFC 7541 section 6 and appendix B, as far as digits go).
fn status(block: &[u8]) -> u16 {
    let block = &block[block.iter().take_while(|byte| *byte & 0xe0 == 0x20).count()..];
    if block[0] & 0x80 != 0 {
        return [200, 204, 206, 304, 400, 404, 500][usize::from(block[0] & 0x7f) - 8];
    }
    assert_eq!(block[0] & 0x0f, 8, "a literal :status: {block:?}");
    let text = &block[2..2 + usize::from(block[1] & 0x7f)];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits = text.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * text.len());
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let (short, long) = ((bits << at) >> 27, (bits << at) >> 26);
        let (digit, length) = if short < 3 { (short, 5) } else { (long - 22, 6) };
        status = status * 10 + u16::try_from(digit).unwrap();
        at += length;
    }
    status
}

/// The fields of a good request to an open route.
pub const METHOD: (&str, &str) = (":method", "GET");
/// The scheme.
pub const SCHEME: (&str, &str) = (":scheme", "https");
/// The authority.
pub const AUTHORITY: (&str, &str) = (":authority", "api.example.com");
/// The path.
pub const PATH: (&str, &str) = (":path", "/open/1");
