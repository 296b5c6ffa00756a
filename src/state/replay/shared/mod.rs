//! Used proofs, remembered by all replicas together: this process's own memory first, then one store.
//!
//! Decides whether any replica has seen a proof (RFC 9449 section 11.1), for the life of the proof. Our own
//! memory is asked first: a replay at the same replica costs no network, and a store that was emptied does not
//! make us forget what we know. Then the store does one atomic step, put if absent.
//!
//! **Clocks.** Replicas' clocks differ (RP-014), so the store's clock is the common one. A proof is judged by
//! our clock as ever, and it passes only if by the store's clock, too, it can be in its window: then the store
//! keeps it exactly until no replica can accept it any more, however far their clocks are apart.
//!
//! **Loss.** A store that was emptied, restarted or replaced can't tell what was used before (RP-006). With
//! each answer comes the time since when its memory has been whole, and proofs that may have been used before it
//! are asked to come back with a nonce. Without one that lasts for `max_future` after the loss. A store that was
//! never known to have lost anything is new: only proofs from before its first second are in doubt then. A loss
//! under our eyes is an alarm: one line, one count.
//!
//! **No answer** is a refusal, 503, unless the operator said `on_unavailable: allow`. The wait is bounded by
//! `timeout`; the first doubt ends the connection, and until a new one has proved itself nobody waits at all.
//! A proof whose answer was lost counts as spent. Where we decide alone, our own memory must be old enough.

mod claim;
mod history;
mod link;
mod session;

pub(super) use claim::{Answer, Arrival, Claim, Trouble, Verdict};

use super::era::{Era, REPLICAS_CLOCKS};
use super::memory::Memory;
use crate::config::{self, OnUnavailable};
use crate::pop::dpop::Proof;
use crate::pop::policy::DpopPolicy;
use crate::pop::{Denial, Timestamp};
use crate::telemetry::{ReplayMetrics, Steps};
use link::Link;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A memory that replicas share, and this process's own in front of it.
#[derive(Debug)]
pub struct Shared {
    memory: Memory,
    era: Era,
    link: Arc<Link>,
    keeper: tokio::task::AbortHandle,
    on_unavailable: OnUnavailable,
    metrics: ReplayMetrics,
    /// When the log last said that we decide alone.
    told: Mutex<Option<Instant>>,
}

impl Shared {
    /// Begins to connect, in the background and for ever.
    ///
    /// # Errors
    /// What no waiting would heal: an address or trust anchors that do not work.
    pub(super) fn start(
        config: &config::SharedReplay,
        (memory, era): (Memory, Era),
        dpop: &DpopPolicy,
        metrics: ReplayMetrics,
    ) -> anyhow::Result<Shared> {
        let link = Arc::new(Link::new(config, dpop, metrics.clone())?);
        let keeper = tokio::spawn(Arc::clone(&link).keep()).abort_handle();
        let on_unavailable = config.on_unavailable;
        Ok(Shared { memory, era, link, keeper, on_unavailable, metrics, told: Mutex::default() })
    }

    /// Remembers a proof here and in the store (DPOP-41, FAPI-10).
    ///
    /// # Errors
    /// [`Denial::ProofReplayed`] if it is remembered already, here or there; [`Denial::ProofBeforeStart`] if it may
    /// have been used before the store's memory began; [`Denial::ProofExpired`] and [`Denial::ProofNotYetValid`]
    /// by the store's clock; [`Denial::ReplayUnavailable`] without an answer (RP-007); [`Denial::ReplayFull`] as
    /// our own memory says.
    pub async fn claim(&self, proof: &Proof, now: Timestamp, steps: Steps<'_>) -> Result<(), Denial> {
        let mut step = steps.ask("claim proof");
        step.say("clinch.replay.store", self.link.store());
        let verdict = self.decide(proof, now).await;
        step.ends(&verdict);
        verdict
    }

    async fn decide(&self, proof: &Proof, now: Timestamp) -> Result<(), Denial> {
        self.memory.insert(proof.key(), proof.jti(), proof.acceptable_until(), now)?;
        let asked = Instant::now();
        let answer = self.link.ask(&Claim::of(proof)).await;
        let now = now.plus(asked.elapsed());
        match answer.map(|answer| (answer.verdict, doubts(proof, &answer, now))) {
            Ok((Verdict::Fresh, false)) => {}
            Ok((Verdict::Fresh, true)) => return Err(Denial::ProofBeforeStart),
            Ok((Verdict::Seen, _)) => return Err(Denial::ProofReplayed),
            Ok((Verdict::Late, _)) => return Err(Denial::ProofExpired),
            Ok((Verdict::Early, _)) => return Err(Denial::ProofNotYetValid),
            Err(_) => self.decide_alone(proof)?,
        }
        self.era.admitted(proof);
        Ok(())
    }

    /// How the store is.
    pub fn status(&self) -> StoreStatus {
        self.link.status()
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn settled_at(&self) -> Timestamp {
        self.era.settled_at()
    }

    /// Without a store, and without leave to decide alone, every request with a proof would be answered with
    /// 503: then other replicas, if theirs is in reach, had better be asked. A short interruption is not
    /// worth that.
    pub(super) fn is_ready(&self) -> bool {
        match (self.on_unavailable, self.status()) {
            (OnUnavailable::Allow, _) => true,
            (OnUnavailable::Deny, StoreStatus::Off | StoreStatus::Up | StoreStatus::Reconnecting) => true,
            (OnUnavailable::Deny, StoreStatus::Connecting | StoreStatus::Down) => false,
        }
    }

    /// Without an answer: our own memory has not seen the proof, and that may be enough.
    fn decide_alone(&self, proof: &Proof) -> Result<(), Denial> {
        match self.on_unavailable {
            OnUnavailable::Deny => return Err(Denial::ReplayUnavailable),
            OnUnavailable::Allow if self.era.doubts(proof) => return Err(Denial::ProofBeforeStart),
            OnUnavailable::Allow => {}
        }
        self.metrics.admitted_alone.inc();
        let mut told = self.told.lock();
        if told.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let so_far = self.metrics.admitted_alone.get();
            tracing::warn!(
                so_far,
                "proofs pass on this replica's own memory: the replay store is out of reach"
            );
        }
        Ok(())
    }
}

/// Whether the proof may have been used before the store's memory began (RP-006). A nonce tells when a proof was
/// made, by the clock of whoever issued it: ours, by which the store's answer is `now`, or another replica's.
fn doubts(proof: &Proof, answer: &Answer, now: Timestamp) -> bool {
    match proof.nonce() {
        Some(nonce) if nonce.ours => nonce.issued_at <= now.minus(answer.at.since(answer.sure)),
        Some(nonce) => nonce.issued_at <= answer.sure.plus(REPLICAS_CLOCKS),
        None if answer.lost => proof.acceptable_from() <= answer.since,
        None => proof.issued_at().as_secs() < answer.since.as_secs(),
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// A shared store as seen by `/ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// There is none.
    Off,
    /// It has not been reached yet.
    Connecting,
    /// It answers.
    Up,
    /// It was lost a moment ago.
    Reconnecting,
    /// It has been out of reach for longer than that.
    Down,
}

impl StoreStatus {
    /// In `/ready` and as a metric label.
    pub fn name(self) -> &'static str {
        match self {
            StoreStatus::Off => "off",
            StoreStatus::Connecting => "connecting",
            StoreStatus::Up => "up",
            StoreStatus::Reconnecting => "reconnecting",
            StoreStatus::Down => "down",
        }
    }
}

/// How often the log says that we decide alone.
const TELL_EVERY: Duration = Duration::from_secs(10);
