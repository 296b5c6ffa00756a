//! Granted requests that are open: an event that revokes their token ends them, and so does its `exp`.
//!
//! Decides which open requests are to be ended, and why (DESIGN section 8; ATTACKS RV-039). How a response
//! or a stream ends is its own affair: it is woken, and asks. A request is entered before its token is looked
//! up in the index, and open requests are judged after an event has been entered, so that one of the two
//! always sees the other.
//!
//! A thread of its own judges, because a busy runtime would let a thief's stream wait for its turn. Silence of
//! the feed ends nothing: what is stale refuses new requests only.

use crate::pop::Timestamp;
use crate::pop::access_token::AccessToken;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use slab::Slab;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

/// Why an open request is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its token was revoked.
    Revoked,
    /// Its token has expired.
    Expired,
}

impl Cut {
    /// The stable name: metric label and log field.
    pub fn reason(self) -> &'static str {
        match self {
            Cut::Revoked => "revoked",
            Cut::Expired => "expired",
        }
    }
}

/// A granted request, open until this is dropped.
pub struct OpenRequest {
    open: Arc<Open>,
    place: usize,
    registry: Arc<OpenRequests>,
}

struct Open {
    token: Arc<AccessToken>,
    began: Instant,
    /// Since when its response is under way, where that must not outlive the token.
    stream_since: OnceLock<Instant>,
    /// 0, or a [`Cut`] and one.
    cut: AtomicU8,
    waker: AtomicWaker,
}

impl OpenRequest {
    /// The token it was granted for.
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.open.token
    }

    /// How long it has been open.
    pub fn age(&self) -> Duration {
        self.open.began.elapsed()
    }

    /// From now on it ends when its token expires: its response is under way. A request that waits for its
    /// response does not, for it was made in time.
    pub fn ends_with_its_token(&self) {
        let _ = self.open.stream_since.set(Instant::now());
        self.registry.tick();
    }

    /// Whether it is to be ended, and why: this never changes back.
    pub fn cut(&self) -> Option<Cut> {
        match self.open.cut.load(SeqCst) {
            0 => None,
            1 => Some(Cut::Revoked),
            _ => Some(Cut::Expired),
        }
    }

    /// Who is woken when it is to be ended, in the place of whom was before.
    pub fn wake(&self, waker: &Waker) {
        self.open.waker.register(waker);
    }

    /// Ready when it is to be ended.
    pub fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Cut> {
        self.wake(cx.waker());
        self.cut().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.registry.shard(&self.open).lock().try_remove(self.place);
        // Who is woken may hold this request.
        drop(self.open.waker.take());
    }
}

impl fmt::Debug for OpenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRequest").field("token", &self.open.token).field("cut", &self.cut()).finish()
    }
}

impl Open {
    fn end(&self, why: Cut) {
        let mark = match why {
            Cut::Revoked => 1,
            Cut::Expired => 2,
        };
        if self.cut.compare_exchange(0, mark, SeqCst, SeqCst).is_ok() {
            self.waker.wake();
        }
    }

    /// A response that began a moment before or after `exp` has that moment for its last bytes.
    fn has_expired(&self, now: Timestamp) -> bool {
        let since = self.stream_since.get();
        since.is_some_and(|since| since.elapsed() >= LAST_BYTES) && self.token.still_valid(now).is_err()
    }
}

/// All open requests. Bounded by what the listener admits.
pub(super) struct OpenRequests {
    shards: Box<[Mutex<Slab<Arc<Open>>>]>,
    /// Counts the events that were applied.
    news: AtomicU64,
    /// Nobody looks at the clock, because there is no stream.
    resting: AtomicBool,
    stopped: AtomicBool,
    judge: OnceLock<Thread>,
}

impl Default for OpenRequests {
    fn default() -> OpenRequests {
        OpenRequests {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            news: AtomicU64::new(0),
            resting: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            judge: OnceLock::new(),
        }
    }
}

