//! Everything at once: authorization server, service, certificates, perhaps NATS, and clinch in front.

use super::authorization_server::{AuthorizationServer, INTROSPECTION_SECRET};
use super::clinch::Clinch;
use super::echo::Echo;
use super::nats::{Nats, STREAM, SUBJECT};
use super::oauth_client::{self, Bind, HOST, Outcome};
use super::pki::{Identity, Pki};
use super::proof::{Proof, ProofKey};
use super::temporary::Folder;
use super::wire::{Answer, Caller, get};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The parts, running.
pub struct World {
    /// Certificates.
    pub pki: Pki,
    /// The authorization server.
    pub server: AuthorizationServer,
    /// The service.
    pub service: Echo,
    /// NATS, where the test asked for it.
    pub nats: Option<Nats>,
    /// The sidecar.
    pub clinch: Clinch,
    config: PathBuf,
    _folder: Folder,
}

impl World {
    /// Starts everything, without a revocation feed.
    pub async fn start() -> World {
        World::assemble(None, |text| text).await
    }

    /// Starts everything, with these lines in the section `dpop` of the config.
    pub async fn with_dpop(lines: &str) -> World {
        World::assemble(None, |text| text.replace("\ndpop:\n", &format!("\ndpop:\n{lines}"))).await
    }

    /// Starts everything, with these lines more about the issuer, indented by four spaces.
    pub async fn with_issuer(more: &str) -> World {
        World::assemble(None, of_issuer(more)).await
    }

    /// The same, with revocations over NATS.
    pub async fn with_nats_and_issuer(more: &str) -> World {
        World::assemble(Some(Nats::start().await), of_issuer(more)).await
    }

    /// Starts everything, with revocations over NATS.
    pub async fn with_nats() -> World {
        World::assemble(Some(Nats::start().await), |text| text).await
    }

    /// Starts everything, with revocations over NATS and the config changed like this.
    pub async fn with_nats_and_config(change: impl Fn(String) -> String) -> World {
        World::assemble(Some(Nats::start().await), change).await
    }

    /// Starts everything, with revocations over the feed that these keys describe.
    pub async fn with_feed(keys: &str) -> World {
        World::assemble(None, |text| text + &revocation(keys)).await
    }

    async fn assemble(nats: Option<Nats>, change: impl Fn(String) -> String) -> World {
        let (pki, folder) = (Pki::new(), Folder::new());
        let server = AuthorizationServer::start(&pki, &url("")).await;
        let service = Echo::start().await;
        let feed = nats.as_ref().map(over_nats).unwrap_or_default();
        let text = change(config(&server.issuer, &service.address.to_string()) + &feed);
        let config = write(&folder, &pki, &text);
        let clinch = Clinch::start(&config).await;
        World { pki, server, service, nats, clinch, config, _folder: folder }
    }

    /// The NATS of a world that has one.
    pub fn nats(&self) -> &Nats {
        self.nats.as_ref().expect("made by World::with_nats")
    }

    /// Another sidecar with the same config: a replica.
    pub async fn another_clinch(&self) -> Clinch {
        Clinch::start(&self.config).await
    }

    /// The same, before it is ready.
    pub async fn another_clinch_unready(&self) -> Clinch {
        Clinch::start_unready(&self.config).await
    }

    /// Ends the sidecar in order and starts it again.
    pub async fn restart_clinch(&mut self) {
        self.clinch.program.terminate();
        assert!(self.clinch.program.ended().await.success(), "{}", self.clinch.program.output());
        self.clinch = Clinch::start(&self.config).await;
    }

    /// Lets the sidecar crash and starts it again.
    pub async fn crash_clinch(&mut self) {
        self.clinch.program.kill();
        self.clinch = Clinch::start(&self.config).await;
    }

    /// Puts a new sidecar with the same config in the old one's place.
    pub async fn replace_clinch(&mut self) {
        self.clinch = Clinch::start(&self.config).await;
    }

    /// A token for `accounts.read` from the real client, which makes these calls with it.
    pub async fn client(&self, bind: Bind, calls: Value) -> Outcome {
        self.client_with_scope(bind, "accounts.read", calls).await
    }

