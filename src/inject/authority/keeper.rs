//! Looks at the Secret and at the webhook configurations, again and again, and does what is due.

use super::due::{Due, Terms};
use super::state::State;
use super::webhooks::Configurations;
use crate::config::SelfManaged;
use crate::inject::api::{Api, Trouble};
use crate::inject::webhook::{Leaf, Metrics};
use anyhow::Context;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::sleep;

/// Keeps the certificate of one replica.
#[derive(Debug)]
pub struct Keeper {
    api: Api,
    managed: SelfManaged,
    namespace: String,
    terms: Terms,
    leaf: Arc<Leaf>,
    metrics: Arc<Metrics>,
    /// What is served.
    held: Option<State>,
    /// The bundle that all configurations hold, and since when they were seen to.
    known: Option<(String, Instant)>,
}

/// What a look has led to.
enum Looked {
    /// All is well.
    Well,
    /// Something was changed, or somebody else has changed it: look again at once.
    Changed,
}

/// What there is of the Secret.
enum Found {
    Gone,
    /// It has no data.
    Empty(Value),
    /// It holds something of no use.
    Damaged(Value),
    Whole(Value, State),
}

impl Keeper {
    /// For a webhook that serves what it is given.
    pub fn new(
        api: Api,
        managed: SelfManaged,
        namespace: String,
        leaf: Arc<Leaf>,
        metrics: Arc<Metrics>,
    ) -> Keeper {
        let service = &managed.service;
        let names = ["", ".svc", ".svc.cluster.local"].map(|end| format!("{service}.{namespace}{end}"));
        let terms = Terms {
            names: names.into(),
            lifetime: managed.lifetime,
            authority_lifetime: managed.authority_lifetime,
            spread: managed.spread,
        };
        Keeper { api, managed, namespace, terms, leaf, metrics, held: None, known: None }
    }

    /// For ever.
    pub async fn run(mut self) -> Infallible {
        let (mut told, mut patience, mut changes) = (String::new(), FIRST_RETRY, 0);
        loop {
            match self.look().await {
                Ok(looked) => {
                    if !told.is_empty() {
                        tracing::info!("the webhook's certificates are in order again");
                    }
                    (told, patience) = (String::new(), FIRST_RETRY);
                    changes = if matches!(looked, Looked::Well) { 0 } else { changes + 1 };
                    if changes == MOST_CHANGES {
                        tracing::warn!(
                            "the Secret or the webhook configurations change all the time: who else writes them?"
                        );
                    }
                    let settled = changes == 0 || changes >= MOST_CHANGES;
                    sleep(if settled { self.managed.check } else { SOON }).await;
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    if why != told {
                        tracing::warn!(%why, "the webhook's certificates can't be looked after: what is there is served on");
                    }
                    told = why;
                    sleep(patience.min(self.managed.check)).await;
                    patience = (patience * 2).min(LAST_RETRY);
                }
            }
        }
    }

    /// One look. The configurations are read first: see [`webhooks`](super::webhooks).
    async fn look(&mut self) -> anyhow::Result<Looked> {
        let configurations = Configurations::read(&self.api, &self.managed.webhooks).await;
        let (secret, state) = match self.secret().await? {
            Found::Whole(secret, state) => (Some(secret), state),
            Found::Empty(secret) => return self.begin_anew(secret).await,
            Found::Damaged(secret) => return self.put_back(Some(secret)).await,
            Found::Gone => return self.put_back(None).await,
        };
        self.serve(&state)?;
        let put = match &configurations {
            Ok(configurations) => self.bundle(configurations, &state).await,
            Err(trouble) => Err(trouble.clone()),
        };
        if put != Ok(0) {
            self.known = None;
        }
        let due = self.due(&state)?;
        if due != Due::Nothing {
            return self.write(secret, self.next(&state, due)?, due).await;
        }
        match put {
            Ok(0) => Ok(Looked::Well),
            // Also who was faster: the next look tells what is there now.
            Ok(_) | Err(Trouble::Conflict) => Ok(Looked::Changed),
            Err(trouble) => {
                self.metrics.trouble("webhook_configurations");
                Err(trouble).context("the webhook configurations")
            }
        }
    }

    /// The Secret as it is there, and what it holds.
    async fn secret(&self) -> anyhow::Result<Found> {
        let secret = match self.api.get(&self.path(&self.managed.secret)).await {
            Ok(secret) => secret,
            Err(Trouble::NotFound) => return Ok(Found::Gone),
            Err(trouble) => {
                self.metrics.trouble("secret");
                return Err(trouble).with_context(|| format!("the Secret {}", self.managed.secret));
            }
        };
        match State::of(&secret) {
            Ok(Some(state)) => Ok(Found::Whole(secret, state)),
            Ok(None) => Ok(Found::Empty(secret)),
            Err(error) => {
                let why = format!("{error:#}");
                tracing::warn!(%why, secret = self.managed.secret, "the Secret was damaged: it is written anew");
                Ok(Found::Damaged(secret))
            }
        }
    }

