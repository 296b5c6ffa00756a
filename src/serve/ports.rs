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
            let advised = |error| if holds { held::advised(error, *address) } else { error };
            let bind = || sockets.listen(*address, "listen.address").map_err(advised);
            ports.push(settled(holds, bind).await?);
        }
        let mut health = Vec::new();
        let mut held = Vec::new();
        if let Some(pod) = &config.pod {
            for address in &pod.health {
                health.push(settled(false, || sockets.listen(*address, "the pod's health port")).await?);
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
/// takes a second or two after a pod has got it. A port that must be ours (`claims`) and is another's is waited for, and taken the
/// moment it is free: by a connection that happened to be given it, or by a service that listens everywhere, until it
/// is started again.
async fn settled<T>(claims: bool, mut bind: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut wait = Wait::begin();
    loop {
        match bind() {
            Err(error) if wait.is_worth_it(&error, claims) => sleep(PERIOD).await,
            done => return done,
        }
    }
}

/// How long it is worth to wait for a port.
pub(super) struct Wait {
    begun: Instant,
    told: bool,
}

impl Wait {
    pub(super) fn begin() -> Wait {
        Wait { begun: Instant::now(), told: false }
    }

    /// Whether a failure may go away by itself; says so once where somebody has to know.
    pub(super) fn is_worth_it(&mut self, error: &anyhow::Error, claims: bool) -> bool {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::AddrInUse) && claims && !std::mem::replace(&mut self.told, true) {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "a port of the pod that must be clinch's is another's: waiting for it, nothing is served until then"
            );
        }
        match kind {
            Some(io::ErrorKind::AddrNotAvailable) => self.begun.elapsed() < PATIENCE,
            Some(io::ErrorKind::AddrInUse) => claims && self.begun.elapsed() < LONGEST_WAIT,
            Some(_) | None => false,
        }
    }
}

/// How long a new address may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a port is waited for that is another's. After that the start fails, and what started us begins anew.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Shorter than a container takes to start again.
pub(super) const PERIOD: Duration = Duration::from_millis(50);
