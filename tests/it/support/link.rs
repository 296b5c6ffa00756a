//! The wire between clinch and a server on loopback: it can be cut, healed, and led to another server.

use super::free_port;
use std::net::Ipv4Addr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections to its port reach the server, until it is cut.
pub struct Link {
    /// The port on this side, the same for as long as the link lives.
    pub port: u16,
    server: u16,
    open: Option<JoinSet<()>>,
}

impl Link {
    /// To the server on this port.
    pub async fn to(server: u16) -> Link {
        let mut link = Link { port: free_port(), server, open: None };
        link.heal().await;
        link
    }

    /// Ends every connection and takes no new one.
    pub async fn cut(&mut self) {
        self.open.take().expect("not cut yet").shutdown().await;
    }

    /// Takes connections again.
    pub async fn heal(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let mut open = JoinSet::new();
        open.spawn(carry(listener, self.server));
        self.open = Some(open);
    }

    /// From the next [`Link::heal`] on it leads to the server on this port.
    pub fn lead_to(&mut self, server: u16) {
        self.server = server;
    }
}

async fn carry(listener: TcpListener, server: u16) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        connections.spawn(async move {
            // A server that is not there is a connection that ends at once.
            let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
