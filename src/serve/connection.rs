//! One connection of a client: served until it ends, idles too long, or the sidecar stops.
//!
//! hyper's own header timeout can't tell an idle connection from a slow header section and has none
//! for HTTP/2, so the time is kept here: [`Watched`](super::watched::Watched) sees the bytes, the proxy
//! reports requests, and [`supervise`] compares both with the limits each time the connection moves or its
//! timer fires.
//! * until the first request, and from the beginning of a header section (HTTP/1.1: at the earliest when the response
//!   before it has ended; HTTP/2: [`sections`](super::sections), whatever else is open): `header_timeout`
//! * for a client of HTTP/2 that [gives up](super::given_up) most of its requests: no more requests, and a moment for the others
//! * between requests, and for a peer that takes none of our bytes, be it on one stream: `idle_timeout`; between requests
//!   less where others need its place ([`settled`](super::settled))
//!
//! When the sidecar stops, HTTP/2 clients are told at once. HTTP/1.1 clients are told with their next
//! response; whoever sends none within [`LINGER`] is closed. So no request is lost to a closing port. And no end of a
//! response: until it is sent its connection stays, however slowly the client takes it, but for the limits above.
//!
//! A response of HTTP/2 that is not taken can't be ended alone, so its connection has to go: for new requests at once,
//! for those beside it when they have ended or had as long as a stop leaves them.

use super::activity::Activity;
use super::current::Current;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
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

/// Polls a connection to its end, and ends it when its time is over, by the limits in force: `wind_up` lets it finish what it
/// is at.
pub(super) async fn supervise<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    wind_up: fn(Pin<&mut C>),
    activity: &Activity,
    current: &Current,
    http2: bool,
    mut phase: watch::Receiver<Phase>,
) {
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(Instant::now() + current.proxy().limits.header_timeout));
    let mut stage = Stage::Open;
    let mut last = None;
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
            if http2 && stage == Stage::Open && activity.given_up.are_too_many() {
                return Poll::Ready(Event::Drain);
            }
            let due = activity.due(&current.proxy().limits, http2);
            if let Some(due) = due.filter(|due| stage == Stage::Open && *due < timer.deadline()) {
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
        let (now, proxy) = (Instant::now(), current.proxy());
        let limits = &proxy.limits;
        let mut stuck = false;
        if let Event::TimeUp = event {
            stuck = activity.cut(limits.idle_timeout);
            activity.time_up(limits, http2);
        }
        let given_up = http2 && activity.given_up.are_too_many();
        let over = given_up
            || activity.is_late(limits)
            || activity.is_stalled(limits)
            || stuck && (!activity.is_busy() || now >= *last.get_or_insert(now + proxy.drain()));
        match (event, stage) {
            (Event::Ended, _) => return,
            (Event::Drain, Stage::Open) if !http2 => {
                activity.leaving.store(true, Relaxed);
                stage = Stage::Lingering;
                timer.as_mut().reset(now + LINGER);
            }
            (Event::Drain, Stage::Closing) => {}
            (Event::TimeUp, Stage::Open)
                if !stuck && activity.due(limits, http2).is_none_or(|due| due > now) =>
            {
                timer.as_mut().reset(activity.due(limits, http2).unwrap_or(now + limits.idle_timeout));
            }
            (Event::TimeUp, Stage::Closing) if over || !activity.is_sending() => return,
            (Event::TimeUp, Stage::Closing) => timer.as_mut().reset(now + LAST_WORDS),
            (Event::Drain | Event::TimeUp, Stage::Open | Stage::Lingering) => {
                stage = Stage::Closing;
                wind_up(connection.as_mut());
                let listens = activity.served.load(Relaxed) && !stuck && !activity.is_about_to_go();
                let patience = if listens { LAST_WORDS } else { NO_WORDS };
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

/// How long an idle HTTP/1.1 connection stays when the sidecar stops.
const LINGER: Duration = Duration::from_secs(1);

/// How long the last bytes of a closing connection may take.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// The same for one that never asked for anything, does not take what it asked for, or keeps others waiting.
const NO_WORDS: Duration = Duration::from_millis(500);
