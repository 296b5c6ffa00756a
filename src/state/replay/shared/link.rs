//! The connection to the store: kept in the background, proved before it is used, given up at the first doubt.
//!
//! There is a session or there is none, and a request without one does not wait: that is the whole circuit. A
//! session ends with the first answer that does not come in time, the first error, or a heartbeat that fails;
//! the next one begins after a pause that grows, and only when a probe was remembered within the same time that
//! requests have.

use super::history::{History, Loss};
use super::session::{Session, Target};
use super::{Answer, Arrival, Claim, StoreStatus, Trouble, Verdict};
use crate::config::SharedReplay;
use crate::pop::Timestamp;
use crate::pop::policy::DpopPolicy;
use crate::telemetry::ReplayMetrics;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The one connection of this process, or the attempts to have one.
#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    name: &'static str,
    patience: Duration,
    max_future: Duration,
    state: watch::Sender<State>,
    history: Mutex<History>,
    metrics: ReplayMetrics,
}

#[derive(Clone, Debug)]
enum State {
    /// Never reached.
    Connecting,
    Up(Arc<Session>),
    /// Out of reach since then.
    Lost(Instant, Trouble),
}

impl Link {
    pub(super) fn new(
        config: &SharedReplay,
        dpop: &DpopPolicy,
        metrics: ReplayMetrics,
    ) -> anyhow::Result<Link> {
        Ok(Link {
            target: Target::new(config, dpop)?,
            name: config.store.name(),
            patience: config.timeout,
            max_future: dpop.max_future,
            state: watch::Sender::new(State::Connecting),
            history: Mutex::default(),
            metrics,
        })
    }

