//! Somebody who has nothing to do with an attack, and must not notice it.

use crate::support::PATIENCE;
use crate::support::proof::{Proof, ProofKey};
use crate::support::stage::{Setting, Stage, VERIFIED, status};
use crate::support::wire::{converse, get};
use crate::support::world::url;
use rustls::pki_types::ServerName;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client with a token of its own, at an address of its own.
pub struct Bystander {
    key: ProofKey,
    token: String,
    address: Ipv4Addr,
}

impl Bystander {
    /// At another address than everybody else.
    pub fn of(stage: &Stage) -> Bystander {
        Bystander::at(stage, Ipv4Addr::new(127, 0, 0, 2))
    }

    /// At this one.
    pub fn at(stage: &Stage, address: Ipv4Addr) -> Bystander {
        let key = ProofKey::new();
        let token = stage.token(&json!({ "jkt": key.thumbprint() }));
        Bystander { key, token, address }
    }

    /// The same client with another token.
    pub fn renews(&mut self, stage: &Stage) {
        self.token = stage.token(&json!({ "jkt": self.key.thumbprint() }));
    }

    /// A fresh request to `/either/1`, on a connection that then closes.
    pub fn request(&self) -> String {
        let proof = Proof::new(&self.key, "GET", &url("/either/1"), &self.token);
        self.request_with(&proof.sign(&self.key))
    }

    /// The same with this proof.
    pub fn request_with(&self, proof: &str) -> String {
        get("/either/1", &[("Authorization", &format!("DPoP {}", self.token)), ("DPoP", proof)])
    }

    /// A good proof that is yet to be signed.
    pub fn proof(&self) -> Proof {
        Proof::new(&self.key, "GET", &url("/either/1"), &self.token)
    }

    /// A connection that stays open.
    pub async fn connects(&self, stage: &Stage) -> TlsStream<TcpStream> {
        timeout(PATIENCE, handshake(stage, self.address.into())).await.expect("a connection in time").unwrap()
    }

    /// What a request of its gets.
    pub async fn asks(&self, stage: &Stage, request: &str) -> String {
        let mut stream = self.connects(stage).await;
        let mut answer = Vec::new();
        let talk = async {
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
            let _ = stream.read_to_end(&mut answer).await;
        };
        timeout(PATIENCE, talk).await.expect("an answer in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// It is served, on a connection of its own.
    pub async fn is_served(&self, stage: &Stage) {
        let answer = self.asks(stage, &self.request()).await;
        assert_eq!(status(Some(&answer)), Some(200), "{answer}");
    }

    /// It is served on this connection, which stays open.
    pub async fn is_served_on(&self, stream: &mut TlsStream<TcpStream>) {
        let request = self.request().replace("Connection: close\r\n", "");
        let answer = converse(stream, request.as_bytes(), false).await.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// It is served again and again until the attack is over.
    pub async fn is_served_during<T>(&self, stage: &Stage, attack: impl Future<Output = T>) -> T {
        self.is_served(stage).await;
        let mut attack = std::pin::pin!(attack);
        loop {
            let served = async {
                self.is_served(stage).await;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            };
            tokio::select! {
                biased;
                done = &mut attack => return done,
                () = served => {}
            }
        }
    }
}

/// A TCP connection from this address of the machine.
pub async fn tcp(stage: &Stage, from: IpAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(stage.clinch.address).await.unwrap()
}

/// A TLS connection from this address.
pub async fn handshake(stage: &Stage, from: IpAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(crate::support::oauth_client::HOST).unwrap();
    let mut client = stage.anonymous();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(client)).connect(name, tcp(stage, from).await).await
}

/// A sidecar with these limits.
pub async fn limited(limits: &str) -> Stage {
    let listen = format!("limits: {{ {limits} }}");
    Stage::set(Setting { tls: VERIFIED, listen, ..Setting::default() }).await
}

/// The address of attackers.
pub const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
