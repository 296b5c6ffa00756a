//! A real nats-server or redis-server, from `target/test-tools/bin`, and somebody who publishes to it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends with the bench, and its files with it.
pub(crate) struct Bus {
    child: Child,
    port: u16,
    directory: PathBuf,
    publisher: Option<Publisher>,
}

enum Publisher {
    Nats(async_nats::Client),
    Redis(redis::aio::MultiplexedConnection),
}

impl Bus {
    /// `nats` or `redis`.
    pub(crate) async fn start(name: &str) -> Bus {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bus-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let number = port.to_string();
        let arguments: &[&str] = match name {
            "nats" => &["-a", "127.0.0.1", "-p", &number, "-js", "-sd", "."],
            _ => &["--bind", "127.0.0.1", "--port", &number, "--save", "", "--appendonly", "yes"],
        };
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin");
        let child = Command::new(tools.join(format!("{name}-server")))
            .args(arguments)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server and redis-server are needed: `make test-tools` installs them");
        let mut bus = Bus { child, port, directory, publisher: None };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "the bus does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        bus.publisher = Some(match name {
            "nats" => Publisher::Nats(async_nats::connect(bus.url("nats")).await.unwrap()),
            _ => {
                let client = redis::Client::open(bus.url("redis")).unwrap();
                Publisher::Redis(client.get_multiplexed_async_connection().await.unwrap())
            }
        });
        bus
    }

    /// What clinch is told of it.
    pub(crate) fn config(&self) -> String {
        let feed = match self.publisher {
            Some(Publisher::Nats(_)) => format!(
                "kind: nats, url: '{}', stream: CLINCH_REVOCATIONS, subject: 'clinch.revocations.>'",
                self.url("nats")
            ),
            Some(Publisher::Redis(_)) | None => {
                format!("kind: redis, url: '{}', stream: revoked", self.url("redis"))
            }
        };
        format!("revocation:\n  accept_plain: true\n  feed: {{ {feed} }}\n")
    }

    /// Hands it to the bus.
    pub(crate) async fn publish(&mut self, event: String) {
        match self.publisher.as_mut().unwrap() {
            Publisher::Nats(client) => {
                client.publish("clinch.revocations.plain", event.into()).await.unwrap();
            }
            Publisher::Redis(connection) => {
                let mut add = redis::cmd("XADD");
                add.arg("revoked").arg("*").arg("event").arg(event);
                add.exec_async(connection).await.unwrap();
            }
        }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
