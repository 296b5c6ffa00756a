//! A WebSocket that passes through (RFC 6455), from the service's agreement until both sides have ended.
//!
//! What passes is the client's word on a connection of its own, which no proof covers. So it ends when the token is
//! revoked, and when it expires unless the route says otherwise; and when the sidecar stops, or nothing passes.

mod leaving;
mod way;

use super::connection::Phase;
use super::cut::Cuttable;
use super::in_flight::InFlight;
use super::upstream::Socket;
use super::websocket::{self, GOING_AWAY, POLICY_VIOLATION};
use crate::state::revocation::Cut;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
pub(super) use leaving::Leaving;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use way::Way;

/// A request that became a WebSocket: in flight until both sides have ended.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) service: Service,
    pub(super) in_flight: InFlight,
    pub(super) cuttable: Option<Cuttable>,
    /// The client's side is a stream of HTTP/2.
    pub(super) is_stream: bool,
    /// How long one side may take nothing.
    pub(super) patience: Duration,
}

/// What the service has agreed to speak on.
#[derive(Debug)]
pub(super) enum Service {
    /// A connection of HTTP/1.1, once it is that no longer.
    Connection(OnUpgrade),
    /// A stream of HTTP/2.
    Stream(Box<Socket>),
}

/// Why a tunnel ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Both sides have, or one broke off.
    Closed,
    /// The token is good no longer.
    Cut(Cut),
    /// The drain time of the sidecar is over.
    Stopped,
    /// Nothing has passed for too long, or one side takes nothing.
    Idle,
}

impl Tunnel {
    /// Joins both sides until they end or have to. What the client has yet to take then is left.
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) -> Option<Leaving> {
        let Tunnel { client, service, mut in_flight, cuttable, is_stream, patience } = self;
        let both = timeout(SWITCH, async { tokio::try_join!(client, service.opened()) }).await;
        let Ok(Ok((client, service))) = both else { return None };
        let mut joined = Joined::new(client, service, patience, is_stream);
        if let Some(cuttable) = &cuttable {
            cuttable.streams();
        }
        let end = tokio::select! {
            biased;
            end = joined.pass(cuttable.as_ref()) => end,
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => End::Stopped,
        };
        let left = match end {
            End::Closed => {
                in_flight.span.whole();
                joined.closed()
            }
            End::Cut(why) => {
                in_flight.cut(why, cuttable.as_ref());
                let reason = match why {
                    Cut::Revoked => "token revoked",
                    Cut::Expired => "token expired",
                };
                joined.farewell(POLICY_VIOLATION, reason).await
            }
            End::Stopped => {
                in_flight.span.broken("stopped");
                joined.farewell(GOING_AWAY, "going away").await
            }
            End::Idle => {
                in_flight.span.broken("idle");
                joined.farewell(GOING_AWAY, "idle").await
            }
        };
        Some(left.holding(in_flight.kept.share_only()))
    }
}

impl Service {
    async fn opened(self) -> hyper::Result<Side> {
        Ok(match self {
            Service::Connection(upgrade) => Box::new(TokioIo::new(upgrade.await?)),
            Service::Stream(socket) => socket,
        })
    }
}

/// One end of the tunnel.
type Side = Box<dyn Duplex>;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Both sides, and what is on its way between them.
struct Joined {
    client: Side,
    service: Side,
    up: Way,
    down: Way,
    patience: Duration,
}

impl Joined {
    fn new(client: Upgraded, service: Side, patience: Duration, is_stream: bool) -> Joined {
        let client = Box::new(TokioIo::new(client));
        let last = if is_stream { LAST } else { usize::MAX };
        Joined { client, service, up: Way::ending(usize::MAX), down: Way::ending(last), patience }
    }

    async fn pass(&mut self, cuttable: Option<&Cuttable>) -> End {
        let mut timer = pin!(sleep_until(self.due()));
        poll_fn(|cx| {
            // First, so that nothing passes after it.
            if let Some(Poll::Ready(why)) = cuttable.map(|cuttable| cuttable.open.poll_cut(cx)) {
                return Poll::Ready(End::Cut(why));
            }
            let up = self.up.poll(cx, &mut self.client, &mut self.service);
            let down = self.down.poll(cx, &mut self.service, &mut self.client);
            match (up, down) {
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(End::Closed),
                (Poll::Ready(Ok(())) | Poll::Pending, _) => {}
            }
            let due = self.due();
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            while timer.as_mut().poll(cx).is_ready() {
                let due = self.due();
                if due <= Instant::now() {
                    return Poll::Ready(End::Idle);
                }
                timer.as_mut().reset(due);
            }
            Poll::Pending
        })
        .await
    }

    /// When it ends if nothing moves.
    fn due(&self) -> Instant {
        let moved = self.up.moved.max(self.down.moved);
        let one_ended = self.up.ended || self.down.ended;
        let mut due = moved + if one_ended { LAST_WORDS } else { self.patience.max(SILENCE) };
        for way in [&self.up, &self.down] {
            if !way.waiting().is_empty() {
                due = due.min(way.moved + self.patience);
            }
        }
        due
    }

    /// One side has ended, or both have.
    fn closed(self) -> Leaving {
        let waiting = self.down.waiting();
        let last = waiting[..waiting.len().min(LAST)].to_vec();
        Leaving::of(self.client, last)
    }

    /// Tells both sides why it ends, where that can be put between two frames, and closes both. The client gets the
    /// rest of a frame that has begun, if it comes at once; the service gets nothing more of the client's.
    async fn farewell(mut self, code: u16, reason: &str) -> Leaving {
        let finish = self.down.finish_frame(&mut self.service, &mut self.client);
        let _ = timeout(A_MOMENT, finish).await;
        let last = if self.down.frames.at_boundary() {
            websocket::close(code, reason, None)
        } else {
            let rest = self.down.frames.rest_in(self.down.waiting());
            self.down.waiting()[..rest.min(LAST)].to_vec()
        };
        let mut leaving = Leaving::of(self.client, last);
        let mut key = [0; 4];
        let masked = self.up.frames.at_boundary() && aws_lc_rs::rand::fill(&mut key).is_ok();
        let to_service = async {
            if masked {
                self.service.write_all(&websocket::close(code, reason, Some(key))).await?;
            }
            self.service.shutdown().await?;
            // A stream's last bytes are on their way only; that the service ends, too, says that they have arrived.
            to_the_end(&mut self.service).await
        };
        let to_client = async {
            leaving.told().await;
            // Closing with bytes unread would take the last ones from under the client's eyes.
            to_the_end(&mut leaving.client).await
        };
        let _ = tokio::join!(timeout(A_MOMENT, to_service), timeout(LINGER, to_client));
        leaving
    }
}

/// Takes whatever still comes.
async fn to_the_end(side: &mut Side) -> io::Result<()> {
    let mut nowhere = [0; 4096];
    while side.read(&mut nowhere).await? > 0 {}
    Ok(())
}

/// What is written last to a stream, by itself, in bytes: HTTP/2 takes a piece from us when the one before is on its way,
/// and so when it says that the stream has ended, no more than this waits.
const LAST: usize = 512;
/// How long either connection may take to become something else.
const SWITCH: Duration = Duration::from_secs(5);
/// How long nothing may pass, at least: WebSockets are often silent, and their clients often gone without a word.
const SILENCE: Duration = Duration::from_secs(300);
/// What one side gets when the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What a frame that has begun gets to end, and the service to take our last.
const A_MOMENT: Duration = Duration::from_millis(50);
/// What the client gets to read our last frame and close.
const LINGER: Duration = Duration::from_secs(1);