    /// A Secret without data: it is the first start, or somebody has emptied it because a key of it is known to others. Then
    /// what we serve must not come back, neither from here nor, by an announcement, into `caBundle`: the new bundle holds
    /// the new authority only. So reviews may fail from the next look, when the new certificate is served, until every API
    /// server has the new bundle: some seconds in which pods of guarded namespaces do not start. Who applies the empty
    /// manifest again empties nothing, as long as it has no key `data`.
    async fn begin_anew(&mut self, secret: Value) -> anyhow::Result<Looked> {
        if self.held.take().is_some() {
            tracing::warn!(secret = self.managed.secret, "the Secret was emptied: a new authority is made");
        }
        self.known = None;
        self.write(Some(secret), State::first(&self.terms, now())?, Due::Nothing).await
    }

    /// A Secret that is gone or damaged gets what we serve, which the API servers trust; else a first authority.
    async fn put_back(&mut self, secret: Option<Value>) -> anyhow::Result<Looked> {
        let state = match &self.held {
            Some(held) => held.clone(),
            None => State::first(&self.terms, now())?,
        };
        self.write(secret, state, Due::Nothing).await
    }

    /// Serves what the Secret holds.
    fn serve(&mut self, state: &State) -> anyhow::Result<()> {
        if self.held.as_ref() == Some(state) {
            return Ok(());
        }
        let (chain, key) = state.served()?;
        let until = self.leaf.put_on(chain, &key)?;
        self.metrics.certificate_until(until);
        if self.held.as_ref().is_none_or(|held| held.leaf != state.leaf) {
            let left_h = (until - now()) / 3600;
            tracing::info!(left_h, "a certificate of our own is served");
        }
        self.held = Some(state.clone());
        Ok(())
    }

    /// Puts the bundle into the configurations that have another one; how many entries had.
    async fn bundle(&mut self, configurations: &Configurations, state: &State) -> Result<usize, Trouble> {
        let (bundle, service) = (state.bundle(), (&*self.managed.service, &*self.namespace));
        let put = configurations.put(&self.api, service, &bundle).await?;
        if put > 0 {
            self.metrics.bundle_written();
            tracing::info!(entries = put, "caBundle was put right in the webhook configurations");
        } else if self.known.as_ref().is_none_or(|(known, _)| *known != bundle) {
            self.known = Some((bundle, Instant::now()));
        }
        Ok(put)
    }

    fn due(&self, state: &State) -> anyhow::Result<Due> {
        let (leaf, authority) = state.said()?;
        let known = self.known.as_ref().map(|(_, since)| since.elapsed());
        Ok(self.terms.due((&leaf, &authority), state.next.is_some(), known, now()))
    }

    fn next(&self, state: &State, due: Due) -> anyhow::Result<State> {
        match due {
            Due::Nothing => Ok(state.clone()),
            Due::Leaf => state.renewed(&self.terms, now()),
            Due::Announcement => state.announced(&self.terms, now()),
            Due::Promotion => state.promoted(&self.terms, now()),
        }
    }

    /// Writes the Secret, unless another replica was faster. What is written is served after the next look.
    async fn write(&self, secret: Option<Value>, state: State, due: Due) -> anyhow::Result<Looked> {
        let written = match secret {
            None => {
                let secret = json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "type": "Opaque",
                    "metadata": { "name": self.managed.secret, "namespace": self.namespace },
                    "data": state.data(),
                });
                self.api.create(&self.path(""), &secret).await
            }
            Some(mut secret) => {
                // With its resourceVersion, and whatever else others have written on it.
                secret["data"] = state.data();
                self.api.replace(&self.path(&self.managed.secret), &secret).await
            }
        };
        match written {
            Ok(_) => {
                match due {
                    Due::Nothing => tracing::info!(secret = self.managed.secret, "certificates were made"),
                    Due::Leaf => tracing::info!("the certificate was renewed"),
                    Due::Announcement => tracing::info!("a new authority was announced"),
                    Due::Promotion => tracing::info!("the new authority signs from now on"),
                }
                Ok(Looked::Changed)
            }
            Err(Trouble::Conflict) => Ok(Looked::Changed),
            Err(trouble) => {
                self.metrics.trouble("secret");
                Err(trouble).with_context(|| format!("the Secret {}", self.managed.secret))
            }
        }
    }

    fn path(&self, secret: &str) -> String {
        let all = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        if secret.is_empty() { all } else { format!("{all}/{secret}") }
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// After a change: what came of it?
const SOON: Duration = Duration::from_millis(200);
/// After so many in a row there is no hurry any more.
const MOST_CHANGES: u32 = 12;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
