//! A real nats-server with JetStream.

use super::program::Program;
use super::temporary::Folder;
use super::{free_port, tool};
use std::process::Command;

/// A running server; killed on drop.
pub struct Nats {
    port: u16,
    store: Folder,
    program: Program,
}

impl Nats {
    /// Starts one, with the stream that revocations are published to.
    pub async fn start() -> Nats {
        let nats = Nats::on_store(Folder::new()).await;
        nats.make_stream().await;
        nats
    }

    /// Starts one with these settings of its own configuration file, and no stream.
    pub async fn start_with(settings: &str) -> Nats {
        let store = Folder::new();
        store.write(SETTINGS, settings);
        Nats::on_store(store).await
    }

    async fn on_store(store: Folder) -> Nats {
        let port = free_port();
        Nats { port, program: run(&store, port).await, store }
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `nats://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again after [`Nats::kill`], with the same port and store.
    pub async fn restart(&mut self) {
        self.program = run(&self.store, self.port).await;
    }

    /// Deletes the stream and all it has.
    pub async fn delete_stream(&self) {
        let client = async_nats::connect(self.url()).await.unwrap();
        async_nats::jetstream::new(client).delete_stream(STREAM).await.unwrap();
    }

    /// What an operator does once with `nats stream add`.
    pub async fn make_stream(&self) {
        let client = async_nats::connect(self.url()).await.unwrap();
        let stream = async_nats::jetstream::stream::Config {
            name: STREAM.to_string(),
            subjects: vec![SUBJECT.to_string()],
            ..Default::default()
        };
        async_nats::jetstream::new(client).get_or_create_stream(stream).await.unwrap();
    }
}

/// The stream of DESIGN section 5.
pub const STREAM: &str = "CLINCH_REVOCATIONS";
/// Its subjects.
pub const SUBJECT: &str = "clinch.revocations.>";

const SETTINGS: &str = "nats.conf";

async fn run(store: &Folder, port: u16) -> Program {
    let mut command = Command::new(tool("bin/nats-server"));
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(store.at("jetstream"));
    let settings = store.at(SETTINGS);
    if settings.exists() {
        command.arg("-c").arg(settings);
    }
    let mut program = Program::start(&mut command);
    program.hear("NATS to be ready", |line| line.contains("Server is ready").then_some(())).await;
    program
}
