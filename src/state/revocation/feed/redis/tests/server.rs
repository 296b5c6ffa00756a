//! A real redis-server, as a master, a replica, a node of a cluster or a Sentinel.

use crate::config;
use crate::state::revocation::event::Fact;
use crate::state::revocation::tests::{Directory, config, event, free_port, ready, start, until};
use crate::state::revocation::{FeedStatus, Revocations};
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, FromRedisValue, cmd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The key of the stream in every test.
pub(super) const STREAM: &str = super::super::DEFAULT_STREAM;

/// On a port that stays its own over restarts.
pub(super) struct Server {
    pub(super) directory: Directory,
    pub(super) port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Without persistence: a restart begins with nothing.
    pub(super) async fn running() -> Server {
        Server::with(&[]).await
    }

    /// With further arguments.
    pub(super) async fn with(arguments: &[&str]) -> Server {
        let mut server = Server::stopped(arguments);
        server.start().await;
        server
    }

    /// With nothing that the test may ask it itself.
    pub(super) fn guarded(arguments: &[(&str, &str)]) -> Server {
        let arguments: Vec<&str> = arguments.iter().flat_map(|(key, value)| [*key, *value]).collect();
        let mut server = Server::stopped(&arguments);
        server.launch();
        server
    }

    pub(super) fn stopped(arguments: &[&str]) -> Server {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Server { directory: Directory::new(), port: free_port(), arguments, child: None }
    }

    pub(super) async fn start(&mut self) {
        self.launch();
        let url = self.url();
        until("redis-server", || {
            let client = ::redis::Client::open(url.as_str()).unwrap();
            client.get_connection().is_ok_and(|mut c| cmd("PING").exec(&mut c).is_ok())
        })
        .await;
    }

    /// Does not wait for it.
    pub(super) fn launch(&mut self) {
        let mut command = Command::new(binary());
        if self.arguments.first().is_some_and(|first| first == "sentinel.conf") {
            command.args(["sentinel.conf", "--sentinel"]);
        } else {
            command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
            command.args(&self.arguments);
        }
        let child = command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A Sentinel that watches the master `clinch`.
    pub(super) async fn sentinel(master: &Server) -> Server {
        let mut sentinel = Server::stopped(&["sentinel.conf"]);
        let text = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor clinch 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds clinch 500\nsentinel failover-timeout clinch 2000\n",
            sentinel.port, master.port
        );
        std::fs::write(sentinel.directory.path().join("sentinel.conf"), text).unwrap();
        sentinel.start().await;
        sentinel
    }

    /// A follower of its stream that has caught up.
    pub(super) async fn follow(&self) -> Arc<Revocations> {
        follow(&self.url()).await
    }

    pub(super) async fn publish(&self, jti: &str) -> String {
        publish(&self.url(), jti).await.unwrap()
    }

    /// One command of somebody else.
    pub(super) async fn tell<T: FromRedisValue>(&self, line: &str) -> T {
        self.try_tell(line).await.unwrap()
    }

    pub(super) async fn try_tell<T: FromRedisValue>(&self, line: &str) -> ::redis::RedisResult<T> {
        let mut words = line.split(' ');
        let mut command = cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut self.raw().await).await
    }

    /// Patient: the machine may be busy, and a server that changes its role resets connections.
    pub(super) async fn raw(&self) -> MultiplexedConnection {
        let patience = Some(Duration::from_secs(20));
        let patient =
            AsyncConnectionConfig::new().set_response_timeout(patience).set_connection_timeout(patience);
        let client = ::redis::Client::open(self.url()).unwrap();
        for _ in 0..PERSISTENCE {
            if let Ok(connection) = client.get_multiplexed_async_connection_with_config(&patient).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

const PERSISTENCE: usize = 20;

pub(super) fn target(url: &str) -> config::Redis {
    let address = config::RedisAddress::parse(url).unwrap();
    config::Redis { address, ca: Vec::new(), stream: STREAM.to_owned() }
}

/// Of a feed that turns stale soon.
pub(super) fn settings(url: &str) -> config::Revocation {
    let mut config = config(config::Feed::Redis(target(url)));
    config.max_staleness = Duration::from_secs(4);
    config.max_entries = 200_000;
    config
}

pub(super) async fn follow(url: &str) -> Arc<Revocations> {
    let revocations = start(&settings(url)).unwrap();
    ready(&revocations).await;
    revocations
}

pub(super) async fn publish(url: &str, jti: &str) -> anyhow::Result<String> {
    super::super::publish(&target(url), &event(Fact::TokenId, jti).to_json()).await
}

pub(super) async fn becomes(revocations: &Revocations, status: FeedStatus) {
    until(status.name(), || revocations.status() == status).await;
}

fn binary() -> PathBuf {
    let named = std::env::var_os("CLINCH_REDIS_SERVER").map(PathBuf::from);
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = || {
        let directories = std::env::split_paths(&path).chain([PathBuf::from(tools)]);
        directories.map(|directory| directory.join("redis-server")).find(|file| file.is_file())
    };
    named.or_else(installed).expect("redis-server is needed: `make test-tools` installs it")
}
