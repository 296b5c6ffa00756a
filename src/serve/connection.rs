//! One connection of a client: served until it ends, idles too long, or the sidecar stops.
//!
//! hyper's own header timeout can't tell an idle connection from a slow header section and has none
//! for HTTP/2, so the time is kept here: [`Watched`](super::watched::Watched) sees the bytes, the proxy
//! reports requests, and [`supervise`] compares both with the limits each time the connection moves or its
//! timer fires.
//! * until the first request, and from the first byte of a header section (HTTP/1.1): `header_timeout`
//! * between requests, and for a peer that takes none of our bytes, be it on one stream: `idle_timeout`
//!
//! When the sidecar stops, HTTP/2 clients are told at once. HTTP/1.1 clients are told with their next
//! response; whoever sends none within [`LINGER`] is closed. So no request is lost to a closing port.

use super::body::Passing;
use super::tunnels::Tunnels;
use super::unreadable::Unreadable;
use crate::config::Limits;
use crate::telemetry::Handshake;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How far the sidecar is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Phase {
    /// Serving.
    Running,
    /// No new connections; what is in flight may end.
    Draining,
    /// Everything ends now.
    Cut,
}

/// What a connection does, in milliseconds since it began. `NEVER` where it does not.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    in_flight: AtomicUsize,
    served: AtomicBool,
    leaving: AtomicBool,
    unread: AtomicBool,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    stalled_since: AtomicU64,
    passing: Mutex<Vec<Weak<Passing>>>,
    /// A response was ended before its end.
    cut_short: AtomicBool,
    supervisor: AtomicWaker,
    /// What is no longer HTTP.
    pub(super) tunnels: Arc<Tunnels>,
    unreadable: OnceLock<Unreadable>,
    /// Not told in any trace yet.
    handshake: Mutex<Option<Handshake>>,
}

impl Activity {
    pub(super) fn new(handshake: Option<Handshake>) -> Arc<Activity> {
        Arc::new(Activity {
            began: Instant::now(),
            in_flight: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            stalled_since: AtomicU64::new(NEVER),
            passing: Mutex::default(),
            cut_short: AtomicBool::new(false),
            supervisor: AtomicWaker::new(),
            tunnels: Arc::default(),
            unreadable: OnceLock::new(),
            handshake: Mutex::new(handshake),
        })
    }
    /// For the first request that is recorded.
    pub(super) fn take_handshake(&self) -> Option<Handshake> {
        self.handshake.lock().take()
    }
    /// A request's header section is complete.
    pub(super) fn request_began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.served.store(true, Relaxed);
        self.head_since.store(NEVER, Relaxed);
    }
    /// A response has ended or was given up.
    pub(super) fn request_ended(&self) {
        self.idle_since.store(self.clock(), Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }
    /// A request was refused whose body the client may still be sending.
    pub(super) fn body_left_unread(&self) {
        self.unread.store(true, Relaxed);
    }
    /// Whether the client may still be sending what nobody will read.
    pub(super) fn is_body_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }
    /// Bytes came from the client.
    pub(super) fn read(&self) {
        if !self.is_busy() && self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(self.clock(), Relaxed);
        }
    }
    /// The client takes our bytes, or does not.
    pub(super) fn wrote(&self, taken: bool) {
        let stalled = self.stalled_since.load(Relaxed) != NEVER;
        match (taken, stalled) {
            (true, true) => self.stalled_since.store(NEVER, Relaxed),
            (false, false) => self.stalled_since.store(self.clock(), Relaxed),
            (true, false) | (false, true) => {}
        }
    }
    /// A response begins whose client may not take it.
    pub(super) fn watch(&self, response: Weak<Passing>) {
        let mut passing = self.passing.lock();
        if passing.len() == passing.capacity() {
            passing.retain(|one| one.strong_count() > 0);
        }
        passing.push(response);
    }
    /// A response was ended before its end: over HTTP/1.1 the connection ends with it, whatever is still to be sent.
    pub(super) fn cut_short(&self) {
        self.cut_short.store(true, Relaxed);
        self.supervisor.wake();
    }
    /// Gives up the responses of which the client takes nothing.
    fn cut(&self, patience: Duration) {
        let passing: Vec<_> = self.passing.lock().iter().filter_map(Weak::upgrade).collect();
        passing.iter().for_each(|one| one.cut(patience));
    }
    fn is_stalled(&self, limits: &Limits) -> bool {
        let since = self.stalled_since.load(Relaxed);
        since != NEVER && self.after(since, limits.idle_timeout) <= Instant::now()
    }
    /// Whether the next response is the last one.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }
    /// What came instead of a request, if that is how the connection ended; the first of it.
    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable.get().copied()
    }
    fn ended(&self, how: &hyper::Result<()>, http2: bool) {
        let unreadable = how.as_ref().err().and_then(|e| Unreadable::of(e, self.is_in_head(http2)));
        if let Some(unreadable) = unreadable {
            let _ = self.unreadable.set(unreadable);
        }
    }
    fn time_up(&self, limits: &Limits, http2: bool) {
        if self.is_in_head(http2) && self.due(limits, http2).is_some_and(|due| due <= Instant::now()) {
            let _ = self.unreadable.set(Unreadable::Late);
        }
    }
    /// Whether a header section has begun and is not complete, where that can be told.
    fn is_in_head(&self, http2: bool) -> bool {
        !http2 && !self.is_busy() && self.head_since.load(Relaxed) != NEVER
    }
    fn clock(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER)
    }
    /// When the connection is to end if nothing happens; `None` while it is at work.
    fn due(&self, limits: &Limits, http2: bool) -> Option<Instant> {
        let stalled = self.stalled_since.load(Relaxed);
        if stalled != NEVER {
            return Some(self.after(stalled, limits.idle_timeout));
        }
        if self.is_busy() {
            return None;
        }
        if !self.served.load(Relaxed) {
            return Some(self.after(0, limits.header_timeout));
        }
        let head = self.head_since.load(Relaxed);
        if head != NEVER && !http2 {
            return Some(self.after(head, limits.header_timeout));
        }
        Some(self.after(self.idle_since.load(Relaxed), limits.idle_timeout))
    }
    fn after(&self, millis: u64, timeout: Duration) -> Instant {
        self.began + Duration::from_millis(millis) + timeout
    }
}

