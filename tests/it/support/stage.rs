//! clinch with an issuer of the test's own: tokens of any binding, any rule for certificates, any service behind it.

use super::clinch::Clinch;
use super::echo::Echo;
use super::issuer::Issuer;
use super::oauth_client::HOST;
use super::pki::Pki;
use super::temporary::Folder;
use super::wire::plain_get;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What differs from stage to stage.
#[derive(Default)]
pub struct Setting {
    /// Lines under `listen.tls`.
    pub tls: &'static str,
    /// Lines under `listen`.
    pub listen: String,
    /// Lines under `dpop`.
    pub dpop: &'static str,
    /// Further files, by name.
    pub files: Vec<(&'static str, String)>,
    /// The service, where it is not the one that echoes.
    pub service: Option<SocketAddr>,
}

/// The parts, running.
pub struct Stage {
    /// Certificates.
    pub pki: Pki,
    /// The service.
    pub service: Echo,
    /// The sidecar.
    pub clinch: Clinch,
    issuer: Issuer,
    config: PathBuf,
    folder: Folder,
}

/// Client certificates are asked for, and judged by `ca.crt`.
pub const VERIFIED: &str = "client_certificate: optional\n    client_ca: [ca.crt]";
/// Client certificates are asked for, and judged by nobody.
pub const UNCHECKED: &str = "client_certificate: optional\n    client_chain: unchecked";

impl Stage {
    /// Starts everything and waits until it is ready.
    pub async fn set(setting: Setting) -> Stage {
        let (pki, folder, service) = (Pki::new(), Folder::new(), Echo::start().await);
        let issuer = Issuer::start(&pki).await;
        let behind = setting.service.unwrap_or(service.address);
        let config = config(&setting, &issuer.name, behind);
        for (name, text) in
            [("ca.crt", &pki.ca_pem)].into_iter().chain(setting.files.iter().map(|(n, t)| (*n, t)))
        {
            folder.write(name, text);
        }
        folder.write("server.crt", &pki.server.certificate);
        folder.write("server.key", &pki.server.key);
        let config = folder.write("clinch.yaml", &config);
        let clinch = Clinch::start(&config).await;
        Stage { pki, service, clinch, issuer, config, folder }
    }

    /// Puts a new sidecar with the same files in the old one's place.
    pub async fn restart(&mut self) {
        self.clinch = Clinch::start(&self.config).await;
    }

    /// The configuration as it stands.
    pub fn config(&self) -> String {
        std::fs::read_to_string(&self.config).unwrap()
    }

    /// The configuration with these settings of the service in the place of its time to answer.
    pub fn config_with_service(&self, settings: &str) -> String {
        let text = self.config();
        assert!(text.contains(TIME_TO_ANSWER), "something else is said of the service already: {text}");
        text.replace(TIME_TO_ANSWER, settings)
    }

    /// Where it stands.
    pub fn config_file(&self) -> PathBuf {
        self.config.clone()
    }

    /// Where all files of the stage are.
    pub fn folder(&self) -> PathBuf {
        self.folder.at("")
    }

    /// Writes another configuration, as an editor does: beside it, and then in its place.
    pub fn configure(&self, text: &str) {
        self.write("clinch.yaml", text);
    }

    /// Puts another file in the place of one that the configuration names.
    pub fn write(&self, name: &str, text: &str) {
        let beside = self.folder.write(&format!("{name}.new"), text);
        std::fs::rename(beside, self.folder.at(name)).unwrap();
    }

    /// Changes several files by one link, as Kubernetes does with a volume; `version`: a new number each time.
    pub fn swap(&self, files: &[(&str, &String)], version: usize) {
        let volume = format!("..{version}");
        std::fs::create_dir(self.folder.at(&volume)).unwrap();
        for (name, text) in files {
            self.folder.write(&format!("{volume}/{name}"), text);
        }
        symlink(&volume, self.folder.at("..data_tmp")).unwrap();
        std::fs::rename(self.folder.at("..data_tmp"), self.folder.at("..data")).unwrap();
        for (name, _) in files {
            if !self.folder.at(name).is_symlink() {
                symlink(format!("..data/{name}"), self.folder.at("link")).unwrap();
                std::fs::rename(self.folder.at("link"), self.folder.at(name)).unwrap();
            }
        }
    }

    /// A good access token with this `cnf`.
    pub fn token(&self, cnf: &Value) -> String {
        self.issuer.sign(&self.issuer.token(cnf.clone()))
    }

    /// A TLS client that trusts the sidecar's certificate and has none of its own.
    pub fn anonymous(&self) -> ClientConfig {
        client(&rustls::version::TLS13).with_root_certificates(self.pki.roots()).with_no_client_auth()
    }

    /// A connection, its handshake done as far as the client can tell.
    pub async fn connect(&self, client: &ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.clinch.address).await?;
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(client.clone())).connect(name, stream).await
    }

    /// Everything that comes back for these bytes until the connection ends; `None` if there is no connection, or not
    /// one byte on it.
    pub async fn ask(&self, client: &ClientConfig, request: &str) -> Option<String> {
        let mut stream = self.connect(client).await.ok()?;
        let mut answer = Vec::new();
        let talk = async {
            if stream.write_all(request.as_bytes()).await.is_ok() {
                let _ = stream.read_to_end(&mut answer).await;
            }
        };
        tokio::time::timeout(super::PATIENCE, talk).await.expect("the connection ends");
        (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
    }

    /// What the sidecar holds in memory, in bytes (`VmRSS`).
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.clinch.program.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The value of one line of the metrics, zero if it is not there.
    pub async fn metric(&self, line: &str) -> u64 {
        let page = plain_get(self.clinch.admin, "/metrics").await.expect("metrics").body;
        let value = page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        value.unwrap_or_default()
    }
}

/// A TLS client of one version, before it has an opinion on certificates.
pub fn client(
    version: &'static rustls::SupportedProtocolVersion,
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap()
}

/// The status of a raw answer.
pub fn status(answer: Option<&str>) -> Option<u16> {
    answer?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn config(setting: &Setting, issuer: &str, service: SocketAddr) -> String {
    let (tls, listen) = (setting.tls, &setting.listen);
    let dpop = if setting.dpop.is_empty() { "{}" } else { setting.dpop };
    format!(
        "listen:
  address: 127.0.0.1:0
  public_origins: [https://{HOST}, https://other.example.com]
  tls:
    certificate: server.crt
    private_key: server.key
    {tls}
  drain: 20s
  {listen}
upstream: {{ url: 'http://{service}', {TIME_TO_ANSWER} }}
dpop:
  {dpop}
issuers:
  - {{ issuer: '{issuer}', audiences: [https://{HOST}], ca: ca.crt }}
routes:
  - {{ path: '/open/{{*rest}}', danger_unprotected: true }}
  - {{ path: '/certified/{{*rest}}', proof: [mtls] }}
  - {{ path: '/either/{{*rest}}', proof: [dpop, mtls] }}
admin: {{ address: '127.0.0.1:0' }}
"
    )
}

const TIME_TO_ANSWER: &str = "response_timeout: 5s";
