//! A real HAProxy that passes TLS through.

use super::program::Program;
use super::temporary::Folder;
use super::{eventually, free_port, tool};
use std::net::SocketAddr;
use std::process::Command;
use tokio::net::TcpStream;

/// A running balancer; killed on drop.
pub struct Haproxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    _program: Program,
    _folder: Folder,
}

impl Haproxy {
    /// In front of this address, with these words about the server, such as `send-proxy-v2`.
    pub async fn before(server: SocketAddr, words: &str) -> Haproxy {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = Folder::new();
        let config = folder.write(
            "haproxy.cfg",
            &format!(
                "defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen balancer
  bind {address}
  server clinch {server} {words}
"
            ),
        );
        let mut program = Program::start(Command::new(tool("bin/haproxy")).arg("-db").arg("-f").arg(config));
        eventually("HAProxy to listen", async || {
            assert!(!program.has_ended(), "HAProxy ended:\n{}", program.output());
            TcpStream::connect(address).await.ok()
        })
        .await;
        Haproxy { address, _program: program, _folder: folder }
    }
}
