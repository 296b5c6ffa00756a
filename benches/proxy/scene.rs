//! Everybody around the proxies: certificates, an issuer with its keys, tokens, and the processes.

use crate::pki::{Files, Pki};
use bytes::Bytes;
use clinch::cli::holder::{Holder, ProofFor, base64_sha256};
use clinch::pop::Timestamp;
use http::{Request, Response, header};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::{TcpListener, TcpStream};

/// What the token is bound to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A key: every request brings a proof of its own.
    Dpop,
    /// The certificate of the connection.
    Certificate,
}

impl Credential {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Credential::Dpop => "dpop",
            Credential::Certificate => "mtls",
        }
    }
}

/// A proxy under load. Ends with the bench.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    child: Child,
}

pub(crate) struct Scene {
    pub(crate) plain: Proxy,
    pub(crate) clinch: Proxy,
    origin: String,
    pub(crate) issuer: String,
    signer: Holder,
    holders: Vec<(Holder, String)>,
    bound_to_certificate: String,
    pki: Pki,
    pub(crate) service: Proxy,
    /// Where clinch's configuration is, and what it says.
    pub(crate) config: (PathBuf, String),
    files: Files,
}

impl Scene {
    /// Starts everything, with these lines more in clinch's config; returns when clinch is ready.
    pub(crate) async fn start(more: &str) -> Scene {
        Scene::started("", more, &[]).await
    }

    /// The same with these limits.
    pub(crate) async fn with(limits: &str, more: &str) -> Scene {
        Scene::started(limits, more, &[]).await
    }

    /// The same with both proxies as arguments of this command.
    pub(crate) async fn under(tool: &[String]) -> Scene {
        Scene::started("", "", tool).await
    }

    async fn started(limits: &str, more: &str, tool: &[String]) -> Scene {
        let pki = Pki::new();
        let files = Files::write(&pki);
        let signer = Holder::generate();
        let issuer = host_keys(&pki, &signer).await;
        let service = Proxy::announced(own_role(Core::Load, &["service"]));
        let address = service.address.to_string();
        let [certificate, key, ca] = [&files.certificate, &files.key, &files.ca].map(|p| p.to_str().unwrap());
        let mut command = on(Core::Proxy, tool, std::env::current_exe().unwrap());
        command.args(["plain", &address, certificate, key, ca]);
        let plain = Proxy::announced(command);
        let [port, admin] = free_ports();
        let config = CONFIG
            .replace("${port}", &port.to_string())
            .replace("${admin}", &admin.to_string())
            .replace("${service}", &address)
            .replace("${issuer}", &issuer)
            .replace("${limits}", limits)
            + more;
        let config_path = files.directory.join("clinch.yaml");
        let clinch = clinch(&files, &config_path, &config, tool, [port, admin]).await;
        let origin = format!("https://localhost:{port}");
        let holders = (0..=TAKING_TURNS).map(|number| {
            let holder = Holder::generate();
            let token = token(&signer, &issuer, number, json!({"jkt": holder.thumbprint()}));
            (holder, token)
        });
        let holders = holders.collect();
        let bound_to_certificate = bound_token(&signer, &issuer, 99, &pki);
        let config = (config_path, config);
        Scene {
            plain,
            clinch,
            origin,
            issuer,
            signer,
            holders,
            bound_to_certificate,
            pki,
            service,
            config,
            files,
        }
    }

    /// Another clinch for the same requests, with another name for its files and its configuration changed.
    pub(crate) async fn beside(&self, name: &str, tool: &[String], change: impl Fn(&str) -> String) -> Proxy {
        let of_first = |line: &str, key: &str| -> String {
            let at = line.find(key).unwrap() + key.len();
            line[at..].chars().take_while(char::is_ascii_digit).collect()
        };
        let [port, admin] = free_ports();
        let text = &self.config.1;
        let listens = format!("address: 127.0.0.1:{}", of_first(text, "address: 127.0.0.1:"));
        let watched =
            format!("admin: {{ address: \"127.0.0.1:{}", of_first(text, "admin: { address: \"127.0.0.1:"));
        let text = text
            .replace(&listens, &format!("address: 127.0.0.1:{port}"))
            .replace(&watched, &format!("admin: {{ address: \"127.0.0.1:{admin}"));
        let path = self.files.directory.join(format!("{name}.yaml"));
        clinch(&self.files, &path, &change(&text), tool, [port, admin]).await
    }

    /// Another configuration for clinch.
    pub(crate) fn configure(&self, text: &str) {
        replace(&self.config.0, text);
    }

    /// Another certificate for clinch.
    pub(crate) fn renew_certificate(&self) {
        let (certificate, key) = self.pki.another_server();
        replace(&self.files.key, &key);
        replace(&self.files.certificate, &certificate);
    }

    /// The token of this number, bound to the client's certificate.
    pub(crate) fn certificate_bound(&self, number: usize) -> String {
        bound_token(&self.signer, &self.issuer, number, &self.pki)
    }

    /// A request with a token that is bound to the client's certificate.
    pub(crate) fn request_with(&self, token: &str) -> Request<Empty<Bytes>> {
        let url = format!("{}/accounts/7", self.origin);
        let request = Request::get(&url).header(header::HOST, &self.origin["https://".len()..]);
        request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(Empty::new()).unwrap()
    }

    /// One request for clinch; the plain proxy, which looks at nothing, gets the same.
    pub(crate) fn request(&self, credential: Credential, number: usize) -> Request<Empty<Bytes>> {
        match credential {
            Credential::Dpop => self.request_of(number % TAKING_TURNS),
            Credential::Certificate => self.request_with(&self.bound_to_certificate),
        }
    }

