//! The HTTP shell: TLS in, one decision by the gate, the service on localhost out.
//!
//! All `ports` are bound first: `sockets` made or inherited, and in a pod some that are only `held`. `generation` makes a `proxy` of a configuration, `current` holds the one in force, and what
//! happens to them is `recorded`.
//! `listener` accepts while there is `room`, `proxy_protocol` asks load balancers who it is, `tls` and `client_chain`
//! find out who connects, `caller` whose certificate counts; `peers`, `handshakes`, `arrivals` and `settled` share out what connections cost,
//! `connection`, `activity`, `watched` and `sections` keep the time, `unreadable` records what is no request. `proxy` takes one request
//! through the gate, `in_flight` until its response has ended; `forward` takes it on (`hops`: how far an OPTIONS), `fields`, `trailers` and `forwarded` decide which fields the service
//! gets, `upstream` asks it over connections of the `pool`, and `body` carries what either side sends, each `piece` of an answer within bounds, as a `tunnel`
//! does for a `websocket` after its `upgrade`, in the place of a connection or beside it (`tunnels`); `cut` ends both
//! with their token. `refusal`, `response`, `grpc` and `cors` word our own answers, `admin` tells operators how we are, `health` the kubelet, and `push` takes security events.

mod activity;
mod admin;
mod arrivals;
mod body;
mod broken;
mod caller;
mod client_chain;
mod connection;
mod cors;
mod current;
mod cut;
mod fields;
mod forward;
mod forwarded;
mod generation;
mod given_up;
mod grpc;
mod handshakes;
mod health;
mod held;
mod hops;
mod in_flight;
mod kept;
mod listener;
mod peers;
mod piece;
mod pool;
mod ports;
mod proxy;
mod proxy_protocol;
mod push;
mod reception;
mod recorded;
mod refusal;
mod reloading;
mod request_body;
mod response;
mod room;
mod sections;
mod settled;
mod sockets;
mod svid_chain;
mod switch;
#[cfg(test)]
mod tests;
mod tls;
mod trailers;
mod tunnel;
mod tunnels;
mod unreadable;
mod upgrade;
mod upload;
mod upstream;
mod watched;
mod websocket;
mod workload;

use crate::config::Config;
use crate::pop::Timestamp;
use crate::state::nonces::Nonces;
use crate::state::replay::ReplayStore;
use crate::state::replay::era::{Before, Era};
use crate::telemetry::Telemetry;
use admin::Admin;
use connection::Phase;
use current::Current;
use forwarded::Pseudonym;
use generation::Lasting;
pub(crate) use generation::metadata;
use handshakes::Handshakes;
use health::Health;
use held::Held;
use listener::Listener;
use peers::Peers;
use ports::Ports;
use proxy::Proxy;
use push::{Push, PushPort};
use room::Room;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::Terminator;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use workload::Workload;

