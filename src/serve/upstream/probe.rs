//! Whether the service answers (`upstream.readiness`), asked in the background, so that `/ready` can say so.
//!
//! Each time on a connection of its own, for that is what tells of a service that takes no more. Requests pass whatever
//! the answer is.

use super::dial::{Dialed, Dialer};
use crate::config::Readiness;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Asks until it is dropped.
#[derive(Debug)]
pub(super) struct Probe {
    up: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What is known of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Health {
    /// It is not asked.
    Off,
    /// It answers.
    Up,
    /// It does not, or has not yet.
    Down,
}

impl Health {
    /// As `/ready` has it.
    pub(in crate::serve) fn name(self) -> &'static str {
        match self {
            Health::Off => "off",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

impl Probe {
    pub(super) fn start(dialer: Arc<Dialer>, readiness: Readiness, http2: bool, patience: Duration) -> Probe {
        let up = Arc::<AtomicBool>::default();
        let told = Arc::clone(&up);
        let task = tokio::spawn(async move {
            loop {
                let answers =
                    matches!(timeout(patience, ask(&dialer, &readiness, http2)).await, Ok(Some(())));
                if told.swap(answers, Relaxed) != answers {
                    tracing::info!(answers, "whether the service answers has changed");
                }
                sleep(readiness.interval).await;
            }
        });
        Probe { up, task }
    }

    pub(super) fn health(&self) -> Health {
        if self.up.load(Relaxed) { Health::Up } else { Health::Down }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask(dialer: &Dialer, readiness: &Readiness, http2: bool) -> Option<()> {
    let dialed = dialer.dial().await?;
    let Some(path) = &readiness.path else { return Some(()) };
    let target = format!("http://{}{path}", dialer.host()).parse::<Uri>().ok()?;
    let status = match dialed {
        Dialed::Tcp(stream) => get(stream, target, http2).await?,
        Dialed::Unix(stream) => get(stream, target, http2).await?,
    };
    (!status.is_server_error()).then_some(())
}

async fn get<S>(stream: S, target: Uri, http2: bool) -> Option<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    use hyper::client::conn;
    let io = TokioIo::new(stream);
    let request = Request::get(&target).header(header::USER_AGENT, USER_AGENT);
    let response = if http2 {
        let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await.ok()?;
        let _connection = Ended(tokio::spawn(async move { drop(connection.await) }));
        sender.send_request(request.body(Empty::<Bytes>::new()).ok()?).await
    } else {
        let (mut sender, connection) = conn::http1::handshake(io).await.ok()?;
        let _connection = Ended(tokio::spawn(async move { drop(connection.await) }));
        let request = request.uri(target.path_and_query()?.as_str());
        let request = request.header(header::HOST, target.authority()?.as_str());
        sender.send_request(request.body(Empty::<Bytes>::new()).ok()?).await
    };
    Some(response.ok()?.status())
}

/// The connection ends with its one request.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const USER_AGENT: &str = concat!("clinch/", env!("CARGO_PKG_VERSION"));
