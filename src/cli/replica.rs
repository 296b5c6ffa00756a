//! A replica as its operator sees it: the admin port, asked over plain HTTP.

use bytes::Bytes;
use http::uri::Authority;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::error::Error;
use std::time::Duration;

/// One admin port.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    url: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Replica {
    /// `http://HOST:PORT`
    ///
    /// # Errors
    /// In words what is wrong with it.
    pub(super) fn new(url: &str) -> Result<Replica, String> {
        let url = url.strip_suffix('/').unwrap_or(url);
        let rest = url.strip_prefix("http://").unwrap_or("");
        let authority = rest.parse::<Authority>().ok().filter(|authority| authority.port_u16().is_some());
        let sound = authority.is_some() && !rest.contains(['/', '?', '#', '@']);
        if !sound {
            return Err(format!("{url:?} is no admin address; expected http://HOST:PORT"));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        Ok(Replica { url: url.to_owned(), client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// As it was given.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What it says under this path and query; `None` where it has nothing of the kind.
    ///
    /// # Errors
    /// In words why there is no answer.
    pub(super) async fn ask(&self, path: &str) -> Result<Option<Value>, String> {
        match tokio::time::timeout(PATIENCE, self.exchange(path)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {}", humantime::format_duration(PATIENCE))),
        }
    }

    /// Whether it says that it is ready, and what it says of its parts.
    ///
    /// # Errors
    /// In words why there is no answer.
    pub(super) async fn readiness(&self) -> Result<(bool, Value), String> {
        match tokio::time::timeout(PATIENCE, self.answer("/ready")).await {
            Ok(Ok((StatusCode::OK, Some(document)))) => Ok((true, document)),
            Ok(Ok((StatusCode::SERVICE_UNAVAILABLE, Some(document)))) => Ok((false, document)),
            Ok(Ok((status, _))) => Err(unexpected(status)),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("no answer within {}", humantime::format_duration(PATIENCE))),
        }
    }

    async fn exchange(&self, path: &str) -> Result<Option<Value>, String> {
        match self.answer(path).await? {
            (StatusCode::OK, Some(document)) => Ok(Some(document)),
            (StatusCode::NOT_FOUND, Some(_)) => Ok(None),
            (status, _) => Err(unexpected(status)),
        }
    }

    /// The status, and the document if it is JSON.
    async fn answer(&self, path: &str) -> Result<(StatusCode, Option<Value>), String> {
        let uri: Uri = format!("{}{path}", self.url).parse().map_err(|_| "the address is too long")?;
        let response = self.client.get(uri).await.map_err(|error| innermost(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|_| "the answer can't be read")?.to_bytes();
        Ok((status, serde_json::from_slice(&body).ok()))
    }
}

fn unexpected(status: StatusCode) -> String {
    format!("the answer was {status}: is this clinch's admin address?")
}

/// For a query: everything but unreserved characters is encoded.
pub(super) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// "Connection refused" says more than "client error".
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// For a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A hundred events, each of 64 KiB at most.
const LARGEST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_or_is_refused() {
        assert_eq!(Replica::new("http://127.0.0.1:9901/").unwrap().url(), "http://127.0.0.1:9901");
        assert!(Replica::new("http://[::1]:9901").is_ok());
        for wrong in
            ["127.0.0.1:9901", "https://h:1", "http://", "http://h:1/ready", "http://u@h:1", "http://h:x"]
        {
            assert!(Replica::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(encoded("https://as/ü"), "https%3A%2F%2Fas%2F%C3%BC");
    }
}
