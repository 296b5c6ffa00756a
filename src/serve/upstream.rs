//! The service behind us, over HTTP/1.1, by TCP or a Unix socket.
//!
//! Bodies stream both ways. A request is sent once: only when a pooled connection turns out to be closed
//! before a byte was written does it go out on another. The time to answer counts from the last movement
//! of the request body, so that slow uploads are not mistaken for a slow service.

use super::body::{Progress, RequestBody};
use super::pool::{Lease, Pool};
use super::response::Fault;
use super::upgrade;
use crate::config::{self, UpstreamAddress};
use http::header::{self, HeaderMap};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// The service, as a client sees it.
#[derive(Debug)]
pub(super) struct Upstream {
    pool: Arc<Pool>,
    address: UpstreamAddress,
    connect_timeout: Duration,
    response_timeout: Duration,
    peer_uid: Option<u32>,
}

impl Upstream {
    /// Connects lazily.
    pub(super) fn new(upstream: &config::Upstream) -> Upstream {
        Upstream {
            pool: Arc::default(),
            address: upstream.address.clone(),
            connect_timeout: upstream.connect_timeout,
            response_timeout: upstream.response_timeout,
            peer_uid: upstream.peer_uid,
        }
    }

    /// The request's URI towards the service: its path and query byte for byte (HTTP-12).
    pub(super) fn uri(target: &Uri) -> Uri {
        target.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into()
    }

    /// Sends a request and waits for the response's head. The connection is the lease's until the response
    /// has been read.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        progress: Option<Progress>,
        asks_for_websocket: bool,
    ) -> Result<(Response<Incoming>, Lease), Fault> {
        let mut answer = pin!(self.exchange(request));
        let (response, lease) = loop {
            match timeout(self.response_timeout, answer.as_mut()).await {
                Ok(answered) => break answered?,
                Err(_) if progress.as_ref().is_some_and(Progress::take) => {}
                Err(_) => return Err(Fault::UpstreamTimeout),
            }
        };
        // A switch nobody asked for would smuggle the next bytes: HTTP-15.
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let agreed = asks_for_websocket && upgrade::is_agreed(response.headers());
        if switches && !agreed || !is_framing_clear(response.headers()) {
            lease.close();
            return Err(Fault::UpstreamBroken);
        }
        Ok((response, lease))
    }

    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), Fault> {
        while let Some(mut connection) = self.pool.take() {
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, self.pool.lease(connection))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(fault(&error.into_error())),
                },
            }
        }
        // Boxed: rare, and every request's future would be as large as this one.
        let mut connection = Box::pin(self.connect()).await.ok_or(Fault::UpstreamUnreachable)?;
        let response = connection.send_request(request).await.map_err(|error| fault(&error))?;
        Ok((response, self.pool.lease(connection)))
    }

    async fn connect(&self) -> Option<SendRequest<RequestBody>> {
        match &self.address {
            UpstreamAddress::Tcp(authority) => {
                let host = authority.host().trim_matches(['[', ']']);
                let connecting = TcpStream::connect((host, authority.port_u16().unwrap_or(80)));
                let stream = timeout(self.connect_timeout, connecting).await.ok()?.ok()?;
                stream.set_nodelay(true).ok()?;
                spoken_to(stream).await
            }
            UpstreamAddress::Unix(path) => {
                let stream = timeout(self.connect_timeout, UnixStream::connect(path)).await.ok()?.ok()?;
                let uid = stream.peer_cred().ok()?.uid();
                if self.peer_uid.is_some_and(|expected| expected != uid) {
                    tracing::warn!(uid, "the service's socket is served by another user: it gets no request");
                    return None;
                }
                spoken_to(stream).await
            }
        }
    }
}

/// HTTP/1.1 over a new connection.
async fn spoken_to<S>(stream: S) -> Option<SendRequest<RequestBody>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_BUFFER);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection.with_upgrades());
    Some(sender)
}

/// Whether everybody reads the same length (RFC 9112 section 6.3): hyper takes two equal lengths, a length beside a
/// coding, and codings besides chunked, and would pass them on (HD-055, HTTP-35).
fn is_framing_clear(headers: &HeaderMap) -> bool {
    let only = |name| {
        let mut lines = headers.get_all(name).iter();
        (lines.next(), lines.next().is_none())
    };
    match (only(header::TRANSFER_ENCODING), only(header::CONTENT_LENGTH)) {
        ((None, _), (None, _)) => true,
        ((None, _), (Some(length), single)) => single && length.as_bytes().iter().all(u8::is_ascii_digit),
        ((Some(coding), single), (None, _)) => single && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        ((Some(_), _), (Some(_), _)) => false,
    }
}

fn fault(error: &hyper::Error) -> Fault {
    if error.is_user() { Fault::RequestAborted } else { Fault::UpstreamBroken }
}

const MAX_BUFFER: usize = 128 * 1024;
