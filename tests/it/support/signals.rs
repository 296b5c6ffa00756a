//! A transmitter, a stream of its that can be polled, an issuer, a service and a feed; the sidecars are the test's.

use super::clinch::Clinch;
use super::echo::Echo;
use super::eventually;
use super::issuer::Issuer;
use super::nats::{Nats, STREAM, SUBJECT};
use super::pki::Pki;
use super::proof::{Proof, ProofKey, now};
use super::stream::{self, Stream};
use super::temporary::Folder;
use super::transmitter::{AUDIENCE, Transmitter};
use super::wire::{Caller, get, plain_get};
use super::world;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What tokens of the scene are good for.
pub const PATH: &str = "/accounts/1";

/// The parts, running.
pub struct Scene {
    /// Certificates.
    pub pki: Pki,
    /// Who issues access tokens.
    pub issuer: Issuer,
    /// Who signs events.
    pub transmitter: Transmitter,
    /// Where they can be polled.
    pub stream: Stream,
    /// The key that tokens are bound to.
    pub key: ProofKey,
    /// What the sidecars read.
    pub config: PathBuf,
    /// Where that is, and the journal.
    pub folder: Folder,
    /// The feed, if it is no journal.
    pub nats: Option<Nats>,
    _service: Echo,
}

impl Scene {
    /// With this feed; `feed` and `transmitter` are further keys of theirs.
    pub async fn set(nats: Option<Nats>, feed: &str, transmitter: &str, max_staleness: &str) -> Scene {
        let (pki, folder, service) = (Pki::new(), Folder::new(), Echo::start().await);
        let (issuer, signer) = (Issuer::start(&pki).await, Transmitter::start(&pki).await);
        let stream = Stream::start(&pki).await;
        let kind = match &nats {
            Some(nats) => {
                format!("kind: nats, url: '{}', stream: {STREAM}, subject: '{SUBJECT}'", nats.url())
            }
            None => "kind: file, path: journal".to_owned(),
        };
        let more = transmitter.replace("ENDPOINT", &stream.endpoint);
        let text = world::config(&issuer.name, &service.address.to_string())
            + &format!(
                "revocation:
  feed: {{ {kind}{feed} }}
  transmitters:
    - issuer: '{}'
      audience: ['{AUDIENCE}']
      algorithms: [RS256]
      ca: ca.crt
      speaks_for: ['{}']
      {more}
  max_staleness: {max_staleness}
",
                signer.name, issuer.name
            );
        folder.write("poll.secret", &format!("{}\n", stream::AUTHORIZATION));
        let config = world::write(&folder, &pki, &text);
        let key = ProofKey::new();
        Scene { pki, issuer, transmitter: signer, stream, key, config, folder, nats, _service: service }
    }

    /// Starts a sidecar, and waits until it is ready.
    pub async fn clinch(&self) -> Clinch {
        Clinch::start(&self.config).await
    }

    /// A token of this subject's.
    pub fn token(&self, subject: &str) -> String {
        self.issuer.sign(&self.issuer.token_for(&self.key).claim("sub", subject))
    }

    /// Header and claims of the end of a subject's sessions.
    pub fn event(&self, subject: &str) -> (Value, Value) {
        let subject = json!({ "format": "iss_sub", "iss": self.issuer.name, "sub": subject });
        self.transmitter.event(subject, now())
    }

    /// The end of a subject's sessions, signed.
    pub async fn set_about(&mut self, subject: &str) -> String {
        let event = self.event(subject);
        self.transmitter.sign("t1", event).await
    }

    /// The status of a request with the token and a fresh proof.
    pub async fn status(&self, clinch: &Clinch, token: &str) -> u16 {
        let proof = Proof::new(&self.key, "GET", &world::url(PATH), token).sign(&self.key);
        let authorization = format!("DPoP {token}");
        let request = get(PATH, &[("Authorization", &authorization), ("DPoP", &proof)]);
        Caller::new(clinch.address, &self.pki, None).send(&request).await.status
    }

    /// Waits until the token is.
    pub async fn refused(&self, clinch: &Clinch, token: &str) {
        let refused = async || (self.status(clinch, token).await == 401).then_some(());
        eventually("the token to be refused", refused).await;
    }

    /// All that is on it.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.folder.at("journal")).expect("a journal")
    }
}

/// The value of one line of the metrics, zero if it is not there.
pub async fn metric(clinch: &Clinch, line: &str) -> u64 {
    let page = plain_get(clinch.admin, "/metrics").await.expect("metrics").body;
    page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
}
