//! Connections to the service, kept open between requests.
//!
//! One host and HTTP/1.1 is all there is, so this is far less than hyper-util's client, which costs every
//! request a key to hash, a large allocation and several moves of the message. The connection that was used
//! last is used next, so that those of a busy hour become idle and are closed.
//!
//! After an answer that has no content by its method or status a faulty service may send some all the same, and it would be
//! read as the next answer, to somebody else's request. So such a connection [settles](SETTLES) first: what comes
//! while nothing was asked ends it.

use super::request_body::RequestBody;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The idle connections.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// By the time since when they are idle.
    connections: Vec<(SendRequest<RequestBody>, Instant)>,
    swept: bool,
}

/// A connection in use. It goes back to the pool when its response has been read to the end; if that never
/// happens it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<SendRequest<RequestBody>>,
    pool: Arc<Pool>,
    /// Whether its answer has no content by itself.
    bodiless: bool,
}

impl Pool {
    /// A connection that takes a request at once, if there is one.
    pub(super) fn take(&self) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.0.lock();
        while let Some((connection, since)) = idle.connections.pop() {
            if connection.is_ready() && since.elapsed() < MAX_IDLE {
                return Some(connection);
            }
        }
        None
    }

    /// What a connection is held by while its response is under way. `bodiless`: one without content, by its request's
    /// method or its status.
    pub(super) fn lease(self: &Arc<Pool>, connection: SendRequest<RequestBody>, bodiless: bool) -> Lease {
        Lease { connection: Some(connection), pool: Arc::clone(self), bodiless }
    }

    fn put(self: &Arc<Pool>, connection: SendRequest<RequestBody>) {
        let mut idle = self.0.lock();
        if idle.connections.len() >= MOST_IDLE {
            return;
        }
        idle.connections.push((connection, Instant::now()));
        if !idle.swept
            && let Ok(runtime) = Handle::try_current()
        {
            idle.swept = true;
            runtime.spawn(sweep(Arc::clone(self)));
        }
    }
}

impl Lease {
    /// Closes the connection: where its answer ends is in doubt, so where the next one begins is, too.
    pub(super) fn close(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|connection| !connection.is_closed()) else {
            return;
        };
        if connection.is_ready() && !self.bodiless {
            self.pool.put(connection);
        } else if let Ok(runtime) = Handle::try_current() {
            // Another thread is about to notice the end of the response, or that nobody reads it any more.
            let (pool, bodiless) = (Arc::clone(&self.pool), self.bodiless);
            runtime.spawn(async move {
                if bodiless {
                    sleep(SETTLES).await;
                }
                if connection.ready().await.is_ok() {
                    pool.put(connection);
                }
            });
        }
    }
}

/// Closes what has been idle for too long, until nothing is idle.
async fn sweep(pool: Arc<Pool>) {
    loop {
        sleep(MAX_IDLE).await;
        let mut idle = pool.0.lock();
        let fresh = |since: &Instant| since.elapsed() < MAX_IDLE;
        let old = idle.connections.partition_point(|(_, since)| !fresh(since));
        drop(idle.connections.drain(..old));
        if idle.connections.is_empty() {
            idle.swept = false;
            return;
        }
    }
}

/// Shorter than the idle timeouts services commonly have: we close first, so that no request races a close.
const MAX_IDLE: Duration = Duration::from_secs(4);
const MOST_IDLE: usize = 256;

/// How long after an answer without content a service may take to send what should not be there.
const SETTLES: Duration = Duration::from_millis(100);
