//! Everything the story needs, on loopback: issuer, service, journal, and clinch itself, started from a
//! config file on the very path of `clinch run`.

use super::authority::{Authority, Identity};
use super::caller::Network;
use super::issuer::{Claims, Issuer, Token};
use super::scratch::Scratch;
use super::{now, service};
use crate::cli::holder::{Holder, base64_sha256};
use crate::config::Config;
use crate::serve::Server;
use crate::state::replay::era::Before;
use anyhow::Context as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The parts, and who holds which key.
pub(super) struct Stage {
    pub(super) scratch: Scratch,
    pub(super) issuer: Issuer,
    pub(super) service: SocketAddr,
    pub(super) network: Network,
    /// `https://localhost:port`, what clients call.
    pub(super) origin: String,
    /// The right caller's key.
    pub(super) app: Holder,
    /// The thief's own key.
    pub(super) thief: Holder,
    /// The machine client's certificate.
    pub(super) machine: Identity,
    server: Server,
}

impl Stage {
    /// Starts everything; returns when clinch is ready.
    pub(super) async fn build() -> anyhow::Result<Stage> {
        let scratch = Scratch::new()?;
        record_logs(&scratch)?;
        let (servers, clients) =
            (Authority::new("clinch demo servers")?, Authority::new("clinch demo clients")?);
        let machine = clients.client(MACHINE)?;
        let issuer = Issuer::start(&servers.server("issuer")?).await?;
        let service = service::start().await?;
        let [port, admin_port] = free_ports()?;
        let certificate = servers.server("clinch")?;
        scratch.write(SERVERS_CA, &servers.pem())?;
        scratch.write("clients-ca.crt", &clients.pem())?;
        scratch.write("clinch.crt", &certificate.certificate_pem())?;
        scratch.write("clinch.key", &certificate.key_pem())?;
        scratch.write(JOURNAL, "")?;
        let config = scratch.write("clinch.yaml", &config(port, admin_port, service, &issuer.url))?;
        let config = Config::load(&config).context("the demo's own config file")?;
        let server = Server::start(config, Before::Orderly).await?;
        tokio::time::timeout(READY_LIMIT, server.ready()).await.context("clinch did not get ready")?;
        let network = Network::new(server.address(), servers.der(), &machine)?;
        let origin = format!("https://localhost:{port}");
        let (app, thief) = (Holder::generate(), Holder::generate());
        Ok(Stage { scratch, issuer, service, network, origin, app, thief, machine, server })
    }

    /// A token of the right caller, bound to its key.
    pub(super) fn app_token(&self, scope: &str, lifetime: Duration) -> Token {
        self.mint(APP_SUBJECT, "banking-app", scope, ("jkt", &self.app.thumbprint()), lifetime)
    }

    /// A token of the machine client, bound to its certificate.
    pub(super) fn machine_token(&self, lifetime: Duration) -> Token {
        let thumbprint = base64_sha256(self.machine.der());
        self.mint(MACHINE, MACHINE, READ, ("x5t#S256", &thumbprint), lifetime)
    }

    pub(super) fn mint(
        &self,
        subject: &str,
        client: &str,
        scope: &str,
        bound_to: (&'static str, &str),
        lifetime: Duration,
    ) -> Token {
        self.issuer.mint(Claims { subject, client, audience: &self.origin, scope, bound_to }, lifetime, now())
    }

    /// Where metrics, `/live` and `/ready` are.
    pub(super) fn admin(&self) -> SocketAddr {
        self.server.admin_address()
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.scratch.path(JOURNAL)
    }

    /// Lets clinch finish; the directory goes with it.
    pub(super) async fn strike(self) {
        self.server.shutdown().await;
    }
}

fn config(port: u16, admin: u16, service: SocketAddr, issuer: &str) -> String {
    CONFIG
        .replace("${port}", &port.to_string())
        .replace("${admin}", &admin.to_string())
        .replace("${service}", &service.to_string())
        .replace("${issuer}", issuer)
}

/// Two ports that are free now. The config file has to name them before clinch binds them.
fn free_ports() -> anyhow::Result<[u16; 2]> {
    let listeners = [TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}

/// What clinch logs goes to a file: it must not disturb the story. Of other crates only warnings, as `clinch
/// run` does: below that some print the headers they handle.
fn record_logs(scratch: &Scratch) -> anyhow::Result<()> {
    let file = std::fs::File::create_new(scratch.path(LOG))?;
    let heard = Targets::new().with_default(LevelFilter::WARN).with_target("clinch", LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().json().with_writer(std::sync::Mutex::new(file));
    tracing_subscriber::registry()
        .with(lines.with_filter(heard))
        .try_init()
        .map_err(|error| anyhow::anyhow!("the demo's log: {error}"))
}

/// The person the app acts for.
pub(super) const APP_SUBJECT: &str = "alice";
/// The machine client.
pub(super) const MACHINE: &str = "payroll-job";
/// The scope to read accounts.
pub(super) const READ: &str = "accounts.read";
/// The scope to make payments.
pub(super) const PAY: &str = "payments.write";
/// The file of the servers' certification authority.
pub(super) const SERVERS_CA: &str = "ca.crt";
/// The file of clinch's log.
pub(super) const LOG: &str = "clinch.log";

const CONFIG: &str = include_str!("clinch.yaml");
const JOURNAL: &str = "revocations.jsonl";
const READY_LIMIT: Duration = Duration::from_secs(10);
