//! The test rig: real parts on ephemeral loopback ports, every one of them gone when its value is dropped.
//!
//! [`World`](world::World) puts the parts together as an operator would.

pub mod api_server;
pub mod authority;
pub mod authorization_server;
pub mod clinch;
pub mod echo;
pub mod frames;
pub mod front;
pub mod grpc;
pub mod haproxy;
pub mod injector;
pub mod issuer;
pub mod keys;
pub mod link;
pub mod load;
pub mod namespaces;
pub mod nats;
pub mod oauth_client;
pub mod otlp;
pub mod pki;
pub mod program;
pub mod prometheus;
pub mod proof;
pub mod redis;
pub mod reviewer;
pub mod services;
pub mod signals;
pub mod sockets;
pub mod stage;
pub mod stream;
pub mod streaming;
pub mod temporary;
pub mod transmitter;
pub mod wire;
pub mod workload_api;
pub mod world;

mod tests;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before the test is lost.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until there is an answer; panics with `what` when patience is over.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port on loopback for a program that can't choose one by itself, or must have the same one again. It is below those
/// that the kernel chooses (`ip_local_port_range`), so that nobody takes it while nobody listens.
pub fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time begin at different places.
    let first = u16::try_from(std::process::id() % 60 * 100).unwrap();
    let tried = std::iter::repeat_with(|| TRIED.fetch_add(1, Relaxed));
    let mut ports = tried.take(6_000).map(|number| 20_000 + first + number);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a port is free")
}

/// A program or folder under `target/test-tools`. Missing means that the test fails: it is never skipped.
pub fn tool(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(name);
    assert!(path.exists(), "{name} is not installed: run `make test-tools`");
    path
}
