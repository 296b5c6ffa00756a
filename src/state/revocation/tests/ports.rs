//! Ports for servers that tests kill and start again.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// A port on loopback that a server has again after a restart: below those that the kernel chooses, so that nobody takes
/// it while nobody listens.
pub(in crate::state::revocation) fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 60 * 100).unwrap();
    let tried = std::iter::repeat_with(|| TRIED.fetch_add(1, Relaxed));
    let mut ports = tried.take(6_000).map(|number| 20_000 + first + number);
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}
