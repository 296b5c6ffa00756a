//! What every use of Redis shares: the client of a server, which run of it answers, and whether it may forget.

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, IntoConnectionInfo, RedisError, TlsCertificates};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

/// The client of one server; with `ca`, these are the trust anchors in place of the system's. What the crate says of
/// a bad URL might contain its password, so nothing is said.
pub(super) fn client(url: &str, ca: &[CertificateDer<'static>]) -> Option<Client> {
    let info = url.into_connection_info().ok()?.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if ca.is_empty() {
        return Client::open(info).ok();
    }
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem(ca)) }).ok()
}

/// Which run of which server this is: after a restart or a failover there is another. `None` if we may not ask.
pub(super) async fn run_id(connection: &mut MultiplexedConnection) -> Result<Option<String>, RedisError> {
    let told: Result<String, _> = ::redis::cmd("INFO").arg("server").query_async(connection).await;
    match told {
        Ok(info) => {
            let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
            Ok(run.map(|run| run.trim().to_owned()))
        }
        Err(error) if error.code() == Some("NOPERM") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The `maxmemory-policy` of a server that makes room by forgetting. It may not let us ask; then so be it.
pub(super) async fn evicts(connection: &mut MultiplexedConnection) -> Option<String> {
    let asked = ::redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(connection).await;
    let told: Vec<String> = asked.unwrap_or_default();
    told.into_iter().nth(1).filter(|policy| policy != "noeviction")
}

fn pem(certificates: &[CertificateDer<'static>]) -> Vec<u8> {
    let mut text = String::new();
    for certificate in certificates {
        let base64 = STANDARD.encode(certificate);
        text.push_str(&format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"));
    }
    text.into_bytes()
}
