//! HTTP/1.1 byte by byte, over TLS or plain TCP: whatever a test writes reaches the wire as it is.

use super::oauth_client::HOST;
use super::pki::{Identity, Pki};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Someone who calls clinch: an address, the anchors to trust, perhaps a certificate.
#[derive(Clone)]
pub struct Caller {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// An answer, read to the end of the connection.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Caller {
    /// A caller, with a client certificate or without.
    pub fn new(address: SocketAddr, pki: &Pki, identity: Option<&Identity>) -> Caller {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(pki.roots());
        let mut tls = match identity.map(Identity::der) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Caller { address, tls: Arc::new(tls) }
    }

    /// A connection, handshake done.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.unwrap()
    }

    /// The same caller, who sends early data wherever it is offered (RFC 8446 section 2.3).
    pub fn with_early_data(mut self) -> Caller {
        Arc::make_mut(&mut self.tls).enable_early_data = true;
        self
    }

    /// A connection for another protocol than HTTP/1.1, by its ALPN name.
    pub async fn connect_for(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut caller = self.clone();
        Arc::make_mut(&mut caller.tls).alpn_protocols = vec![protocol.to_vec()];
        caller.connect().await
    }

    /// An HTTP/2 connection.
    pub async fn connect_h2(&self) -> H2 {
        let io = TokioIo::new(self.connect_for(b"h2").await);
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// One request on a connection of its own.
    pub async fn send(&self, request: &str) -> Answer {
        exchange(self.connect().await, request).await
    }
}

impl Answer {
    /// All values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a header; a panic if there is none or several.
    pub fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref values => panic!("{name}: {values:?} in {self:?}"),
        }
    }
}

/// A GET for a path of the public host, with these header fields, on a connection that closes after it.
pub fn get(path: &str, headers: &[(&str, &str)]) -> String {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{fields}\r\n")
}

/// A client of one HTTP/2 connection.
pub type H2 = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

/// A GET over HTTP/2; the status of its answer.
pub async fn h2_get(mut client: H2, url: String, fields: [(&'static str, String); 2]) -> u16 {
    let request =
        fields.iter().fold(Request::get(url), |request, (name, value)| request.header(*name, value));
    client.ready().await.unwrap();
    client.send_request(request.body(Empty::new()).unwrap()).await.unwrap().status().as_u16()
}

/// A GET without TLS: what a probe sends to the admin port.
pub async fn plain_get(address: SocketAddr, path: &str) -> Option<Answer> {
    let stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    Some(exchange(stream, &request).await)
}

/// Writes a request and reads the answer to the end of the connection.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(super::PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A peer that closes without close_notify is an error to rustls; what came before it still counts.
    let _ = read.expect("no end of the answer in time");
    parse(&String::from_utf8_lossy(&bytes))
}

/// Writes whatever bytes and reads one whole final answer: `None` if the peer ends before it. `head`: it has no body.
pub async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    bytes: &[u8],
    head: bool,
) -> Option<Answer> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        // Whoever is refused in the middle of a long request can't write it to its end.
        let _ = writer.write_all(bytes).await;
        let _ = writer.flush().await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut seen = Vec::new();
        loop {
            if let Some(answer) = first_answer(&seen, head) {
                return Some(answer);
            }
            if !matches!(reader.read_buf(&mut seen).await, Ok(1..)) {
                return None;
            }
        }
    };
    let answered = tokio::time::timeout(super::PATIENCE, async {
        tokio::select! { answer = read => answer, () = write => None }
    });
    answered.await.expect("no answer in time")
}

/// What is left on a connection until the peer closes it; `None` if it does not.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(super::PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.is_ok().then_some(bytes)
}

/// The first final answer in these bytes, if it is there to its end.
fn first_answer(bytes: &[u8], head_only: bool) -> Option<Answer> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let answer = parse(&String::from_utf8_lossy(&bytes[..head]));
    if answer.status < 200 && answer.status != 101 {
        return first_answer(&bytes[head..], head_only);
    }
    let length = answer.all("content-length").first().and_then(|length| length.parse().ok());
    let end = match length {
        _ if head_only => head,
        Some(length) => head + usize::min(length, usize::MAX / 2),
        None if answer.all("transfer-encoding").is_empty() => head,
        None => head + bytes[head..].windows(5).position(|five| five == b"0\r\n\r\n")? + 5,
    };
    (bytes.len() >= end).then(|| parse(&String::from_utf8_lossy(&bytes[..end])))
}

/// The parts of an answer.
pub fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an HTTP answer: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(n, v)| n == "transfer-encoding" && v == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Answer { status: status.expect("a status line"), headers, body }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}
