//! One request over HTTP/2 to the service (RFC 9113 section 8): its head, its upload, the head of the answer.
//!
//! The upload moves with the wait for the answer; what is left of it when the answer begins goes on beside that, as in
//! gRPC, and for a moment when the answer has ended. It goes out again only if the service says that it did nothing with the request (section 8.7) and nothing of its
//! body was taken from the client. A CONNECT is always the extended one, which asks for a WebSocket (RFC 8441 section 4).

use super::answer::{Answer, Carried};
use super::dial::Dialer;
use super::links::{Links, Seat};
use super::socket::Socket;
use crate::serve::request_body::RequestBody;
use crate::serve::response::Fault;
use crate::serve::upload::{GRACE, Interrupted};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, SendStream};
use http::uri::{self, Authority, Scheme, Uri};
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// A request whose head is on its way.
pub(super) struct Exchange {
    pub(super) answer: ResponseFuture,
    pub(super) upload: Option<SendStream<Bytes>>,
}

/// Why there is no answer.
enum Setback {
    /// The client broke off its upload, or stopped sending.
    Client(Interrupted),
    Service(h2::Error),
}

/// Asks the service, and again on another connection if it surely did nothing.
pub(super) async fn exchange(
    links: Arc<Links>,
    dialer: &Dialer,
    request: Request<RequestBody>,
) -> Result<(Response<Answer>, Arc<Seat>), Fault> {
    let (head, mut body) = head_of(request).ok_or(Fault::UpstreamBroken)?;
    let connects = head.method() == Method::CONNECT;
    let ends = !connects && body.is_end_stream();
    let mut attempts_left = ATTEMPTS;
    while attempts_left > 0 {
        let mut seat = links.seat(dialer).await.ok_or(Fault::UpstreamUnreachable)?;
        if connects && !seat.takes_websockets().await {
            return Err(Fault::WebSocketUnsupported);
        }
        let begun = seat.begin(head.clone(), ends);
        // A connection that turns out to be closed is not met again, so only new ones count.
        attempts_left -= u32::from(begun.is_some() || seat.is_first);
        let Some(exchange) = begun else { continue };
        let (socket, stream) = if connects { (exchange.upload, None) } else { (None, exchange.upload) };
        let mut upload = Upload { body, stream, waiting: None, touched: false };
        let answer = upload.carried_until(exchange.answer).await;
        match answer {
            Ok(response) => {
                let seat = Arc::new(seat);
                let response = match socket {
                    Some(to) => connected(response, to)?,
                    None => answered(head.method(), response, upload, &seat),
                };
                return Ok((response, seat));
            }
            Err(Setback::Service(error)) if attempts_left > 0 && !upload.touched && is_undone(&error) => {
                body = upload.body;
                drop(seat);
                sleep(PAUSE).await;
            }
            Err(Setback::Service(_)) => return Err(Fault::UpstreamBroken),
            Err(Setback::Client(interrupted)) => return Err(interrupted.fault()),
        }
    }
    Err(Fault::UpstreamBroken)
}

/// The answer, and beside it what is left of the upload.
fn answered(
    method: &Method,
    response: Response<h2::RecvStream>,
    upload: Upload,
    seat: &Arc<Seat>,
) -> Response<Answer> {
    let carried = upload.stream.is_some().then(|| {
        let (_answering, answered) = oneshot::channel();
        let task = tokio::spawn(upload.carry(Arc::clone(seat), answered)).abort_handle();
        Carried { task, _answering }
    });
    let bare = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&response.status());
    let (any, length) = (!bare && *method != Method::HEAD, announced(&response));
    response.map(|content| Answer::http2(content, any, length, carried))
}

/// The WebSocket, if the service agrees; what it says otherwise is an answer like any other. Nothing could come of an
/// agreement that ends with its head.
fn connected(
    response: Response<h2::RecvStream>,
    mut to: SendStream<Bytes>,
) -> Result<Response<Answer>, Fault> {
    if !response.status().is_success() {
        let _ = to.send_data(Bytes::new(), true);
        let length = announced(&response);
        return Ok(response.map(|content| Answer::http2(content, true, length, None)));
    }
    if response.body().is_end_stream() {
        return Err(Fault::UpstreamBroken);
    }
    Ok(response.map(|from| Answer::WebSocket(Box::new(Socket::new(to, from)))))
}

