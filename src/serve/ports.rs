//! Every port that a start binds, before anything else is begun: the public ones, the admin port, that for security
//! events, and in a pod those for the kubelet and those that are only held.

use super::held::{self, Held};
use super::push::PushPort;
use super::sockets::Sockets;
use crate::config::Config;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// All of them.
pub(super) struct Ports {
    /// At least one.
    pub(super) public: Vec<TcpListener>,
    pub(super) admin: TcpListener,
    pub(super) health: Vec<TcpListener>,
    pub(super) push: Option<PushPort>,
    /// Bound, and not listened on.
    pub(super) held: Vec<Held>,
}

impl Ports {
    /// The first public one.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.public.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
    }

    /// # Errors
    /// One of them can't be bound, by its key.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Ports> {
        let mut sockets = Sockets::inherited(config.listen.reuse_port)?;
        let holds = config.pod.as_ref().is_some_and(|pod| pod.held.is_some());
        let mut ports = Vec::new();
        let wanted: Vec<SocketAddr> = config.listen.addresses().collect();
        for address in &wanted {
            let bound = settled(|| sockets.listen(*address, "listen.address")).await;
            ports.push(bound.map_err(|error| if holds { held::advised(error, *address) } else { error })?);
        }
        let mut health = Vec::new();
        let mut held = Vec::new();
        if let Some(pod) = &config.pod {
            for address in &pod.health {
                health.push(settled(|| sockets.listen(*address, "the pod's health port")).await?);
            }
            if let Some(port) = pod.held {
                held = held::hold(port, &wanted, &pod.health).await?;
            }
        }
        let admin = sockets.listen(config.admin, "admin.address")?;
        let push = PushPort::bind(config, &mut sockets)?;
        sockets.all_taken()?;
        Ok(Ports { public: ports, admin, health, push, held })
    }
}

/// An IPv6 address can't be bound while the kernel asks whether somebody else has it (RFC 4862 section 5.4), which
/// takes a second or two after a pod has got it.
async fn settled<T>(mut bind: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        match bind() {
            Err(error) if is_not_there_yet(&error) && begun.elapsed() < PATIENCE => sleep(PERIOD).await,
            done => return done,
        }
    }
}

fn is_not_there_yet(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// How long a new address may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
pub(super) const PERIOD: Duration = Duration::from_millis(100);
