//! A sidecar that makes way for the next one while everybody goes on asking.

use crate::support::clinch::Clinch;
use crate::support::free_port;
use crate::support::load::{Plan, Traffic};
use crate::support::program::Program;
use crate::support::proof::ProofKey;
use crate::support::stage::{Setting, Stage, VERIFIED};
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

const RESTARTS: usize = 10;

/// The socket is somebody else's, as systemd's would be: what comes while nobody accepts waits.
#[tokio::test(flavor = "multi_thread")]
async fn ten_restarts_on_a_socket_that_is_handed_over_cost_no_request() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let stage = stage(address, "").await;
    let start = || {
        let mut shell = Command::new("sh");
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run --config \"$1\"";
        shell.args(["-c", script, env!("CARGO_BIN_EXE_clinch")]).arg(stage.config_file());
        shell.env("STATE_DIRECTORY", stage.folder()).env("NO_COLOR", "1");
        Program::start_reading(&mut shell, OwnedFd::from(socket.try_clone().unwrap()).into())
    };
    let first = Clinch::of(start()).await;
    println!("{}", succeed_each_other(&stage, address, first, async || Clinch::of(start()).await).await);
}

/// `listen.reuse_port`: the next one binds the same address and is ready before the one before it is told to end.
#[tokio::test(flavor = "multi_thread")]
async fn ten_restarts_at_a_shared_address_cost_no_request() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let stage = stage(address, "reuse_port: true").await;
    let first = Clinch::start(&stage.config_file()).await;
    let next = async || Clinch::start(&stage.config_file()).await;
    println!("{}", succeed_each_other(&stage, address, first, next).await);
}

/// A stage whose own sidecar is not needed: those of the test have its configuration, but for the address.
async fn stage(address: SocketAddr, listen: &str) -> Stage {
    let mut stage =
        Stage::set(Setting { tls: VERIFIED, listen: listen.to_owned(), ..Setting::default() }).await;
    stage.clinch.program.kill();
    stage.configure(&stage.config().replacen("address: 127.0.0.1:0", &format!("address: {address}"), 1));
    stage
}

async fn succeed_each_other(
    stage: &Stage,
    address: SocketAddr,
    mut clinch: Clinch,
    mut next: impl AsyncFnMut() -> Clinch,
) -> String {
    let key = ProofKey::new();
    let plan = Plan {
        address,
        tls: stage.anonymous(),
        token: stage.token(&json!({ "jkt": key.thumbprint() })),
        key,
        path: "/either/1",
        pause: Duration::from_millis(5),
    };
    let traffic = Traffic::of(plan, 4);
    for _ in 0..RESTARTS {
        traffic.flows(50).await;
        let after = next().await;
        clinch.program.terminate();
        assert!(clinch.program.ended().await.success(), "{}", clinch.program.output());
        let output = clinch.program.output();
        assert!(!output.contains("are cut"), "nothing outlives the drain: {output}");
        clinch = after;
    }
    traffic.flows(50).await;
    let tally = traffic.end().await;
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert!(tally.connections > 8, "{tally:?}");
    // What was sent again had not been acted on.
    assert_eq!(stage.service.count() as u64, tally.good);
    format!(
        "{} requests over {RESTARTS} restarts: none failed, {} were asked for a nonce",
        tally.good, tally.challenged
    )
}