/// A running sidecar.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    admin_address: SocketAddr,
    push_address: Option<SocketAddr>,
    phase: watch::Sender<Phase>,
    room: Room,
    lasting: Lasting,
    current: Arc<Current>,
    admin: Arc<Admin>,
    listeners: Vec<JoinHandle<()>>,
    /// The admin port, and in a pod those for the kubelet.
    told: Vec<JoinHandle<()>>,
    _held: Vec<Held>,
    push: Option<(Arc<Push>, JoinHandle<()>)>,
    workload: Option<Arc<Workload>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl Server {
    /// Assembles state and gate from a checked config, binds the ports and serves. Returns once both
    /// ports are bound; readiness follows in the background. `before`: how the process before this one ended,
    /// which decides what its proofs are worth here.
    ///
    /// # Errors
    /// A port that can't be bound, TLS material that does not fit, an exporter that can't start.
    pub async fn start(mut config: Config, before: Before) -> anyhow::Result<Server> {
        let pseudonym = Arc::new(Pseudonym::new(tls::seed_randomness()?));
        let tls = Terminator::new(&config.listen.tls)?;
        let ports = Ports::bind(&config).await?;
        let push_address = ports.push.as_ref().map(PushPort::address);
        let (address, admin_address) = (ports.address()?, ports.admin.local_addr()?);
        let probes = config.pod.take().map(|pod| pod.probes).unwrap_or_default();

        let telemetry = Telemetry::start(&config.telemetry)?;
        let era = Era::begin(proxy::now(), before, config.dpop.max_future);
        let replay = ReplayStore::start(&config.replay, &config.dpop, era, &telemetry.metrics.replay)?;
        let lasting = Lasting {
            telemetry: Arc::clone(&telemetry),
            audit: recorded::begin(&config, &telemetry)?,
            nonces: Arc::new(Nonces::start(&mut config.nonces)?),
            replay: Arc::new(replay),
            written: config.written.clone(),
            dpop: config.dpop.clone(),
            pseudonym,
            shares: Arc::default(),
        };
        let limits = config.listen.limits;
        let proxy = Proxy::first(config, &lasting)?;
        let (phase, watched) = watch::channel(Phase::Running);
        let push = ports.push.map(|port| port.open(&proxy.gate.revocations, &watched));
        let room = Room::new(proxy.limits.connections);
        let current = Current::new(proxy, tls);
        current.tell_certificate();
        let workload = Workload::start(&current, &current.proxy().made_of.tls).map(Arc::new);
        let admin = Arc::new(Admin {
            telemetry: Arc::clone(&telemetry),
            current: Arc::clone(&current),
            workload: workload.clone(),
            phase: watched.clone(),
        });
        let listener = Listener {
            current: Arc::clone(&current),
            peers: Peers::up_to(limits.connections_per_peer),
            handshakes: Handshakes::up_to(limits.handshakes, telemetry.metrics.handshakes.clone()),
            telemetry,
            phase: watched,
            arrivals: Arc::default(),
            settled: Arc::default(),
            room: room.permits(),
        };
        let (listener, health) = (Arc::new(listener), Health::new(&admin, probes));
        let serve = |socket| tokio::spawn(Arc::clone(&listener).run(socket));
        let listeners = ports.public.into_iter().map(serve).collect();
        let mut told = vec![tokio::spawn(Arc::clone(&admin).run(ports.admin))];
        told.extend(ports.health.into_iter().map(|socket| tokio::spawn(Arc::clone(&health).run(socket))));
        let reloading = tokio::sync::Mutex::default();
        Ok(Server {
            address,
            admin_address,
            push_address,
            phase,
            room,
            lasting,
            current,
            admin,
            listeners,
            told,
            _held: ports.held,
            push,
            workload,
            reloading,
        })
    }

    /// The text of the configuration in force.
    pub fn written(&self) -> Arc<str> {
        Arc::clone(&self.current.proxy().made_of.text)
    }

    /// How many configurations have been in force.
    pub fn generation(&self) -> u64 {
        self.current.proxy().made_of.number
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
        let drained = async {
            for listener in &mut self.listeners {
                let _ = listener.await;
            }
            self.room.empty().await;
        };
        let proxy = self.current.proxy().clone();
        let drained = timeout(proxy.drain(), drained).await.is_ok();
        self.phase.send_replace(Phase::Cut);
        if !drained {
            tracing::warn!("requests still in flight after the drain time are cut");
            let _ = timeout(LAST_WORDS, self.room.empty()).await;
        }
        proxy.gate.revocations.stop().await;
        self.lasting.audit.stop(LAST_WORDS).await;
        self.admin.read_gauges();
        let telemetry = &self.lasting.telemetry;
        let (_, ()) =
            tokio::join!(timeout(LAST_WORDS, telemetry.send_metrics()), telemetry.shutdown(LAST_WORDS));
        self.told.iter().for_each(JoinHandle::abort);
        self.lasting.replay.settled_at()
    }
}

/// A server that is dropped without [`shutdown`](Server::shutdown) lets nobody in any more.
impl Drop for Server {
    fn drop(&mut self) {
        for task in self.listeners.iter().chain(&self.told).chain(self.push.iter().map(|(_, task)| task)) {
            task.abort();
        }
    }
}

const READY_POLL: Duration = Duration::from_millis(5);

/// What telemetry and cut connections get when all else is over.
const LAST_WORDS: Duration = Duration::from_secs(2);
