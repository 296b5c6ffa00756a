//! The HTTP shell: TLS in, one decision by the gate, the service on localhost out.
//!
//! `listener` accepts, `tls` and `client_chain` find out who connects, `caller` whose certificate counts,
//! `connection` and `watched` keep the time, `unreadable` records what is no request. `proxy` takes one request
//! through the gate, `forward` takes it on, `fields` and `forwarded` decide which headers the service gets,
//! `upstream` asks it over connections of the `pool`, and `body` carries what either side sends, as a `tunnel`
//! does for a `websocket` after its `upgrade`, in the place of a connection or beside it (`tunnels`); `cut` ends both
//! with their token. `refusal`, `response`, `grpc` and `cors` word
//! our own answers, `admin` tells operators how we are, and `push` takes security events.

mod admin;
mod body;
mod caller;
mod client_chain;
mod connection;
mod cors;
mod cut;
mod fields;
mod forward;
mod forwarded;
mod grpc;
mod listener;
mod pool;
mod proxy;
mod push;
mod refusal;
mod response;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;
mod tunnels;
mod unreadable;
mod upgrade;
mod upstream;
mod watched;
mod websocket;

use crate::config::Config;
use crate::gate::Gate;
use crate::pop::Timestamp;
use crate::pop::metadata::Metadata;
use crate::pop::policy::Policy;
use crate::state::introspection::Introspection;
use crate::state::issuers::Issuers;
use crate::state::nonces::Nonces;
use crate::state::replay::ReplayStore;
use crate::state::replay::era::{Before, Era};
use crate::state::revocation::Revocations;
use crate::state::tokens::Tokens;
use crate::telemetry::Telemetry;
use admin::Admin;
use anyhow::Context;
use connection::Phase;
use cors::BrowserOrigins;
use forwarded::{Pseudonym, PublicHost};
use listener::Listener;
use proxy::Proxy;
use push::PushPort;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tls::Terminator;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use upstream::Upstream;

/// A running sidecar.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    admin_address: SocketAddr,
    push_address: Option<SocketAddr>,
    drain: Duration,
    phase: watch::Sender<Phase>,
    room: Arc<Semaphore>,
    connections: u32,
    telemetry: Arc<Telemetry>,
    admin: Arc<Admin>,
    tasks: [JoinHandle<()>; 2],
    push: Option<JoinHandle<()>>,
}

