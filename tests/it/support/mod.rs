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

use std::path::PathBuf;
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

/// A program or folder under `target/test-tools`. Missing means that the test fails: it is never skipped.
pub fn tool(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(name);
    assert!(path.exists(), "{name} is not installed: run `make test-tools`");
    path
}