impl OpenRequests {
    /// A request with this token, to be entered before the index is asked about the token.
    pub(super) fn enter(self: &Arc<Self>, token: &Arc<AccessToken>) -> OpenRequest {
        let open = Arc::new(Open {
            token: Arc::clone(token),
            began: Instant::now(),
            stream_since: OnceLock::new(),
            cut: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        let place = self.shard(&open).lock().insert(Arc::clone(&open));
        fence(SeqCst);
        OpenRequest { open, place, registry: Arc::clone(self) }
    }

    /// An event has been applied: what is open is judged again, soon.
    pub(super) fn news(&self) {
        self.news.fetch_add(1, SeqCst);
        self.rouse();
    }

    /// Starts the judge; `is_revoked` asks the index.
    pub(super) fn start(
        self: &Arc<Self>,
        is_revoked: impl Fn(&AccessToken) -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        let registry = Arc::clone(self);
        let judge = thread::Builder::new().name("clinch-cut".to_owned()).spawn(move || {
            registry.run(&is_revoked, || Timestamp::from_system(SystemTime::now()));
        })?;
        let _ = self.judge.set(judge.thread().clone());
        // News and streams of the meantime had nobody to rouse.
        self.rouse();
        Ok(())
    }

    /// Ends the judge.
    pub(super) fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.rouse();
    }

    fn run(&self, is_revoked: &dyn Fn(&AccessToken) -> bool, clock: impl Fn() -> Timestamp) {
        let mut known = 0;
        while !self.stopped.load(SeqCst) {
            let news = self.news.load(SeqCst);
            fence(SeqCst);
            let began = Instant::now();
            let asked = (news != known).then_some(is_revoked);
            // A panic has told of itself; it must not end the watch over the others.
            let judged = catch_unwind(AssertUnwindSafe(|| self.judge(asked, clock())));
            let streams = judged.unwrap_or(true);
            if news != std::mem::replace(&mut known, news) {
                // Events come in swarms, and a long list takes a while: a tenth of one processor at most.
                thread::sleep((began.elapsed() * 9).clamp(PAUSE, TICK));
            } else if streams {
                thread::park_timeout(TICK);
            } else if !self.resting.swap(true, SeqCst) {
                // One more look, at what began in the meantime.
            } else {
                thread::park();
            }
        }
    }

    /// Judges everything that is open; whether there is a stream whose time will come.
    fn judge(&self, is_revoked: Option<&dyn Fn(&AccessToken) -> bool>, now: Timestamp) -> bool {
        let mut streams = false;
        let mut some = Vec::new();
        for shard in &self.shards {
            // Nobody waits for the judge's work, only for the making of this list.
            some.extend(shard.lock().iter().map(|(_, open)| Arc::clone(open)));
            for open in some.drain(..) {
                streams |= open.stream_since.get().is_some();
                if is_revoked.is_some_and(|is_revoked| is_revoked(&open.token)) {
                    open.end(Cut::Revoked);
                } else if open.has_expired(now) {
                    open.end(Cut::Expired);
                }
            }
        }
        streams
    }

    /// A stream began: the clock counts.
    fn tick(&self) {
        fence(SeqCst);
        if self.resting.load(Relaxed) && self.resting.swap(false, SeqCst) {
            self.rouse();
        }
    }

    fn rouse(&self) {
        if let Some(judge) = self.judge.get() {
            judge.unpark();
        }
    }

    fn shard(&self, open: &Arc<Open>) -> &Mutex<Slab<Arc<Open>>> {
        &self.shards[Arc::as_ptr(open) as usize / size_of::<Open>() % SHARDS]
    }
}

impl fmt::Debug for OpenRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        f.debug_struct("OpenRequests").field("open", &open).finish_non_exhaustive()
    }
}

const SHARDS: usize = 64;
/// The least time between two looks at all that is open.
const PAUSE: Duration = Duration::from_millis(10);
/// How late an expiry is seen, and the longest pause after many events.
const TICK: Duration = Duration::from_millis(50);
/// What an ordinary response gets for its bytes when its token expires meanwhile.
const LAST_BYTES: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
