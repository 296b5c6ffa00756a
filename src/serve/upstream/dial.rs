//! A connection to the service: by TCP or a Unix socket, within the connect timeout.
//!
//! A service that restarts is not there for some milliseconds: nothing was sent to it yet, so the attempt is made again
//! after a short pause. Nothing else is tried twice.

use crate::config::{self, UpstreamAddress};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

/// How the service is reached.
#[derive(Debug)]
pub(super) struct Dialer {
    address: UpstreamAddress,
    connect_timeout: Duration,
    peer_uid: Option<u32>,
    open: Arc<AtomicUsize>,
}

/// A new connection.
pub(super) enum Dialed {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An open connection is counted while this lives.
#[derive(Debug)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Dialer {
    pub(super) fn new(upstream: &config::Upstream) -> Dialer {
        Dialer {
            address: upstream.address.clone(),
            connect_timeout: upstream.connect_timeout,
            peer_uid: upstream.peer_uid,
            open: Arc::default(),
        }
    }

    /// Connects; `None` if the service is out of reach, or somebody else is in its place.
    pub(super) async fn dial(&self) -> Option<Dialed> {
        let attempts = async {
            for pause in PAUSES {
                match self.attempt().await {
                    Err(error) if is_of_a_restart(&error) => sleep(pause).await,
                    done => return done,
                }
            }
            self.attempt().await
        };
        timeout(self.connect_timeout, attempts).await.ok()?.ok()
    }

    /// What it says about itself as a `Host`, where no request of a client's does.
    pub(super) fn host(&self) -> &str {
        match &self.address {
            UpstreamAddress::Tcp(authority) => authority.as_str(),
            UpstreamAddress::Unix(_) => "localhost",
        }
    }

    /// Counts a connection.
    pub(super) fn opened(&self) -> Open {
        self.open.fetch_add(1, Relaxed);
        Open(Arc::clone(&self.open))
    }

    /// How many connections are open.
    pub(super) fn connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    async fn attempt(&self) -> io::Result<Dialed> {
        match &self.address {
            UpstreamAddress::Tcp(authority) => {
                let host = authority.host().trim_matches(['[', ']']);
                let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
                stream.set_nodelay(true)?;
                Ok(Dialed::Tcp(stream))
            }
            UpstreamAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let uid = stream.peer_cred()?.uid();
                if self.peer_uid.is_some_and(|expected| expected != uid) {
                    tracing::warn!(uid, "the service's socket is served by another user: it gets no request");
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                Ok(Dialed::Unix(stream))
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Nobody listens at the moment, or the listener went away under us; a Unix socket says the one or the other when its
/// backlog is full (connect(2)).
fn is_of_a_restart(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound, WouldBlock};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound, WouldBlock].contains(&error.kind())
}

/// Before another attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];
