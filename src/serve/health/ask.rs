//! A probe of the kubelet's, asked of the service on loopback: 127.0.0.1, and `::1` where nobody is there.
//!
//! As the kubelet judges (Kubernetes, "Configure Liveness, Readiness and Startup Probes"): a status from 200 to 399 is
//! good, so is a connection, so is the gRPC answer SERVING. Redirects are not followed, which is good enough: they are good
//! themselves, as those to another host are for the kubelet.

use super::grpc;
use crate::config::pod::PodProbe;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// `Some` if the answer is good. The caller limits its time.
pub(super) async fn ask(probe: &PodProbe) -> Option<()> {
    match probe {
        PodProbe::Http { port, path, headers } => get(connect(*port).await.ok()?, path, headers).await,
        PodProbe::Tcp { port } => connect(*port).await.ok().map(drop),
        PodProbe::Grpc { port, service } => grpc::check(connect(*port).await.ok()?, service).await,
    }
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await
        }
        done => done,
    }
}

/// The head of the answer decides; its body is left unread and ends with the connection.
async fn get(stream: TcpStream, path: &str, headers: &[(String, String)]) -> Option<()> {
    let host = stream.peer_addr().ok()?.to_string();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(io).await.ok()?;
    let _connection = Ended(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request(path, headers, &host)?).await.ok()?;
    (200..400).contains(&response.status().as_u16()).then_some(())
}

fn request(path: &str, headers: &[(String, String)], host: &str) -> Option<Request<Empty<Bytes>>> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = Request::get(path).body(Empty::new()).ok()?;
    let fields = request.headers_mut();
    for (name, value) in headers {
        fields.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    fields.entry(header::HOST).or_insert(HeaderValue::try_from(host).ok()?);
    fields.entry(header::USER_AGENT).or_insert(USER_AGENT);
    fields.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(request)
}

/// The connection ends with its one question.
pub(super) struct Ended(pub(super) JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// As the service may know it: the kubelet's own begins so.
pub(super) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("kube-probe/clinch-", env!("CARGO_PKG_VERSION")));
const MAX_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests;