/// The head in the form of HTTP/2: the authority is what Host is in HTTP/1.1, and nothing is said about the connection
/// (RFC 9113 sections 8.2.2 and 8.3.1; H2-01, H2-04).
fn head_of(request: Request<RequestBody>) -> Option<(Request<()>, RequestBody)> {
    let (mut parts, body) = request.into_parts();
    let host = parts.headers.remove(header::HOST)?;
    parts.headers.remove(header::CONNECTION);
    let mut target = uri::Parts::default();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    target.path_and_query = parts.uri.into_parts().path_and_query;
    parts.uri = Uri::from_parts(target).ok()?;
    parts.version = Version::HTTP_2;
    Some((Request::from_parts(parts, ()), body))
}

/// The length of the content, if it was told beforehand.
fn announced<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// RFC 9113 section 8.7: the service has done nothing with a stream that it refuses, or that began after the last one of
/// its GOAWAY.
fn is_undone(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}

/// The body of a request on its way.
struct Upload {
    body: RequestBody,
    /// None once nothing more goes out.
    stream: Option<SendStream<Bytes>>,
    /// What the service has no room for yet.
    waiting: Option<Bytes>,
    /// Something of the body was taken from the client.
    touched: bool,
}

impl Upload {
    /// The answer's head, while the upload moves.
    async fn carried_until(
        &mut self,
        mut answer: ResponseFuture,
    ) -> Result<Response<h2::RecvStream>, Setback> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(interrupted)) = self.poll(cx) {
                return Poll::Ready(Err(Setback::Client(interrupted)));
            }
            Pin::new(&mut answer).poll(cx).map_err(Setback::Service)
        })
        .await
    }

    /// The rest of the upload. It outlives the answer for no longer than a moment, whatever it waits for, and its stream is
    /// one of the connection's to its end.
    async fn carry(mut self, seat: Arc<Seat>, answered: oneshot::Receiver<Infallible>) {
        let over = async {
            let _ = answered.await;
            sleep(GRACE).await;
        };
        tokio::select! {
            _ = poll_fn(|cx| self.poll(cx)) => {}
            () = over => {}
        }
        if let Some(mut stream) = self.stream.take() {
            stream.send_reset(Reason::CANCEL);
        }
        drop(seat);
    }

    /// Sends what there is; ready when nothing more will go out.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Interrupted>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        let ended = loop {
            // The service may have enough of it (RFC 9113 section 8.1).
            if stream.poll_reset(cx).is_ready() {
                break Ok(());
            }
            if let Some(data) = self.waiting.take() {
                if !data.is_empty() && stream.capacity() == 0 {
                    self.waiting = Some(data);
                    match ready!(stream.poll_capacity(cx)) {
                        Some(Ok(_)) => continue,
                        Some(Err(_)) | None => break Ok(()),
                    }
                }
                let last = self.body.is_end_stream();
                if stream.send_data(data, last).is_err() || last {
                    break Ok(());
                }
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            self.touched |= frame.is_some();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    // One byte of the connection's window is asked for, so that nobody keeps it from others in vain;
                    // h2 asks for the rest once it has the data.
                    stream.reserve_capacity(1);
                    self.waiting = Some(data);
                }
                Some(Ok(Err(other))) => {
                    if let Ok(trailers) = other.into_trailers() {
                        let _ = stream.send_trailers(trailers);
                        break Ok(());
                    }
                }
                Some(Err(interrupted)) => {
                    stream.send_reset(Reason::CANCEL);
                    break Err(interrupted);
                }
                None => {
                    let _ = stream.send_data(Bytes::new(), true);
                    break Ok(());
                }
            }
        };
        self.stream = None;
        Poll::Ready(ended)
    }
}

/// How often a request may go out that the service did nothing with, and the pause before it does again.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(10);
