//! The service behind us: a pool of HTTP/1.1 connections over TCP.
//!
//! Bodies stream both ways. A request is sent once: only when a pooled connection turns out to be closed
//! before a byte was written does it go out on another (hyper's rule). The time to answer counts from the
//! last movement of the request body, so that slow uploads are not mistaken for a slow service.

use super::body::{Progress, RequestBody};
use super::response::Fault;
use crate::config;
use http::uri::{self, Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// The service, as a client sees it.
#[derive(Debug)]
pub(super) struct Upstream {
    pool: Client<HttpConnector, RequestBody>,
    authority: Authority,
    response_timeout: Duration,
}

impl Upstream {
    /// Connects lazily.
    pub(super) fn new(upstream: &config::Upstream) -> Upstream {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(upstream.connect_timeout));
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .http1_max_buf_size(MAX_BUFFER)
            .set_host(false)
            .build(connector);
        Upstream { pool, authority: upstream.authority.clone(), response_timeout: upstream.response_timeout }
    }

    /// The request's URI towards the service: its path and query byte for byte.
    pub(super) fn uri(&self, target: &Uri) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        let path = target.path_and_query().cloned();
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }

    /// Sends a request and waits for the response's head.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        progress: Option<Progress>,
    ) -> Result<Response<Incoming>, Fault> {
        let mut answer = pin!(self.pool.request(request));
        let response = loop {
            match timeout(self.response_timeout, answer.as_mut()).await {
                Ok(answered) => break answered.map_err(|error| fault(&error))?,
                Err(_) if progress.as_ref().is_some_and(Progress::take) => {}
                Err(_) => return Err(Fault::UpstreamTimeout),
            }
        };
        // We never ask for an upgrade; a switch nobody asked for would smuggle the next bytes.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Fault::UpstreamBroken);
        }
        Ok(response)
    }
}

fn fault(error: &Error) -> Fault {
    if error.is_connect() {
        return Fault::UpstreamUnreachable;
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    if cause.is_some_and(hyper::Error::is_user) { Fault::RequestAborted } else { Fault::UpstreamBroken }
}

/// Shorter than the idle timeouts services commonly have: we close first, so that no request races a close.
const POOL_IDLE: Duration = Duration::from_secs(4);
const POOL_MAX_IDLE: usize = 256;
const MAX_BUFFER: usize = 128 * 1024;
