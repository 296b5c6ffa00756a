//! Two services that are not ours, and read HTTP/1.1 in their own ways: node's and nginx.

use super::authorization_server::node;
use super::program::Program;
use super::temporary::Folder;
use super::{eventually, free_port};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::net::TcpStream;

/// A running service that tells what it got.
pub struct Service {
    /// What it is called in a message.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// The process.
    pub program: Program,
    log: Option<PathBuf>,
    _folder: Folder,
}

/// A request as a service read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// How long its content was.
    pub length: usize,
}

impl Service {
    /// node's, in `tests/npm/origin.mjs`, with more paths to try.
    pub async fn node() -> Service {
        let mut program = Program::start(&mut node("origin.mjs"));
        let port = |line: &str| serde_json::from_str::<Value>(line).ok()?["port"].as_u64();
        let port = program.hear("the service to listen", port).await;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        Service { name: "node", address, program, log: None, _folder: Folder::new() }
    }

    /// nginx, which answers everything with 200.
    pub async fn nginx() -> Service {
        let folder = Folder::new();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let at = folder.write("index.html", "").parent().unwrap().to_owned();
        let path = folder.write("nginx.conf", &nginx_config(address, &at));
        let program = super::tool("bin/nginx");
        let program = Program::start(
            Command::new(program).arg("-e").arg("stderr").arg("-p").arg(&at).arg("-c").arg(&path),
        );
        let listens = async || TcpStream::connect(address).await.ok();
        eventually("nginx to listen", listens).await;
        Service { name: "nginx", address, program, log: Some(at.join("access.log")), _folder: folder }
    }

    /// Everything it got so far.
    pub fn seen(&self) -> Vec<Seen> {
        let log = match &self.log {
            Some(path) => std::fs::read_to_string(path).unwrap_or_default(),
            None => self.program.output(),
        };
        log.lines().filter_map(|line| seen(&serde_json::from_str(line).ok()?)).collect()
    }
}

fn seen(line: &Value) -> Option<Seen> {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let length = match text("body") {
        Some(body) => body.len(),
        None => usize::try_from(line["length"].as_u64()?).unwrap(),
    };
    Some(Seen { method: text("method")?, target: text("url")?, length })
}

/// `$request_body` is there only where the content is read, for somebody behind: another server of the same nginx.
fn nginx_config(address: SocketAddr, folder: &Path) -> String {
    let behind = folder.join("behind.sock");
    let behind = behind.display();
    let line = json!({ "method": "$request_method", "url": "$request_uri", "body": "$request_body" });
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 256; }}
http {{
  log_format told escape=json '{line}';
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_body_buffer_size 1m;
  server {{
    listen {address};
    merge_slashes off;
    access_log access.log told;
    location / {{ proxy_pass http://unix:{behind}:/; }}
  }}
  server {{
    listen unix:{behind};
    access_log off;
    location / {{ return 200 'ok'; }}
  }}
}}
"
    )
}
