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
use super::upload::GRACE;
use super::upstream::Unanswered;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The idle connections.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// By the time since when they are idle.
    connections: Vec<(Connection, Instant)>,
    swept: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    /// What carries it, and whatever is on it.
    pub(super) driver: AbortHandle,
    pub(super) unanswered: Unanswered,
}

/// A connection in use. It goes back to the pool when its response has been read to the end; if that never
/// happens it is closed. What is left of the upload then may take a moment.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    /// Whether its answer has no content by itself.
    bodiless: bool,
}

impl Pool {
    /// A connection that takes a request at once, if there is one.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock();
        while let Some((connection, since)) = idle.connections.pop() {
            if connection.sender.is_ready() && since.elapsed() < MAX_IDLE {
                return Some(connection);
            }
        }
        None
    }

    /// What a connection is held by while its response is under way. `bodiless`: one without content, by its request's
    /// method or its status.
    pub(super) fn lease(self: &Arc<Pool>, connection: Connection, bodiless: bool) -> Lease {
        Lease { connection: Some(connection), pool: Arc::clone(self), bodiless }
    }

    fn put(self: &Arc<Pool>, connection: Connection) {
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
        if let Some(connection) = self.connection.take() {
            connection.driver.abort();
        }
    }
    /// Leaves the connection to whom it has become something else for.
    pub(super) fn let_go(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|connection| !connection.sender.is_closed())
        else {
            return;
        };
        if connection.sender.is_ready() && !self.bodiless {
            self.pool.put(connection);
        } else if let Ok(runtime) = Handle::try_current() {
            // Another thread is about to notice the end of the response, or that nobody reads it any more. Or the upload
            // goes on, be it that the service reads nothing of it, so that nobody asks the client either.
            let (pool, bodiless) = (Arc::clone(&self.pool), self.bodiless);
            runtime.spawn(async move {
                if bodiless {
                    sleep(SETTLES).await;
                }
                match timeout(GRACE, connection.sender.ready()).await {
                    Ok(Ok(())) => pool.put(connection),
                    Ok(Err(_)) => {}
                    Err(_) => connection.driver.abort(),
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
