//! The way to an OTLP collector: one message out, its answer back, over HTTP or gRPC, with TLS or without.
//!
//! Spans and metrics share it: whoever has a message calls [`Collector::send`] on a task of its own, with what
//! `opentelemetry-proto` calls an `Export…ServiceRequest`, and gets the answer's message back. Decides what a failure
//! means (OTLP specification, sections "Failures" and "Retryable Response Codes"); waiting and trying again is the
//! caller's. What is in a message is nothing to it.

mod grpc;
mod gzip;

use crate::config::{self, OtlpCompression, OtlpProtocol};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// What a message is about; it decides where the message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// `ExportTraceServiceRequest`
    Traces,
    /// `ExportMetricsServiceRequest`
    Metrics,
}

/// A collector. Connects lazily; needs a tokio runtime.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    protocol: OtlpProtocol,
    compression: OtlpCompression,
    /// From the environment; credentials may be among them.
    headers: HeaderMap,
}

/// A message was not taken.
#[derive(Debug)]
pub(super) struct Failure {
    /// What happened, for people; nothing of the message or of the answer's text.
    pub(super) why: String,
    /// Whether it is worth another attempt.
    pub(super) again: bool,
    /// How long the collector wants to be left alone.
    pub(super) after: Option<Duration>,
}

impl Collector {
    /// `endpoint`: the collector's base, or over HTTP the whole address for traces if it has a path.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub(super) fn new(endpoint: &Uri, config: &config::Telemetry) -> anyhow::Result<Collector> {
        let (protocol, compression) = (config.otlp_protocol, config.otlp_compression);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(endpoint, &config.otlp_ca)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = match protocol {
            OtlpProtocol::Http => connector.enable_http1().build(),
            OtlpProtocol::Grpc => connector.enable_http2().build(),
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http2_only(protocol == OtlpProtocol::Grpc)
            // A connection whose other end went away without a word would swallow one message after another.
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(LIMIT)
            .build(connector);
        let (endpoint, headers) = (endpoint.clone(), headers_of_environment());
        Ok(Collector { client, endpoint, protocol, compression, headers })
    }

    /// Sends one message; the answer's, which may speak of a partial success. Bounded in time.
    ///
    /// # Errors
    /// It was not taken, or nobody can tell.
    pub(super) async fn send(&self, signal: Signal, message: Vec<u8>) -> Result<Bytes, Failure> {
        let request = self.request(signal, message).ok_or_else(|| Failure::lasting("the address is none"))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| Failure::passing(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await;
            Ok(Response::from_parts(head, body.map_err(|error| Failure::passing(&*error))?))
        };
        let answered = tokio::time::timeout(LIMIT, exchange).await;
        let response = answered.unwrap_or_else(|_| Err(Failure::new("no answer in time", true)))?;
        match self.protocol {
            OtlpProtocol::Http => over_http(response),
            OtlpProtocol::Grpc => grpc::answer(response),
        }
    }

    fn request(&self, signal: Signal, message: Vec<u8>) -> Option<Request<Full<Bytes>>> {
        let message = match self.compression {
            OtlpCompression::None => message,
            OtlpCompression::Gzip => gzip::compressed(&message),
        };
        let (uri, version, content_type, encoding, body) = match self.protocol {
            OtlpProtocol::Http => (
                self.address(signal),
                Version::HTTP_11,
                PROTOBUF,
                header::CONTENT_ENCODING,
                Bytes::from(message),
            ),
            OtlpProtocol::Grpc => (
                self.under(grpc::method(signal)),
                Version::HTTP_2,
                grpc::CONTENT_TYPE,
                grpc::ENCODING,
                grpc::framed(&message, self.compression),
            ),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.version_mut() = version;
        *request.uri_mut() = uri?;
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::USER_AGENT, USER_AGENT);
        if self.compression == OtlpCompression::Gzip {
            headers.insert(encoding, gzip::NAME);
        }
        if self.protocol == OtlpProtocol::Grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        Some(request)
    }