/// Polls a connection to its end, and ends it when its time is over: `wind_up` lets it finish what it is at.
pub(super) async fn supervise<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    wind_up: fn(Pin<&mut C>),
    activity: &Activity,
    limits: &Limits,
    http2: bool,
    mut phase: watch::Receiver<Phase>,
) {
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(Instant::now() + limits.header_timeout));
    let mut stage = Stage::Open;
    if *phase.borrow() != Phase::Running {
        phase.mark_changed();
    }
    loop {
        let moved = poll_fn(|cx| {
            activity.supervisor.register(cx.waker());
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                activity.ended(&ended, http2);
                return Poll::Ready(Event::Ended);
            }
            if !http2 && activity.cut_short.load(Relaxed) {
                return Poll::Ready(Event::Ended);
            }
            let due =
                activity.due(limits, http2).filter(|due| stage == Stage::Open && *due < timer.deadline());
            if let Some(due) = due {
                timer.as_mut().reset(due);
            }
            timer.as_mut().poll(cx).map(|()| Event::TimeUp)
        });
        let event = tokio::select! {
            biased;
            event = moved => event,
            changed = phase.changed() => match changed.map(|()| *phase.borrow_and_update()) {
                Ok(Phase::Running) => continue,
                Ok(Phase::Draining) => Event::Drain,
                Ok(Phase::Cut) => return activity.tunnels.say_farewell(connection).await,
                Err(_) => Event::Ended,
            },
        };
        let now = Instant::now();
        if let Event::TimeUp = event {
            activity.cut(limits.idle_timeout);
            activity.time_up(limits, http2);
        }
        match (event, stage) {
            (Event::Ended, _) => return,
            (Event::Drain, Stage::Open) if !http2 => {
                activity.leaving.store(true, Relaxed);
                stage = Stage::Lingering;
                timer.as_mut().reset(now + LINGER);
            }
            (Event::Drain, Stage::Closing) => {}
            (Event::TimeUp, Stage::Open) if activity.due(limits, http2).is_none_or(|due| due > now) => {
                timer.as_mut().reset(activity.due(limits, http2).unwrap_or(now + limits.idle_timeout));
            }
            (Event::TimeUp, Stage::Closing) if !activity.is_busy() || activity.is_stalled(limits) => return,
            (Event::TimeUp, Stage::Closing) => timer.as_mut().reset(now + LAST_WORDS),
            (Event::Drain | Event::TimeUp, Stage::Open | Stage::Lingering) => {
                stage = Stage::Closing;
                wind_up(connection.as_mut());
                let patience = if activity.served.load(Relaxed) { LAST_WORDS } else { NO_WORDS };
                timer.as_mut().reset(now + patience);
            }
        }
    }
}

enum Event {
    Ended,
    TimeUp,
    Drain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Lingering,
    Closing,
}

const NEVER: u64 = u64::MAX;

/// How long an idle HTTP/1.1 connection stays when the sidecar stops.
const LINGER: Duration = Duration::from_secs(1);

/// How long the last bytes of a closing connection may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The same for one that never asked for anything.
const NO_WORDS: Duration = Duration::from_millis(500);
