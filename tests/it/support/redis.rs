//! A real redis-server. Without persistence what it knew is gone when it is killed.

use super::pki::Pki;
use super::program::Program;
use super::temporary::Folder;
use super::{eventually, free_port, tool};
use ::redis::FromRedisValue;
use std::process::Command;

/// A running server; killed on drop.
pub struct Redis {
    port: u16,
    arguments: Vec<String>,
    program: Program,
    _folder: Folder,
}

impl Redis {
    /// Starts one on a free port.
    pub async fn start() -> Redis {
        let (folder, port) = (Folder::new(), free_port());
        Redis::run(port, vec!["--port".into(), port.to_string()], folder).await
    }

    /// Starts one that loses nothing that it confirmed.
    pub async fn start_durable() -> Redis {
        Redis::run_durable(&[]).await
    }

    /// Starts one that copies this one, and waits until it has done so.
    pub async fn start_replica(&self) -> Redis {
        let replica = Redis::run_durable(&["--replicaof", "127.0.0.1", &self.port.to_string()]).await;
        let in_step = async || {
            let told: String = replica.ask("INFO replication").await;
            told.contains("master_link_status:up").then_some(())
        };
        eventually("the replica to be in step", in_step).await;
        replica
    }

    /// Starts one that speaks TLS only, to a user who may do what clinch needs and nothing else.
    pub async fn start_guarded(pki: &Pki, user: &str, password: &str) -> Redis {
        let (folder, port) = (Folder::new(), free_port());
        let path = |name: &str, text: &str| folder.write(name, text).display().to_string();
        let rule = format!("{user} on >{password} ~clinch:replay:* -@all {COMMANDS}");
        let users = path("users.acl", &format!("user default off\nuser {rule}\n"));
        let arguments = [
            ("--port", "0".to_owned()),
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", path("server.crt", &pki.server.certificate)),
            ("--tls-key-file", path("server.key", &pki.server.key)),
            ("--tls-ca-cert-file", path("ca.crt", &pki.ca_pem)),
            ("--tls-auth-clients", "no".to_owned()),
            ("--aclfile", users),
        ];
        let arguments = arguments.into_iter().flat_map(|(key, value)| [key.to_owned(), value]).collect();
        Redis::run(port, arguments, folder).await
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again after [`Redis::kill`], with the same port and what it kept.
    pub async fn restart(&mut self) {
        self.program = program(&self.arguments).await;
    }

    /// FLUSHALL.
    pub async fn flush(&self) {
        self.ask("FLUSHALL").await
    }

    /// One command and its answer.
    pub async fn ask<T: FromRedisValue>(&self, line: &str) -> T {
        let client = ::redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = ::redis::Cmd::new();
        line.split(' ').for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut connection).await.unwrap()
    }

    async fn run_durable(more: &[&str]) -> Redis {
        let (folder, port) = (Folder::new(), free_port());
        let number = port.to_string();
        let kept = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
        let arguments = ["--port", &number].into_iter().chain(kept).chain(more.iter().copied());
        Redis::run(port, arguments.map(str::to_owned).collect(), folder).await
    }

    async fn run(port: u16, particular: Vec<String>, folder: Folder) -> Redis {
        let directory = folder.at("").display().to_string();
        let always = ["--bind", "127.0.0.1", "--save", "", "--dir", &directory];
        let arguments: Vec<String> = always.map(str::to_owned).into_iter().chain(particular).collect();
        Redis { port, program: program(&arguments).await, arguments, _folder: folder }
    }
}

/// What the documentation says that a user needs.
const COMMANDS: &str = "+multi +exec +set +pttl +time +ping +info";

async fn program(arguments: &[String]) -> Program {
    let mut program = Program::start(Command::new(tool("bin/redis-server")).args(arguments));
    program
        .hear("Redis to be ready", |line| line.contains("Ready to accept connections").then_some(()))
        .await;
    program
}