    /// The same with other scopes.
    pub async fn client_with_scope(&self, bind: Bind, scope: &str, calls: Value) -> Outcome {
        oauth_client::run(&self.server, &self.pki, bind, scope, self.clinch.address, calls).await
    }

    /// A DPoP-bound token that is no JWT, and its key.
    pub async fn opaque_token(&self, scope: &str) -> (String, ProofKey) {
        let outcome = self.client_with_scope(Bind::DpopOpaque, scope, json!([])).await;
        (outcome.token, outcome.key.expect("a DPoP-bound token has a key"))
    }

    /// A DPoP-bound token and its key, as a thief would like to have both.
    pub async fn dpop_token(&self, scope: &str) -> (String, ProofKey) {
        let outcome = self.client_with_scope(Bind::Dpop, scope, json!([])).await;
        (outcome.token, outcome.key.expect("a DPoP-bound token has a key"))
    }

    /// Someone who calls clinch.
    pub fn caller(&self, identity: Option<&Identity>) -> Caller {
        Caller::new(self.clinch.address, &self.pki, identity)
    }

    /// A GET with a token under the DPoP scheme and this proof.
    pub async fn get_with_proof(&self, path: &str, token: &str, proof: &str) -> Answer {
        let authorization = format!("DPoP {token}");
        self.caller(None).send(&get(path, &[("Authorization", &authorization), ("DPoP", proof)])).await
    }

    /// The same at another replica.
    pub async fn get_at(&self, replica: &Clinch, path: &str, token: &str, proof: &str) -> Answer {
        let authorization = format!("DPoP {token}");
        let caller = Caller::new(replica.address, &self.pki, None);
        caller.send(&get(path, &[("Authorization", &authorization), ("DPoP", proof)])).await
    }

    /// A GET with a token and a fresh, good proof.
    pub async fn get_as_owner(&self, path: &str, token: &str, key: &ProofKey) -> Answer {
        self.get_with_proof(path, token, &Proof::new(key, "GET", &url(path), token).sign(key)).await
    }
}

fn of_issuer(more: &str) -> impl Fn(String) -> String {
    move |text| text.replacen("    ca: ca.crt\n", &format!("    ca: ca.crt\n{more}"), 1)
}

/// What clients call.
pub fn url(path: &str) -> String {
    format!("https://{HOST}{path}")
}

/// Writes the config and the files it names; gives the config's path.
pub fn write(folder: &Folder, pki: &Pki, config: &str) -> PathBuf {
    folder.write("server.crt", &pki.server.certificate);
    folder.write("server.key", &pki.server.key);
    folder.write("ca.crt", &pki.ca_pem);
    folder.write("introspection.secret", &format!("{INTROSPECTION_SECRET}\n"));
    folder.write("clinch.yaml", config)
}

/// A config without a revocation feed, every port ephemeral.
pub fn config(issuer: &str, service: &str) -> String {
    format!(
        "listen:
  address: 127.0.0.1:0
  public_origins: [https://{HOST}]
  tls:
    certificate: server.crt
    private_key: server.key
    client_certificate: optional
    client_ca: [ca.crt]
  drain: 10s
upstream: {{ url: 'http://{service}' }}
issuers:
  - issuer: {issuer}
    audiences: [https://{HOST}]
    algorithms: [ES256, RS256]
    ca: ca.crt
dpop:
  algorithms: [ES256, EdDSA]
routes:
  - {{ path: /healthz, danger_unprotected: true }}
  - path: '/accounts/{{*rest}}'
    methods: [GET]
    proof: [dpop, mtls]
    scopes: [accounts.read]
  - path: '/transfers/{{*rest}}'
    proof: [dpop]
    scopes: [accounts.read, accounts.write]
  - path: '/certified/{{*rest}}'
    proof: [mtls]
    scopes: [accounts.read]
admin: {{ address: '127.0.0.1:0' }}
"
    )
}

fn over_nats(nats: &Nats) -> String {
    revocation(&format!("kind: nats, url: '{}', stream: {STREAM}, subject: '{SUBJECT}'", nats.url()))
}

fn revocation(feed: &str) -> String {
    format!(
        "revocation:
  feed: {{ {feed} }}
  accept_plain: true
  max_staleness: 8s
  on_stale: deny
"
    )
}