    /// Signals live under a base. Whoever gave the whole address of traces means the one beside it for metrics.
    fn address(&self, signal: Signal) -> Option<Uri> {
        let path = self.endpoint.path().trim_end_matches('/');
        match signal {
            Signal::Traces if path.is_empty() => self.under(TRACES),
            Signal::Traces => Some(self.endpoint.clone()),
            Signal::Metrics => self.under(&format!("{}{METRICS}", path.strip_suffix(TRACES).unwrap_or(path))),
        }
    }

    fn under(&self, path: &str) -> Option<Uri> {
        let (scheme, authority) = (self.endpoint.scheme()?.clone(), self.endpoint.authority()?.clone());
        Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
    }
}

impl Failure {
    fn new(why: impl Into<String>, again: bool) -> Failure {
        Failure { why: why.into(), again, after: None }
    }
    fn lasting(why: &str) -> Failure {
        Failure::new(why, false)
    }
    /// Of the connection: it may be there again in a moment.
    fn passing(error: &(dyn Error + 'static)) -> Failure {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(why, ": {cause}");
            source = cause.source();
        }
        Failure::new(why, true)
    }
    fn of_status(status: StatusCode, headers: &HeaderMap) -> Failure {
        let again = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        let after = headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let why = format!("status {}", status.as_u16());
        Failure { why, again: again.contains(&status), after: after.map(Duration::from_secs) }
    }
}

fn over_http(response: Response<Collected<Bytes>>) -> Result<Bytes, Failure> {
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        Ok(body.to_bytes())
    } else {
        Err(Failure::of_status(head.status, &head.headers))
    }
}

/// `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`, values percent-encoded. What is no header is left out.
fn headers_of_environment() -> HeaderMap {
    let text = std::env::var("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let pairs = super::resource::pairs(&text).filter_map(|(name, value)| {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    pairs.collect()
}

/// What the system trusts (`SSL_CERT_FILE` included), read only when it is needed, and `telemetry.otlp_ca`.
fn roots(endpoint: &Uri, ca: &[CertificateDer<'static>]) -> anyhow::Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    if endpoint.scheme_str() == Some("https") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for anchor in ca {
        roots.add(anchor.clone())?;
    }
    Ok(roots)
}

const TRACES: &str = "/v1/traces";
const METRICS: &str = "/v1/metrics";
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("clinch/", env!("CARGO_PKG_VERSION")));
/// One attempt, answer included.
const LIMIT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(30);
const PING: Duration = Duration::from_secs(10);
const ANSWER_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(endpoint: &str, protocol: OtlpProtocol) -> [String; 2] {
        let config = config::Telemetry { otlp_protocol: protocol, ..config::Telemetry::default() };
        let collector = Collector::new(&endpoint.parse().unwrap(), &config).unwrap();
        [Signal::Traces, Signal::Metrics]
            .map(|signal| collector.request(signal, Vec::new()).unwrap().uri().to_string())
    }

    #[tokio::test]
    async fn each_signal_has_its_address() {
        let http = |endpoint| addresses(endpoint, OtlpProtocol::Http);
        for base in ["http://c:4318", "http://c:4318/"] {
            assert_eq!(http(base), ["http://c:4318/v1/traces", "http://c:4318/v1/metrics"]);
        }
        assert_eq!(http("https://c/x/v1/traces"), ["https://c/x/v1/traces", "https://c/x/v1/metrics"]);
        assert_eq!(http("https://c/otlp"), ["https://c/otlp", "https://c/otlp/v1/metrics"]);
        let [traces, metrics] = addresses("http://c:4317", OtlpProtocol::Grpc);
        assert_eq!(traces, "http://c:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        assert_eq!(metrics, "http://c:4317/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
    }

    #[test]
    fn only_what_may_pass_is_worth_another_attempt() {
        let of = |status: u16| {
            let headers = [(header::RETRY_AFTER, HeaderValue::from_static("7"))].into_iter().collect();
            Failure::of_status(StatusCode::from_u16(status).unwrap(), &headers)
        };
        let again: Vec<u16> = (400..=599).filter(|status| of(*status).again).collect();
        assert_eq!(again, [429, 502, 503, 504]);
        assert_eq!(of(503).after, Some(Duration::from_secs(7)));
    }
}
