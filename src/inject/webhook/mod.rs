//! `clinch injector`: the admission webhook, over HTTPS, until it is told to stop.
//!
//! ```text
//! listener   accept, within limits; TLS by the certificate that is in force   (peers, tls)
//! request    one of four paths, a bounded body in bounded time                (question, body)
//! review     an AdmissionReview in, one out: pure                             (verdict, update)
//! ```
//!
//! It fails closed at every step: what is not understood is refused, a panic is a refusal, and where there is no answer at
//! all the API server's `failurePolicy: Fail` refuses. No answer has a 5xx status. Nothing is remembered of a review but
//! counts, and nothing secret is in an answer, for whoever reaches the port may ask unless `client_ca` is set (WH-019).

mod admin;
mod body;
mod listener;
mod metrics;
mod peers;
mod question;
mod request;
mod review;
mod tls;
mod update;
mod verdict;

pub use metrics::Metrics;
pub use question::Question;
pub use tls::Leaf;

use super::patch::{self, Outcome, Place, Refusal};
use crate::config::template::Template;
use crate::config::{Injector, InjectorTls};
use anyhow::Context;
use arc_swap::ArcSwap;
use listener::Listener;
use rustls::ServerConfig;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A running webhook.
#[derive(Debug)]
pub struct Webhook {
    core: Arc<Core>,
    address: SocketAddr,
    admin: SocketAddr,
    phase: watch::Sender<Phase>,
    tasks: JoinSet<()>,
    started: Kept,
}

/// What requests and connections share.
#[derive(Debug)]
struct Core {
    rules: ArcSwap<Rules>,
    tls: ArcSwap<ServerConfig>,
    /// Whose certificates are accepted.
    names: ArcSwap<Vec<String>>,
    leaf: Arc<Leaf>,
    metrics: Arc<Metrics>,
    /// Bytes of bodies that may be held at a time.
    bytes: Semaphore,
    phase: watch::Receiver<Phase>,
}

/// What reviews are judged by.
#[derive(Debug)]
struct Rules {
    template: Template,
    own: String,
    judges: (Patch, Verify),
}

type Patch = fn(&Value, &Place<'_>, &Template) -> Result<Outcome, Refusal>;
type Verify = fn(&Value, &Place<'_>, &Template) -> Result<(), Refusal>;

/// How far it is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Phase {
    Running,
    /// Not ready any more, and serving all the same: some API servers still believe in us.
    Leaving,
    /// No new connections.
    Draining,
}

/// What of the configuration takes effect at the next start only.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    address: SocketAddr,
    admin: SocketAddr,
    self_managed: Option<crate::config::SelfManaged>,
    connections: usize,
    times: [Duration; 2],
}

impl Webhook {
    /// Binds both ports. `own` is the injector's own namespace.
    ///
    /// # Errors
    /// A port can't be bound, or a certificate can't be used.
    pub async fn start(config: Injector, own: String) -> anyhow::Result<Webhook> {
        let listen = &config.listen;
        let (metrics, leaf) = (Arc::new(Metrics::new()), Arc::new(Leaf::default()));
        put_on(&leaf, &metrics, &listen.tls)?;
        let socket = TcpListener::bind(listen.address).await;
        let socket = socket.with_context(|| format!("can't listen at {}", listen.address))?;
        let admin = TcpListener::bind(config.admin).await;
        let admin = admin.with_context(|| format!("can't listen at {}", config.admin))?;
        let (sender, phase) = watch::channel(Phase::Running);
        let started = Kept::of(&config);
        let core = Arc::new(Core {
            tls: ArcSwap::from_pointee(tls::server(listen.client_ca.as_deref(), &leaf)?),
            names: ArcSwap::from_pointee(listen.client_names.clone()),
            rules: ArcSwap::from_pointee(Rules::of(config.template, own)),
            leaf,
            metrics,
            bytes: Semaphore::new(body::MOST_HELD),
            phase,
        });
        let (address, admin_address) = (socket.local_addr()?, admin.local_addr()?);
        let mut tasks = JoinSet::new();
        tasks.spawn(Listener::new(Arc::clone(&core), started.connections).run(socket));
        tasks.spawn(admin::run(Arc::clone(&core), admin));
        Ok(Webhook { core, address, admin: admin_address, phase: sender, tasks, started })
    }

    /// Where the API server asks.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/live`, `/ready` and `/metrics` are.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The certificate that is served, for whoever keeps it.
    pub fn leaf(&self) -> Arc<Leaf> {
        Arc::clone(&self.core.leaf)
    }

    /// What is counted.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.core.metrics)
    }

    /// Takes over a new configuration, but for keys that need a restart: whether there are such.
    ///
    /// # Errors
    /// A certificate can't be used; everything stays as it is.
    pub fn reload(&self, config: Injector) -> anyhow::Result<bool> {
        let waits = Kept::of(&config) != self.started;
        let tls = tls::server(config.listen.client_ca.as_deref(), &self.core.leaf)?;
        // Of one who made its certificates itself, and shall read them from files from the next start on.
        if self.started.self_managed.is_none() {
            put_on(&self.core.leaf, &self.core.metrics, &config.listen.tls)?;
        }
        self.core.tls.store(Arc::new(tls));
        self.core.names.store(Arc::new(config.listen.client_names));
        let own = self.core.rules.load().own.clone();
        self.core.rules.store(Arc::new(Rules::of(config.template, own)));
        Ok(waits)
    }

    /// Not ready at once; after a while no new connections; then what is under way ends, within its time.
    pub async fn shutdown(mut self) {
        let [leave, drain] = self.started.times;
        self.phase.send_replace(Phase::Leaving);
        sleep(leave).await;
        self.phase.send_replace(Phase::Draining);
        if timeout(drain, self.tasks.join_next()).await.is_err() {
            tracing::warn!("not every review was answered in time");
        }
    }
}

impl Rules {
    fn of(template: Template, own: String) -> Rules {
        Rules { template, own, judges: (patch::patch, patch::verify) }
    }
}

impl Kept {
    fn of(config: &Injector) -> Kept {
        let listen = &config.listen;
        Kept {
            address: listen.address,
            admin: config.admin,
            self_managed: match &listen.tls {
                InjectorTls::SelfManaged(managed) => Some(managed.clone()),
                InjectorTls::Files { .. } => None,
            },
            connections: listen.connections,
            times: [listen.leave, listen.drain],
        }
    }
}

/// A certificate of files. One of our own comes later, and until then we are not ready.
fn put_on(leaf: &Leaf, metrics: &Metrics, tls: &InjectorTls) -> anyhow::Result<()> {
    match tls {
        InjectorTls::Files { certificate, private_key } => {
            let until = leaf.put_on(certificate.clone(), private_key)?;
            metrics.certificate_until(until);
            Ok(())
        }
        InjectorTls::SelfManaged(_) => Ok(()),
    }
}
