//! The demo's service: it knows nothing of OAuth, and answers with the request as it saw it.

use super::hosting;
use anyhow::Context as _;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Starts it on a free loopback port.
pub(super) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a port for the service")?;
    let address = listener.local_addr()?;
    tokio::spawn(hosting::host(listener, None, |request| {
        let seen = json!({
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "headers": headers(request.headers()),
        });
        hosting::json(StatusCode::OK, &seen)
    }));
    Ok(address)
}

/// As pairs, so that a header that came twice is seen twice.
fn headers(headers: &HeaderMap) -> Vec<[Value; 2]> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| [name.as_str().into(), text(value).into()]).collect()
}
