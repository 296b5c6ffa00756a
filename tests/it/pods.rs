//! clinch in a pod, for real: two network namespaces stand for the pod and for whoever calls it from outside, the shipped
//! binary runs in the pod under a user id of its own, and the service beside it. Both modes, IPv4 and IPv6.
//!
//! What is not here is a kubelet: its probes are asked as it asks them, over HTTP from outside the pod.

mod port;
mod probes;
mod redirect;
mod refused;

use crate::support::clinch::command;
use crate::support::issuer::Issuer;
use crate::support::namespaces::{CLINCH, Network, PEER, POD, at_pod};
use crate::support::oauth_client::HOST;
use crate::support::pki::Pki;
use crate::support::program::Program;
use crate::support::proof::{Proof, ProofKey};
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, Caller, get, plain_get};
use crate::support::world::url;
use crate::support::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A pod with clinch in it, and an issuer outside.
struct Pod {
    pki: Pki,
    issuer: Issuer,
    client: ProofKey,
    folder: Folder,
    clinch: Program,
}

impl Pod {
    /// With this in `CLINCH_POD`, until it is ready.
    async fn start(network: &Network, pod: Value) -> Pod {
        Pod::start_at(network, pod, &POD.join(",")).await
    }

    /// The same with these in `CLINCH_POD_IPS`.
    async fn start_at(network: &Network, pod: Value, addresses: &str) -> Pod {
        let (pki, folder) = (Pki::with(&[PEER[0]]), Folder::public());
        let outside = TcpListener::bind((PEER[0], 0)).await.unwrap();
        let issuer = Issuer::on(outside, PEER[0], &pki);
        let config = write(&folder, &pki, &issuer.name);
        let mut run = clinch(network, &folder);
        run.args(["run", "--config"]).arg(config);
        run.env("CLINCH_POD", pod.to_string()).env("CLINCH_POD_IPS", addresses);
        let clinch = Program::start(&mut run);
        let mut pod = Pod { pki, issuer, client: ProofKey::new(), folder, clinch };
        pod.clinch.hear("clinch to be ready", |line| line.contains("\"ready\"").then_some(())).await;
        pod
    }

    /// A GET through an address of the pod's, with a token and a proof.
    async fn get(&self, address: SocketAddr, path: &str) -> Answer {
        let token = self.issuer.sign(&self.issuer.token_for(&self.client));
        let proof = Proof::new(&self.client, "GET", &url(path), &token).sign(&self.client);
        let authorization = format!("DPoP {token}");
        self.caller(address).send(&get(path, &[("Authorization", &authorization), ("DPoP", &proof)])).await
    }

    /// The same with the token alone.
    async fn get_without_proof(&self, address: SocketAddr, path: &str) -> Answer {
        let token = self.issuer.sign(&self.issuer.token_for(&self.client));
        self.caller(address).send(&get(path, &[("Authorization", &format!("DPoP {token}"))])).await
    }

    fn caller(&self, address: SocketAddr) -> Caller {
        Caller::new(address, &self.pki, None)
    }

    /// A request in clear from outside, as a neighbour would send it to the service. `None`: no HTTP comes back.
    async fn asks_plainly(&self, address: SocketAddr) -> Option<u16> {
        let stream = TcpStream::connect(address).await.ok()?;
        answer(stream).await
    }
}

/// The status of an answer in clear, if there is one.
async fn answer(mut stream: TcpStream) -> Option<u16> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let _ = stream.write_all(b"GET /direct HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n").await;
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an end");
    String::from_utf8_lossy(&bytes).strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Whether a connection from here is refused: at once, not after a while.
async fn is_refused(address: SocketAddr) -> bool {
    let connected = timeout(PATIENCE, TcpStream::connect(address)).await.expect("an answer of some kind");
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The shipped binary in the pod under the user id of the sidecar; it lies where that may read it.
fn clinch(network: &Network, folder: &Folder) -> Command {
    let binary = folder.at("clinch");
    if !binary.exists() {
        let shipped = command();
        let shipped = shipped.get_program();
        std::fs::hard_link(shipped, &binary).or_else(|_| std::fs::copy(shipped, &binary).map(drop)).unwrap();
    }
    let mut command = network.command(CLINCH, binary.to_str().unwrap());
    command.env("STATE_DIRECTORY", folder.at(""));
    command
}

/// The file that many pods share, and those that it names.
fn write(folder: &Folder, pki: &Pki, issuer: &str) -> PathBuf {
    folder.write("server.crt", &pki.server.certificate);
    folder.write("server.key", &pki.server.key);
    folder.write("ca.crt", &pki.ca_pem);
    folder.write("clinch.yaml", &config(issuer))
}

fn config(issuer: &str) -> String {
    format!(
        "listen:
  public_origins: [https://{HOST}]
  tls: {{ certificate: server.crt, private_key: server.key }}
issuers:
  - {{ issuer: '{issuer}', audiences: [https://{HOST}], ca: ca.crt }}
routes:
  - {{ path: '/accounts/{{*rest}}', proof: [dpop] }}
"
    )
}
