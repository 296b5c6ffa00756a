//! The audit log of the shipped binary: what is in it, and what becomes of it when things go wrong.

mod failing;
mod handshakes;
mod kept;
mod read;
mod slow;
mod survives;
mod touched;

use crate::support::clinch::{Clinch, command, finish};
use crate::support::oauth_client::HOST;
use crate::support::program::Program;
use crate::support::stage::{Setting, Stage, VERIFIED};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bytes::Bytes;
use clinch::state::audit::chain::{self, FIRST};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A stage whose sidecar keeps a log.
struct Audited {
    stage: Stage,
    key: KeyPair,
}

impl Audited {
    /// With these keys in the section `audit`, and the configuration changed like this.
    async fn stage(more: &str, change: impl Fn(String) -> String) -> Audited {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let files = vec![("audit.key", key.serialize_pem())];
        let mut stage = Stage::set(Setting { tls: VERIFIED, files, ..Setting::default() }).await;
        stage.clinch.program.terminate();
        assert!(stage.clinch.program.ended().await.success());
        let audit =
            format!("audit: {{ file: audit.jsonl, sign_key_file: audit.key, replica: one, {more} }}\n");
        stage.configure(&(change(stage.config()) + &audit));
        Audited { stage, key }
    }

    async fn start(more: &str) -> Audited {
        let mut audited = Audited::stage(more, |text| text).await;
        audited.stage.restart().await;
        audited
    }

    /// A sidecar whose files may have so many blocks: as if the disk were full.
    async fn start_on_a_small_disk(more: &str, blocks: usize) -> Audited {
        let mut audited = Audited::stage(more, |text| text).await;
        audited.restart_on_a_small_disk(blocks).await;
        audited
    }

    async fn restart_on_a_small_disk(&mut self, blocks: usize) {
        let mut shell = std::process::Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks} && exec \"$0\" run --config \"$1\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_clinch")]).arg(self.stage.config_file());
        shell.env("STATE_DIRECTORY", self.stage.folder()).env("NO_COLOR", "1");
        self.stage.clinch = Clinch::of(Program::start(&mut shell)).await;
    }

    /// There is room on the disk again.
    fn give_room(&self) {
        let id = self.stage.clinch.program.id().to_string();
        let limits =
            std::process::Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:"]).status();
        assert!(limits.expect("prlimit is part of util-linux: apt-get install util-linux").success());
    }

    /// Ends the sidecar in order, and lets the command line judge what it has written.
    async fn end(&mut self) {
        self.stage.clinch.program.terminate();
        let status = self.stage.clinch.program.ended().await;
        assert!(status.success(), "{}", self.stage.clinch.program.output());
        let mut verify = command();
        verify.args(["audit", "verify", "--closed", "--key"]).arg(self.stage.folder().join("audit.key"));
        let verified = finish(verify.args(self.files())).await;
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }

    /// Every complete record, of closed files and the open one; each must follow the one before.
    fn records(&self) -> Vec<Value> {
        self.follow(&self.files())
    }

    /// The files of the log, in their order.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.stage.folder()).unwrap().map(|entry| entry.unwrap().path());
        let mut closed: Vec<_> = entries.filter(|path| is_closed(path)).collect();
        closed.sort();
        closed.push(self.stage.folder().join("audit.jsonl"));
        closed
    }

    fn follow(&self, files: &[PathBuf]) -> Vec<Value> {
        let (mut prev, mut sequence, mut records) = (FIRST, 0, Vec::new());
        for file in files {
            let text = std::fs::read(file).unwrap();
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
                let seal = chain::unseal(&line[..line.len() - 1]).unwrap_or_else(|broken| {
                    panic!("{broken:?}: {}", String::from_utf8_lossy(line));
                });
                assert_eq!((seal.prev, seal.sequence), (prev, sequence + 1), "{}", file.display());
                (prev, sequence) = (seal.hash, seal.sequence);
                if let Some((signed, signature)) = seal.signed {
                    let public = UnparsedPublicKey::new(&ED25519, self.key.der_bytes());
                    public.verify(signed, &signature).expect("a good signature");
                }
                let record: Value = serde_json::from_slice(line).unwrap();
                assert_eq!(seal.signed.is_some(), record["kind"] == "checkpoint");
                records.push(record);
            }
        }
        records
    }

    /// So many requests that are refused for want of a route, on few connections; each takes the most room that one can.
    async fn flood(&self, count: usize) {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let stream = self.stage.connect(&self.stage.anonymous()).await.unwrap();
            clients.spawn(async move {
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                let path = format!("/nowhere/{}", "x".repeat(3000));
                for _ in 0..count / CLIENTS {
                    let request =
                        http::Request::get(&path).header("host", HOST).body(Empty::<Bytes>::new()).unwrap();
                    let answer = sender.send_request(request).await.unwrap();
                    assert_eq!(answer.status(), 403);
                    answer.into_body().collect().await.unwrap();
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }
}

fn is_closed(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    let digits = name.strip_prefix("audit.").and_then(|name| name.strip_suffix(".jsonl"));
    digits.is_some_and(|digits| digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn of_kind<'r>(records: &'r [Value], kind: &str) -> Vec<&'r Value> {
    records.iter().filter(|record| record["kind"] == kind).collect()
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().unwrap()).collect()
}

const CLIENTS: usize = 4;
