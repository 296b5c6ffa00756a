//! `clinch injector`, run as in a cluster.

use super::api_server::{ApiServer, NAMESPACE, TOKEN};
use super::clinch::command;
use super::eventually;
use super::pki::Pki;
use super::program::Program;
use super::temporary::Folder;
use super::wire::{Answer, plain_get};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A running injector; killed on drop.
pub struct Injector {
    /// Where it is asked.
    pub address: SocketAddr,
    /// Where `/ready` and `/metrics` are.
    pub admin: SocketAddr,
    /// The process.
    pub program: Program,
}

impl Injector {
    /// Starts it and waits until it is ready.
    pub async fn start(config: &Path) -> Injector {
        let injector = Injector::start_unready(config).await;
        injector.becomes_ready().await;
        injector
    }

    /// Starts it and waits until its ports are bound.
    pub async fn start_unready(config: &Path) -> Injector {
        let mut program = Program::start(command().args(["injector", "--config"]).arg(config));
        let listening = |line: &str| {
            let record: Value = serde_json::from_str(line).ok()?;
            let address = |name: &str| record.get(name)?.as_str()?.parse().ok();
            Some((address("address")?, address("admin")?))
        };
        let (address, admin) = program.hear("the injector to listen", listening).await;
        Injector { address, admin, program }
    }

    /// What `/ready` says.
    pub async fn ready(&self) -> Option<Answer> {
        plain_get(self.admin, "/ready").await
    }

    /// Waits for `/ready` to answer 200.
    pub async fn becomes_ready(&self) {
        let ready = async || self.ready().await.filter(|answer| answer.status == 200);
        eventually("the injector to be ready", ready).await;
    }

    /// The value of one line of the metrics, zero if it is not there.
    pub async fn metric(&self, line: &str) -> u64 {
        let page = plain_get(self.admin, "/metrics").await.expect("metrics").body;
        page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
    }
}

/// Writes a configuration with this `listen.tls`, further keys of `listen`, and this API server.
pub fn write(folder: &Folder, pki: &Pki, tls: &str, listen: &str, server: Option<&ApiServer>) -> PathBuf {
    folder.write("ca.crt", &pki.ca_pem);
    folder.write("token", &format!("{TOKEN}\n"));
    let server = server.map_or_else(String::new, |server| {
        format!("kubernetes: {{ server: '{}', token_file: token, ca: ca.crt }}\n", server.url)
    });
    let text = format!(
        "listen:
  address: 127.0.0.1:0
  tls: {tls}
  leave: 300ms
{listen}
namespace: {NAMESPACE}
admin: {{ address: 127.0.0.1:0 }}
{server}"
    );
    folder.write("injector.yaml", &text)
}

/// The same with a certificate from files, which `pki` signed for the Service.
pub fn write_with_files(folder: &Folder, pki: &Pki, tls: &str, listen: &str) -> PathBuf {
    folder.write("tls.crt", &pki.server.certificate);
    folder.write("tls.key", &pki.server.key);
    write(folder, pki, &format!("{{ certificate: tls.crt, private_key: tls.key{tls} }}"), listen, None)
}
