//! `listen.limits`: bounds that an honest client never meets, and that an operator can't set by mistake.

use super::Checks;
use crate::config::file::{Limits as Written, Rate as WrittenRate, Upstream};
use crate::config::words::quoted;
use crate::config::{Limits, Rate};
use std::time::Duration;

/// The limits; `None` if something in them is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written, upstream: &Upstream) -> Option<Limits> {
    let path = |key| format!("listen.limits.{key}");
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let header_timeout =
        c.within(&path("header_timeout"), written.header_timeout, second, Duration::from_secs(120));
    let idle_timeout = c.within(&path("idle_timeout"), written.idle_timeout, second, hour);
    let body_timeout = c.within(&path("body_timeout"), written.body_timeout, second, hour);
    let bytes = written.header_bytes.0;
    if !(LEAST_HEADER..=MOST_HEADER).contains(&bytes) {
        c.fault(&path("header_bytes"), "out of range")
            .found(quoted(&written.header_bytes.to_string()))
            .expected("a size from 4KiB to 1MiB");
        return None;
    }
    let per_key = written.in_flight_per_key.unwrap_or_else(|| share_of(written, upstream));
    if per_key > written.in_flight {
        c.fault(&path("in_flight_per_key"), "more than there are for all")
            .found(per_key.to_string())
            .expected(format!("at most `in_flight`: {}", written.in_flight));
    }
    Some(Limits {
        connections: usize::try_from(written.connections).ok()?,
        header_bytes: usize::try_from(bytes).ok()?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        in_flight: usize::try_from(written.in_flight).ok()?,
        in_flight_per_key: usize::try_from(per_key).ok()?,
        connections_per_peer: count(written.connections_per_peer),
        handshakes: usize::try_from(written.handshakes).ok()?,
        streams: written.streams,
        body_timeout: body_timeout?,
        requests_per_key: written.requests_per_key.as_ref().and_then(rate),
        failures_per_peer: written.failures_per_peer.as_ref().and_then(rate),
    })
}

/// What leaves others room, in the queue for the service as well (DS-010).
fn share_of(written: &Written, upstream: &Upstream) -> u64 {
    let places = upstream.in_flight.map_or(u64::MAX, |places| places.saturating_add(upstream.queue));
    (places.min(written.in_flight) / 4).max(1)
}

/// A rate whose burst is a second's worth unless something else is said.
fn rate(written: &WrittenRate) -> Option<Rate> {
    let per_second = written.per_second?;
    Some(Rate { per_second, burst: written.burst.unwrap_or(per_second) })
}

/// A number that the shape has bounded already.
pub(super) fn count(written: Option<u64>) -> Option<usize> {
    written.and_then(|number| usize::try_from(number).ok())
}

/// A token and a proof need about 2 KiB; below this, honest clients are refused.
const LEAST_HEADER: u64 = 4 << 10;
const MOST_HEADER: u64 = 1 << 20;
