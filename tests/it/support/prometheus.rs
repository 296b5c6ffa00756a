//! A real Prometheus that scrapes one sidecar every second and evaluates the rules that are shipped.

use super::program::Program;
use super::temporary::Folder;
use super::wire::{Answer, plain_get};
use super::{eventually, free_port, tool};
use serde_json::Value;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// A running server; killed on drop.
pub struct Prometheus {
    address: SocketAddr,
    _program: Program,
    _folder: Folder,
}

impl Prometheus {
    /// Starts it, with the rules of this folder.
    pub async fn scraping(admin: SocketAddr, rules: &Path) -> Prometheus {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = Folder::new();
        let rules = rules.display();
        let config = folder.write(
            "prometheus.yaml",
            &format!(
                "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ['{rules}/rules.yaml', '{rules}/alerts.yaml']
scrape_configs:
  - job_name: clinch
    static_configs: [{{ targets: ['{admin}'] }}]
"
            ),
        );
        let mut command = Command::new(tool("bin/prometheus"));
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.at("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--enable-feature=exemplar-storage");
        let mut program = Program::start(&mut command);
        eventually("Prometheus to be ready", async || {
            assert!(!program.has_ended(), "Prometheus ended:\n{}", program.output());
            plain_get(address, "/-/ready").await.filter(|answer| answer.status == 200)
        })
        .await;
        Prometheus { address, _program: program, _folder: folder }
    }

    /// What a query has now.
    ///
    /// # Errors
    /// What Prometheus says against it.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.api(&format!("query?query={}", encoded(expression))).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// What the API has under this path.
    ///
    /// # Errors
    /// What Prometheus says against it.
    pub async fn api(&self, path: &str) -> Result<Value, String> {
        let answer: Option<Answer> = plain_get(self.address, &format!("/api/v1/{path}")).await;
        let body = answer.expect("Prometheus answers").body;
        let mut document: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        if document["status"] == "success" { Ok(document["data"].take()) } else { Err(body) }
    }
}

/// For a query string.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}