    /// Which store it is, by the name in the configuration.
    pub(super) fn store(&self) -> &'static str {
        self.name
    }

    /// Asks the store; without a session at once in vain, else within the time that the operator grants.
    pub(super) async fn ask(&self, claim: &Claim) -> Result<Answer, Trouble> {
        let Some(session) = self.session() else {
            self.metrics.asked(Trouble::Unreached.name(), None);
            return Err(Trouble::Unreached);
        };
        let begun = Instant::now();
        match timeout(self.patience, session.claim(claim)).await.unwrap_or(Err(Trouble::Slow)) {
            Ok(mut answer) => {
                self.metrics.asked(answer.verdict.name(), Some(begun.elapsed()));
                let loss = self.history.lock().answered(&mut answer);
                self.tell_loss(loss);
                Ok(answer)
            }
            Err(trouble) => {
                self.metrics.asked(trouble.name(), None);
                self.give_up(&session, trouble.clone());
                Err(trouble)
            }
        }
    }

    pub(super) fn status(&self) -> StoreStatus {
        match &*self.state.borrow() {
            State::Connecting => StoreStatus::Connecting,
            State::Up(_) => StoreStatus::Up,
            State::Lost(since, _) if since.elapsed() < GRACE => StoreStatus::Reconnecting,
            State::Lost(..) => StoreStatus::Down,
        }
    }

    /// Connects, attends to the connection until there is a doubt, and begins anew, for ever.
    pub(super) async fn keep(self: Arc<Link>) {
        let (mut failures, mut told) = (0, String::new());
        loop {
            let begun = Instant::now();
            let trouble = match self.begin().await {
                Ok(session) => {
                    tracing::info!(store = self.name, "the replay store is reached");
                    told.clear();
                    self.attend(&session).await
                }
                Err(trouble) => trouble,
            };
            failures = if begun.elapsed() > SETTLED { 0 } else { failures + 1 };
            let trouble = trouble.to_string();
            if told != trouble {
                tracing::warn!(
                    store = self.name,
                    trouble,
                    "the replay store is out of reach and is tried again"
                );
                told = trouble;
            }
            sleep(backoff(failures)).await;
        }
    }

    /// A session that has proved itself.
    async fn begin(&self) -> Result<Arc<Session>, Trouble> {
        let connecting = timeout(CONNECTING, self.target.connect(CONNECTING));
        let (session, arrival) = connecting.await.unwrap_or(Err(Trouble::Slow))?;
        let probe = probe(arrival.at);
        let proved = timeout(self.patience, session.claim(&probe)).await.unwrap_or(Err(Trouble::Slow))?;
        if proved.verdict != Verdict::Fresh {
            return Err(Trouble::failed("it does not remember"));
        }
        let loss = self.history.lock().arrived(&arrival);
        self.tell_loss(loss);
        self.tell_clock(&arrival);
        let session = Arc::new(session);
        self.state.send_replace(State::Up(Arc::clone(&session)));
        Ok(session)
    }

    /// Returns when the session is over, with the reason.
    async fn attend(&self, session: &Arc<Session>) -> Trouble {
        let mut watched = self.state.subscribe();
        // A claim may have ended it before we looked.
        while self.trouble().is_none() {
            tokio::select! {
                _ = watched.changed() => {}
                trouble = session.ended() => self.give_up(session, trouble),
                () = sleep(HEARTBEAT) => {
                    let checked = timeout(self.patience.max(HEARTBEAT), session.check()).await;
                    if let Err(trouble) = checked.unwrap_or(Err(Trouble::Slow)) {
                        self.give_up(session, trouble);
                    }
                }
            }
        }
        self.trouble().unwrap_or(Trouble::Unreached)
    }

    fn trouble(&self) -> Option<Trouble> {
        match &*self.state.borrow() {
            State::Lost(_, trouble) => Some(trouble.clone()),
            State::Connecting | State::Up(_) => None,
        }
    }

    fn session(&self) -> Option<Arc<Session>> {
        match &*self.state.borrow() {
            State::Up(session) => Some(Arc::clone(session)),
            State::Connecting | State::Lost(..) => None,
        }
    }

    /// Ends this session, unless it was ended already.
    fn give_up(&self, session: &Arc<Session>, trouble: Trouble) {
        self.state.send_if_modified(|state| {
            let current = matches!(state, State::Up(current) if Arc::ptr_eq(current, session));
            if current {
                self.history.lock().left(session.writes());
                *state = State::Lost(Instant::now(), trouble);
            }
            current
        });
    }

    fn tell_loss(&self, loss: Option<Loss>) {
        if let Some(loss) = loss {
            self.metrics.losses.inc();
            let max_future_s = self.max_future.as_secs();
            let what = loss.name();
            tracing::warn!(store = self.name, what, max_future_s, "the replay store has lost its memory");
        }
    }

    /// A proof must be in its window by the store's clock, too.
    fn tell_clock(&self, arrival: &Arrival) {
        let ours = Timestamp::from_system(SystemTime::now());
        let apart = ours.since(arrival.at).max(arrival.at.since(ours));
        if apart > self.max_future.max(Duration::from_secs(1)) {
            let apart_s = apart.as_secs();
            tracing::warn!(store = self.name, apart_s, "the replay store's clock and ours are apart");
        }
    }
}

/// A proof that nobody made.
fn probe(at: Timestamp) -> Claim {
    let mut random = [0; 16];
    // Should there be no randomness, the probe is taken for a replay and the session is not used.
    let _ = rand::fill(&mut random);
    Claim { key: URL_SAFE_NO_PAD.encode(random), from: at.minus(CONNECTING), until: at.plus(CONNECTING) }
}

/// 25, 50, 100 ... milliseconds, at most one second; less up to a half, so that replicas do not come at once.
fn backoff(failures: u32) -> Duration {
    let pause = Duration::from_millis(25 << failures.min(6)).min(Duration::from_secs(1));
    let mut random = [0; 1];
    let _ = rand::fill(&mut random);
    pause.mul_f64(1.0 - f64::from(random[0]) / 512.0)
}

/// For everything up to the first question.
const CONNECTING: Duration = Duration::from_secs(2);
/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A session that lived for so long was a good one: the next attempt comes soon.
const SETTLED: Duration = Duration::from_secs(5);
/// An interruption up to here leaves `/ready` as it is: a failover is over by then.
const GRACE: Duration = Duration::from_secs(5);
