//! One connection to whichever store it is.

use super::{Answer, Arrival, Claim, Trouble};
use crate::config::{SharedReplay, Store};
use crate::pop::policy::DpopPolicy;
use crate::state::replay::{nats, redis};
use std::time::Duration;

/// Where the store is.
#[derive(Debug)]
pub(super) enum Target {
    Redis(Box<redis::Target>),
    Nats(Box<nats::Target>),
}

/// One connection.
#[derive(Debug)]
pub(super) enum Session {
    Redis(redis::Session),
    Nats(Box<nats::Session>),
}

impl Target {
    pub(super) fn new(config: &SharedReplay, dpop: &DpopPolicy) -> anyhow::Result<Target> {
        Ok(match &config.store {
            Store::Redis { url } => Target::Redis(Box::new(redis::Target::new(url, &config.ca)?)),
            Store::Nats { url, bucket } => {
                let longest = dpop.max_age + 2 * dpop.max_future;
                Target::Nats(Box::new(nats::Target::new(url, bucket, &config.ca, longest)?))
            }
        })
    }

    pub(super) async fn connect(&self, patience: Duration) -> Result<(Session, Arrival), Trouble> {
        Ok(match self {
            Target::Redis(target) => {
                let (session, arrival) = target.connect(patience).await?;
                (Session::Redis(session), arrival)
            }
            Target::Nats(target) => {
                let (session, arrival) = target.connect(patience).await?;
                (Session::Nats(Box::new(session)), arrival)
            }
        })
    }
}

impl Session {
    pub(super) async fn claim(&self, claim: &Claim) -> Result<Answer, Trouble> {
        match self {
            Session::Redis(session) => session.claim(claim).await,
            Session::Nats(session) => session.claim(claim).await,
        }
    }

    /// A sign of life.
    pub(super) async fn check(&self) -> Result<(), Trouble> {
        match self {
            Session::Redis(session) => session.check().await,
            Session::Nats(session) => session.check().await,
        }
    }

    /// Returns when the connection is known to be gone.
    pub(super) async fn ended(&self) -> Trouble {
        match self {
            Session::Redis(_) => std::future::pending().await,
            Session::Nats(session) => session.ended().await,
        }
    }

    pub(super) fn writes(&self) -> u64 {
        match self {
            Session::Redis(_) => 0,
            Session::Nats(session) => session.writes(),
        }
    }
}