impl Server {
    /// Assembles state and gate from a checked config, binds the ports and serves. Returns once both
    /// ports are bound; readiness follows in the background. `before`: how the process before this one ended,
    /// which decides what its proofs are worth here.
    ///
    /// # Errors
    /// A port that can't be bound, TLS material that does not fit, an exporter that can't start.
    pub async fn start(config: Config, before: Before) -> anyhow::Result<Server> {
        let pseudonym = Pseudonym::new(tls::seed_randomness()?);
        let tls = Terminator::new(&config.listen.tls)?;
        let socket = bind(config.listen.address, "listen.address").await?;
        let admin_socket = bind(config.admin, "admin.address").await?;
        let push = PushPort::bind(&config).await?;
        let push_address = push.as_ref().map(PushPort::address);
        let (address, admin_address) = (socket.local_addr()?, admin_socket.local_addr()?);
        let hosts = config.listen.public_origins.iter().map(PublicHost::of).collect::<Result<_, _>>()?;

        let telemetry = Telemetry::start(&config.telemetry)?;
        let issuers = Issuers::start(&config.issuers, &telemetry.metrics)?;
        let introspection = Introspection::new(&config.issuers, &issuers, &telemetry.metrics)?;
        let revocations =
            Revocations::start(config.revocation.as_ref(), &config.issuers, &telemetry.metrics)?;
        let (phase, watched) = watch::channel(Phase::Running);
        let push = push.map(|port| port.open(&revocations, &watched));
        let era = Era::begin(proxy::now(), before, config.dpop.max_future);
        let replay = ReplayStore::start(&config.replay, &config.dpop, era, &telemetry.metrics.replay)?;
        let gate = Gate {
            policy: Policy { metadata: metadata(&config), routes: config.routes, dpop: config.dpop },
            tokens: Tokens::new(Arc::clone(&issuers), introspection, telemetry.metrics.clone()),
            revocations: Arc::clone(&revocations),
            nonces: Nonces::start(config.nonces)?,
            replay,
            telemetry: Arc::clone(&telemetry),
        };
        let proxy = Arc::new(Proxy {
            gate,
            origins: config.listen.public_origins,
            hosts,
            browsers: BrowserOrigins::new(&config.listen.browser_origins)?,
            terminators: Arc::new(config.listen.client_cert_from),
            identity: config.identity,
            upstream: Upstream::new(&config.upstream),
            pseudonym,
            in_flight: AtomicUsize::new(0),
            max_in_flight: config.listen.limits.in_flight,
        });
        let admin = Arc::new(Admin {
            telemetry: Arc::clone(&telemetry),
            issuers,
            revocations,
            proxy: Arc::clone(&proxy),
            phase: watched.clone(),
        });
        let limits = config.listen.limits;
        let connections = u32::try_from(limits.connections).unwrap_or(u32::MAX).min(MOST_CONNECTIONS);
        let room = Arc::new(Semaphore::new(connections as usize));
        let listener = Arc::new(Listener { tls, proxy, limits, phase: watched, room: Arc::clone(&room) });
        let tasks = [tokio::spawn(listener.run(socket)), tokio::spawn(Arc::clone(&admin).run(admin_socket))];
        let drain = config.listen.drain;
        Ok(Server {
            address,
            admin_address,
            push_address,
            drain,
            phase,
            room,
            connections,
            telemetry,
            admin,
            tasks,
            push,
        })
    }

    /// Where requests come in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Where metrics, `/live` and `/ready` are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }
    /// Where security events are pushed, if anywhere.
    pub fn push_address(&self) -> Option<SocketAddr> {
        self.push_address
    }

    /// Waits until keys and feed are ready.
    pub async fn ready(&self) {
        while !self.admin.is_ready() {
            sleep(READY_POLL).await;
        }
    }

    /// What is missing until then, in words; nothing once it is ready.
    pub fn missing(&self) -> Vec<String> {
        self.admin.missing()
    }

    /// Stops accepting, lets what is in flight finish up to `drain`, and returns. The admin port answers
    /// to the end, and says that we are not ready. What it returns is when the last proof that was used here can't
    /// be taken for one made later any more.
    pub async fn shutdown(mut self) -> Timestamp {
        self.phase.send_replace(Phase::Draining);
        let [listener, admin] = &mut self.tasks;
        let drained = async {
            let _ = listener.await;
            self.room.acquire_many(self.connections).await.is_ok()
        };
        let drained = timeout(self.drain, drained).await.is_ok();
        self.phase.send_replace(Phase::Cut);
        if !drained {
            tracing::warn!("requests still in flight after the drain time are cut");
            let _ = timeout(LAST_WORDS, self.room.acquire_many(self.connections)).await;
        }
        self.admin.revocations.stop().await;
        self.telemetry.shutdown(LAST_WORDS).await;
        admin.abort();
        self.admin.settled_at()
    }
}

/// A server that is dropped without [`shutdown`](Server::shutdown) lets nobody in any more.
impl Drop for Server {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain(&self.push) {
            task.abort();
        }
    }
}

/// What is published about the routes, if anything.
pub(crate) fn metadata(config: &Config) -> Option<Metadata> {
    let issuers = config.issuers.iter().map(|issuer| &*issuer.expected.issuer);
    let origins = &config.listen.public_origins;
    let made = || Metadata::of(&config.routes, &config.dpop.algorithms, issuers, origins);
    config.listen.resource_metadata.then(made)
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{key}: can't listen on {address}"))
}

const READY_POLL: Duration = Duration::from_millis(5);

/// What telemetry and cut connections get when all else is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A bound on the bound: tokio's semaphore has one too.
const MOST_CONNECTIONS: u32 = 1 << 20;