    /// A request of this holder.
    pub(crate) fn request_of(&self, number: usize) -> Request<Empty<Bytes>> {
        let (holder, token) = &self.holders[number];
        let url = format!("{}/accounts/7", self.origin);
        let what = ProofFor { method: "GET", url: &url, token: Some(token), nonce: None };
        let request = Request::get(&url)
            .header(header::HOST, &self.origin["https://".len()..])
            .header(header::AUTHORIZATION, format!("DPoP {token}"))
            .header("dpop", holder.prove(what, now()));
        request.body(Empty::new()).unwrap()
    }

    /// The authority's certificate, in DER.
    pub(crate) fn ca(&self) -> &[u8] {
        &self.pki.ca_certificate
    }

    /// TLS 1.3 as every proxy gets it.
    pub(crate) fn client_tls(&self, credential: Credential) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.pki.ca_certificate.clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match credential {
            Credential::Dpop => builder.with_no_client_auth(),
            Credential::Certificate => {
                let (certificate, key) = &self.pki.client;
                let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
                builder.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
            }
        }
    }
}

/// Starts one and waits until it is ready.
async fn clinch(files: &Files, path: &Path, text: &str, tool: &[String], [port, admin]: [u16; 2]) -> Proxy {
    std::fs::write(path, text).unwrap();
    let mut command = on(Core::Proxy, tool, env!("CARGO_BIN_EXE_clinch"));
    command.args(["run", "--config"]).arg(path).env("STATE_DIRECTORY", &files.directory);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let clinch = Proxy { address, child: command.spawn().unwrap() };
    ready(admin).await;
    clinch
}

/// In one step.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::set_permissions(&beside, Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// Microseconds of CPU for one signature check, on the core of the proxies.
pub(crate) fn signature_micros() -> f64 {
    let output = own_role(Core::Proxy, &["signature"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap() / 1000.0
}

impl Proxy {
    /// Starts one that says where it listens.
    pub(crate) fn announced(mut command: Command) -> Proxy {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Proxy { address: line.trim().parse().unwrap(), child }
    }
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who runs where: clinch takes as many threads as it may use cores, and the plain proxy has one.
#[derive(Clone, Copy)]
pub(crate) enum Core {
    Load,
    Proxy,
}

/// This program in another role.
pub(crate) fn own_role(core: Core, role: &[&str]) -> Command {
    let mut command = on(core, &[], std::env::current_exe().unwrap());
    command.args(role);
    command
}

/// The same beside the load, so much nicer than who starts it; less than nothing takes privileges, and is nothing
/// without them.
pub(crate) fn nice_role(nice: &str, role: &[&str]) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", nice, "taskset", "-c", "0"]).arg(std::env::current_exe().unwrap()).args(role);
    command
}

fn on(core: Core, tool: &[String], program: impl AsRef<std::ffi::OsStr>) -> Command {
    let number = match core {
        Core::Load => "0",
        Core::Proxy => "1",
    };
    let mut command = Command::new("taskset");
    command.args(["-c", number]).args(tool).arg(program);
    command
}

/// The issuer's keys over TLS, in this process. Returns the issuer's name.
async fn host_keys(pki: &Pki, signer: &Holder) -> String {
    let key = PrivatePkcs8KeyDer::from(pki.server.1.serialize_der()).into();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![pki.server.0.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut jwk = signer.public_jwk();
    jwk["kid"] = "k".into();
    let keys = json!({ "keys": [jwk] }).to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(|_: Request<Incoming>| {
                let answer = Response::new(Full::new(Bytes::from(keys.clone())));
                async { Ok::<_, Infallible>(answer) }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    });
    name
}

fn bound_token(signer: &Holder, issuer: &str, number: usize, pki: &Pki) -> String {
    token(signer, issuer, number, json!({"x5t#S256": base64_sha256(&pki.client.0)}))
}

fn token(signer: &Holder, issuer: &str, number: usize, confirmation: Value) -> String {
    let mut head = Map::new();
    head.insert("typ".into(), "at+jwt".into());
    head.insert("kid".into(), "k".into());
    let claims = json!({
        "iss": issuer, "aud": "https://api.example.com", "sub": format!("subject-{number}"), "client_id": "app",
        "jti": format!("token-{number}"), "iat": now().as_secs(), "exp": now().as_secs() + 3000,
        "scope": "accounts.read", "cnf": confirmation,
    });
    signer.sign(head, &claims)
}

async fn ready(admin: u16) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", admin)).await
            && let Ok((mut sender, connection)) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
        {
            tokio::spawn(connection);
            let ask = Request::get("/ready").header(header::HOST, "localhost").body(Empty::<Bytes>::new());
            if sender.send_request(ask.unwrap()).await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("clinch did not get ready");
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// So many holders take turns; one more keeps out of it.
pub(crate) const TAKING_TURNS: usize = 16;

const CONFIG: &str = r#"
listen:
  address: 127.0.0.1:${port}
  public_origins: ["https://localhost:${port}"]
  tls: { certificate: server.crt, private_key: server.key, client_certificate: optional, client_ca: [ca.crt] }
  limits: { ${limits} }
upstream: { url: "http://${service}" }
issuers:
  - { issuer: "${issuer}", jwks_uri: "${issuer}/jwks", ca: ca.crt, audiences: ["https://api.example.com"] }
routes:
  - { path: "/accounts/{*rest}", methods: [GET], proof: [dpop, mtls], scopes: [accounts.read] }
telemetry: { log: { level: warn } }
admin: { address: "127.0.0.1:${admin}" }
"#;
