//! The HTTP shell: TLS in, one decision by the gate, the service on localhost out.

/// A running sidecar.
#[derive(Debug)]
pub struct Server;
impl Server {
    /// Assembles state and gate from a checked config, binds the ports and serves. Returns once both
    /// ports are bound; readiness follows in the background.
    pub async fn start(_config: crate::config::Config) -> anyhow::Result<Server> {
        todo!()
    }
    /// Where requests come in.
    pub fn address(&self) -> std::net::SocketAddr {
        todo!()
    }
    /// Where metrics, `/live` and `/ready` are.
    pub fn admin_address(&self) -> std::net::SocketAddr {
        todo!()
    }
    /// Waits until keys and feed are ready.
    pub async fn ready(&self) {
        todo!()
    }
    /// Stops accepting, lets what is in flight finish up to `drain`, and returns.
    pub async fn shutdown(self) {
        todo!()
    }
}
