//! The sockets that clinch listens on: handed over by whoever started us, or bound here.
//!
//! A process that is started with open sockets (`LISTEN_FDS`, sd_listen_fds(3)) takes each for the address that it is bound
//! to. They stay open when we end, so connections that come meanwhile wait for the next process instead of being
//! refused. With `listen.reuse_port` the next process can be there before we end.

use anyhow::{Context, bail};
use listenfd::ListenFd;
use rustix::net::sockopt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Sockets that were handed over and not yet taken.
pub(super) struct Sockets {
    inherited: Vec<std::net::TcpListener>,
    reuse_port: bool,
}

impl Sockets {
    /// Those in the environment.
    ///
    /// # Errors
    /// One of them is no listening TCP socket.
    pub(super) fn inherited(reuse_port: bool) -> anyhow::Result<Sockets> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Vec::new();
        for at in 0..handed.len() {
            let socket = handed.take_tcp_listener(at);
            inherited
                .extend(socket.with_context(|| format!("LISTEN_FDS: socket {at} can't be listened on"))?);
        }
        Ok(Sockets { inherited, reuse_port })
    }

    /// The socket for an address, which stands at this key.
    pub(super) fn listen(&mut self, address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
        let ours = |socket: &std::net::TcpListener| {
            socket
                .local_addr()
                .is_ok_and(|bound| bound.port() == address.port() && bound.ip() == address.ip())
        };
        let listening = match self.inherited.iter().position(ours) {
            Some(at) => adopted(self.inherited.swap_remove(at)),
            None => self.bind(address),
        };
        let watched = listening.and_then(|socket| watched(&socket).map(|()| socket));
        watched.with_context(|| format!("{key}: can't listen on {address}"))
    }

    /// Whoever handed a socket over expects it to be served.
    ///
    /// # Errors
    /// One is left.
    pub(super) fn all_taken(self) -> anyhow::Result<()> {
        match self.inherited.first() {
            None => Ok(()),
            Some(left) => bail!(
                "LISTEN_FDS: the configuration says nothing of the socket at {}",
                left.local_addr()
                    .map_or_else(|_| "an unknown address".to_owned(), |address| address.to_string())
            ),
        }
    }

    fn bind(&self, address: SocketAddr) -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        if self.reuse_port {
            socket.set_reuseport(true)?;
        }
        socket.bind(address)?;
        socket.listen(BACKLOG)
    }
}

fn adopted(socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// A peer that is gone without a word is noticed, and its connection ends. Connections have from the socket that accepts them
/// what is set here.
fn watched(socket: &TcpListener) -> std::io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, SILENCE)?;
    sockopt::set_tcp_keepintvl(socket, ASK_AGAIN)?;
    sockopt::set_tcp_keepcnt(socket, UNANSWERED)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(socket, millis(UNACKNOWLEDGED))?;
    Ok(())
}

/// A peer that has no room for what was sent is given as long as `idle_timeout` has it: Linux counts the time of probes that are
/// answered, but in vain, like that of bytes that nobody acknowledges (tcp(7), `TCP_USER_TIMEOUT`).
///
/// # Errors
/// The connection has gone.
#[cfg_attr(not(target_os = "linux"), allow(unused_variables))]
pub(super) fn wait_as_long(accepted: &TcpStream, idle_timeout: Duration) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    if idle_timeout > UNACKNOWLEDGED {
        sockopt::set_tcp_user_timeout(accepted, millis(idle_timeout))?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// How long a connection is silent before its peer is asked for a sign of life; how often, and how many times in vain, it is
/// asked again (tcp(7)).
const SILENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(15);
const UNANSWERED: u32 = 4;
/// How long what was sent may go without an acknowledgement.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn none(reuse_port: bool) -> Sockets {
        Sockets { inherited: Vec::new(), reuse_port }
    }

    #[tokio::test]
    async fn an_address_is_shared_only_where_both_want_it() {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let first = none(true).listen(anywhere, "listen.address").unwrap();
        let address = first.local_addr().unwrap();
        let alone = none(false).listen(address, "listen.address").unwrap_err();
        assert_eq!(alone.to_string(), format!("listen.address: can't listen on {address}"));
        none(true).listen(address, "listen.address").unwrap();
    }

    #[tokio::test]
    async fn whoever_is_accepted_is_watched() {
        let socket = none(false).listen("127.0.0.1:0".parse().unwrap(), "listen.address").unwrap();
        let _client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (accepted, _) = socket.accept().await.unwrap();
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), SILENCE);
        #[cfg(target_os = "linux")]
        for (idle_timeout, millis) in [(75, 120_000), (600, 600_000)] {
            wait_as_long(&accepted, Duration::from_secs(idle_timeout)).unwrap();
            assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), millis);
        }
    }

    #[tokio::test]
    async fn what_was_handed_over_is_taken_by_address() {
        let handed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, left) = (handed.local_addr().unwrap(), other.local_addr().unwrap());
        let mut sockets = Sockets { inherited: vec![other, handed], reuse_port: false };
        assert_eq!(sockets.listen(address, "listen.address").unwrap().local_addr().unwrap(), address);
        let error = sockets.all_taken().unwrap_err().to_string();
        assert_eq!(error, format!("LISTEN_FDS: the configuration says nothing of the socket at {left}"));
    }
}
