//! What a connection of a client does, as far as its time depends on it: bytes that come and go, header sections, requests
//! and responses. [`supervise`](super::connection::supervise) compares it with the limits.

use super::body::Passing;
use super::given_up::GivenUp;
use super::sections::Seen;
use super::settled::Shown;
use super::tunnels::Tunnels;
use super::unreadable::Unreadable;
use crate::config::Limits;
use crate::telemetry::Handshake;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// What a connection does, in milliseconds since it began. `NEVER` where it does not.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    in_flight: AtomicUsize,
    pub(super) served: AtomicBool,
    shown: Mutex<Shown>,
    /// Others need its place.
    sent_away: AtomicBool,
    /// What comes now belongs to the next request.
    bodiless: AtomicBool,
    pub(super) leaving: AtomicBool,
    unread: AtomicBool,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    /// The same over HTTP/2.
    section_since: AtomicU64,
    stalled_since: AtomicU64,
    passing: Mutex<Vec<Weak<Passing>>>,
    pub(super) given_up: GivenUp,
    /// A response was ended before its end.
    pub(super) cut_short: AtomicBool,
    pub(super) supervisor: AtomicWaker,
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
            shown: Mutex::new(Shown::Nothing),
            sent_away: AtomicBool::new(false),
            bodiless: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            section_since: AtomicU64::new(NEVER),
            stalled_since: AtomicU64::new(NEVER),
            passing: Mutex::default(),
            given_up: GivenUp::default(),
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
    pub(super) fn request_began(&self, has_body: bool) {
        self.bodiless.store(!has_body, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.served.store(true, Relaxed);
        self.head_since.store(NEVER, Relaxed);
    }
    /// A response has ended or was given up.
    pub(super) fn request_ended(&self) {
        let now = self.clock();
        self.idle_since.store(now, Relaxed);
        if self.head_since.load(Relaxed) != NEVER {
            self.head_since.store(now, Relaxed);
        }
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
        let is_of_head = !self.is_busy() || self.bodiless.load(Relaxed);
        if is_of_head && self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(self.clock(), Relaxed);
        }
    }
    /// The same over HTTP/2.
    pub(super) fn read_section(&self, seen: Seen) {
        let was_open = self.section_since.load(Relaxed) != NEVER;
        match (seen.open, was_open && !seen.ended) {
            (true, false) => self.section_since.store(self.clock(), Relaxed),
            (false, _) if was_open => self.section_since.store(NEVER, Relaxed),
            (true, true) | (false, _) => {}
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
    /// Gives up the responses of which the client takes nothing. True if the connection has to go for one of them.
    pub(super) fn cut(&self, patience: Duration) -> bool {
        let passing: Vec<_> = self.passing.lock().iter().filter_map(Weak::upgrade).collect();
        passing.iter().filter(|one| one.cut(patience)).count() > 0 || self.tunnels.is_one_late()
    }
    pub(super) fn is_stalled(&self, limits: &Limits) -> bool {
        let since = self.stalled_since.load(Relaxed);
        since != NEVER && self.after(since, limits.idle_timeout) <= Instant::now()
    }
    /// Whether the next response is the last one.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// What a request of its has shown.
    pub(super) fn shows(&self, shown: Shown) {
        let mut before = self.shown.lock();
        *before = shown.max(*before);
    }
    pub(super) fn shown(&self) -> Shown {
        *self.shown.lock()
    }
    /// Since when it does nothing, if that is so; nothing that was refused counts for anything.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = match self.shown() {
            Shown::Nothing => 0,
            Shown::Admitted | Shown::Granted => self.idle_since.load(Relaxed),
        };
        (!self.is_busy()).then(|| self.after(since, Duration::ZERO))
    }
    /// It has to make room for others as soon as it does nothing.
    pub(super) fn send_away(&self) {
        self.sent_away.store(true, Relaxed);
        self.supervisor.wake();
    }
    pub(super) fn is_about_to_go(&self) -> bool {
        self.sent_away.load(Relaxed) && !self.is_busy()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }
    /// Whether anything of a response is still to come or to be sent, be it that the socket or the client's window has no
    /// room for its end.
    pub(super) fn is_sending(&self) -> bool {
        self.is_busy()
            || self.stalled_since.load(Relaxed) != NEVER
            || self.passing.lock().iter().any(|one| one.strong_count() > 0)
    }
    /// What came instead of a request, if that is how the connection ended; the first of it.
    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable.get().copied()
    }
    pub(super) fn ended(&self, how: &hyper::Result<()>, http2: bool) {
        let unreadable = how.as_ref().err().and_then(|e| Unreadable::of(e, self.is_in_head(http2)));
        if let Some(unreadable) = unreadable {
            let _ = self.unreadable.set(unreadable);
        }
    }
    pub(super) fn time_up(&self, limits: &Limits, http2: bool) {
        let in_head = self.is_in_head(http2)
            && !self.is_about_to_go()
            && self.due(limits, http2).is_some_and(|due| due <= Instant::now());
        if in_head || self.is_late(limits) {
            let _ = self.unreadable.set(Unreadable::Late);
        }
    }
    /// Whether a header section of HTTP/2 took too long.
    pub(super) fn is_late(&self, limits: &Limits) -> bool {
        self.section_due(limits).is_some_and(|due| due <= Instant::now())
    }
    pub(super) fn section_due(&self, limits: &Limits) -> Option<Instant> {
        let since = self.section_since.load(Relaxed);
        (since != NEVER).then(|| self.after(since, limits.header_timeout))
    }
    /// Whether a header section has begun and is not complete, where that can be told.
    pub(super) fn is_in_head(&self, http2: bool) -> bool {
        !http2 && !self.is_busy() && self.head_since.load(Relaxed) != NEVER
    }
    pub(super) fn clock(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER)
    }
    /// When the connection is to end if nothing happens; `None` while it is at work.
    pub(super) fn due(&self, limits: &Limits, http2: bool) -> Option<Instant> {
        let (section, other) = (self.section_due(limits), self.due_otherwise(limits, http2));
        section.into_iter().chain(other).min()
    }
    pub(super) fn due_otherwise(&self, limits: &Limits, http2: bool) -> Option<Instant> {
        if self.is_about_to_go() {
            return Some(self.began);
        }
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
    pub(super) fn after(&self, millis: u64, timeout: Duration) -> Instant {
        self.began + Duration::from_millis(millis) + timeout
    }
}

const NEVER: u64 = u64::MAX;
