//! Replicas of clinch that share a store, and a store that can be stopped, emptied and stalled.

use crate::support::authorization_server::AuthorizationServer;
use crate::support::clinch::Clinch;
use crate::support::echo::Echo;
use crate::support::eventually;
use crate::support::nats::Nats;
use crate::support::oauth_client::{self, Bind};
use crate::support::pki::Pki;
use crate::support::proof::{Proof, ProofKey};
use crate::support::redis::Redis;
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, Caller, get, plain_get};
use crate::support::world::{config, url, write};
use serde_json::json;
use std::path::PathBuf;

/// Where everything in these tests is.
pub const PATH: &str = "/accounts/1";
const BUCKET: &str = "CLINCH_REPLAY";

/// What replicas share.
pub enum Store {
    Memory,
    Redis(Redis),
    Nats(Nats),
}

impl Store {
    /// The keys of `dpop.replay`. A machine that stalls for a moment is no outage.
    pub fn keys(&self) -> String {
        self.keys_with_timeout("5s")
    }

    pub fn keys_with_timeout(&self, timeout: &str) -> String {
        match self {
            Store::Memory => "store: memory".to_owned(),
            Store::Redis(redis) => format!("store: redis, url: '{}', timeout: {timeout}", redis.url()),
            Store::Nats(nats) => {
                format!("store: nats, url: '{}', bucket: {BUCKET}, timeout: {timeout}", nats.url())
            }
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        match self {
            Store::Memory => panic!("there is nothing that listens"),
            Store::Redis(redis) => redis.port(),
            Store::Nats(nats) => nats.url().rsplit(':').next().unwrap().parse().unwrap(),
        }
    }

    pub fn kill(&mut self) {
        match self {
            Store::Memory => panic!("there is nothing to kill"),
            Store::Redis(redis) => redis.kill(),
            Store::Nats(nats) => nats.kill(),
        }
    }

    pub async fn restart(&mut self) {
        match self {
            Store::Memory => panic!("there is nothing to restart"),
            Store::Redis(redis) => redis.restart().await,
            Store::Nats(nats) => nats.restart().await,
        }
    }

    /// Takes everything out of it.
    pub async fn empty(&self) {
        match self {
            Store::Memory => panic!("there is nothing to empty"),
            Store::Redis(redis) => redis.flush().await,
            Store::Nats(nats) => {
                let bucket = jetstream(nats).await.get_stream(format!("KV_{BUCKET}")).await.unwrap();
                bucket.purge().await.unwrap();
            }
        }
    }

    /// Deletes the bucket of NATS itself.
    pub async fn delete(&self) {
        match self {
            Store::Memory | Store::Redis(_) => panic!("there is nothing to delete"),
            Store::Nats(nats) => {
                let deleted = jetstream(nats).await.delete_stream(format!("KV_{BUCKET}")).await.unwrap();
                assert!(deleted.success);
            }
        }
    }
}

async fn jetstream(nats: &Nats) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// The replicas, the service behind them, and a client with a token.
pub struct Replicas {
    pub service: Echo,
    pub clinches: Vec<Clinch>,
    pub token: String,
    pub key: ProofKey,
    config: PathBuf,
    pki: Pki,
    server: AuthorizationServer,
    _folder: Folder,
}

impl Replicas {
    /// Starts so many, with these keys of `dpop.replay`, and waits until each of them lets a good proof pass:
    /// a store that is new can't vouch for proofs as old as itself.
    pub async fn start(count: usize, keys: &str) -> Replicas {
        let replicas = Replicas::start_unready(Pki::new(), count, keys).await;
        for clinch in &replicas.clinches {
            clinch.becomes_ready().await;
            replicas.admits(clinch).await;
        }
        replicas
    }

    pub async fn start_unready(pki: Pki, count: usize, keys: &str) -> Replicas {
        let folder = Folder::new();
        let server = AuthorizationServer::start(&pki, &url("")).await;
        let service = Echo::start().await;
        let text = config(&server.issuer, &service.address.to_string());
        let text = text.replace("dpop:\n", &format!("dpop:\n  max_future: 1s\n  replay: {{ {keys} }}\n"));
        let config = write(&folder, &pki, &text);
        let mut clinches = Vec::new();
        for _ in 0..count {
            clinches.push(Clinch::start_unready(&config).await);
        }
        let address = clinches[0].address;
        let outcome = oauth_client::run(&server, &pki, Bind::Dpop, "accounts.read", address, json!([])).await;
        let key = outcome.key.expect("a DPoP-bound token has a key");
        Replicas { service, clinches, token: outcome.token, key, config, pki, server, _folder: folder }
    }

    /// Another token for another key.
    pub async fn renew_token(&mut self) {
        let address = self.clinches[0].address;
        let run = oauth_client::run(&self.server, &self.pki, Bind::Dpop, "accounts.read", address, json!([]));
        let outcome = run.await;
        (self.token, self.key) = (outcome.token, outcome.key.unwrap());
    }

    /// Puts a new process in the place of one that is killed.
    pub async fn replace(&mut self, at: usize) {
        self.clinches[at] = Clinch::start(&self.config).await;
    }

    pub fn proof(&self) -> String {
        self.proof_with(None)
    }

    pub fn proof_with(&self, nonce: Option<&str>) -> String {
        let proof = Proof::new(&self.key, "GET", &url(PATH), &self.token);
        proof.claim("nonce", json!(nonce)).sign(&self.key)
    }

    /// The nonce that a proof without one is told to carry there.
    pub async fn nonce(&self, at: usize) -> Option<String> {
        let answer = self.show(at, &self.proof()).await;
        answer.all("dpop-nonce").first().map(|nonce| (*nonce).to_owned())
    }

    /// Shows this proof to one of the replicas.
    pub async fn show(&self, at: usize, proof: &str) -> Answer {
        self.ask(&self.clinches[at], proof).await
    }

    async fn ask(&self, clinch: &Clinch, proof: &str) -> Answer {
        let authorization = format!("DPoP {}", self.token);
        let request = get(PATH, &[("Authorization", &authorization), ("DPoP", proof)]);
        self.caller(clinch).send(&request).await
    }

    pub fn caller(&self, clinch: &Clinch) -> Caller {
        Caller::new(clinch.address, &self.pki, None)
    }

    /// Waits until a fresh proof passes there, or nothing but a nonce is missing.
    pub async fn admits(&self, clinch: &Clinch) {
        let passed = async || {
            let answer = self.ask(clinch, &self.proof()).await;
            (answer.status == 200 || answer.body.contains("nonce_missing")).then_some(())
        };
        eventually("a fresh proof to pass", passed).await;
    }

    /// A metric of one replica, by the beginning of its line.
    pub async fn metric(&self, at: usize, name: &str) -> f64 {
        let text = plain_get(self.clinches[at].admin, "/metrics").await.unwrap().body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().unwrap()
    }
}
