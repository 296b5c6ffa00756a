//! Spans out by OTLP over HTTP (protobuf), from a bounded queue on a thread of its own.
//!
//! A collector that is slow or gone costs spans, never requests: a full queue drops. The library's exporter
//! runs outside the runtime, so the HTTP client hops back to it.

use super::ids::RequestId;
use super::metrics::Metrics;
use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanProcessor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The way out for spans; clones share one queue.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    processor: Arc<BatchSpanProcessor>,
}

impl Exporter {
    /// Starts the exporting thread. `endpoint` is the collector's base, or the whole address if it has a path.
    pub(super) fn start(endpoint: &Uri, metrics: Metrics) -> anyhow::Result<Exporter> {
        let collector = Collector::new(endpoint, metrics)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(traces_endpoint(endpoint))
            .with_timeout(EXPORT_LIMIT)
            .build()
            .context("the OTLP exporter can't be built")?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_SPANS)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        processor.set_resource(&resource());
        Ok(Exporter { processor: Arc::new(processor) })
    }

    /// Queues a span that has ended, or drops it.
    pub(super) fn take(&self, span: SpanData) {
        self.processor.on_end(span);
    }

    /// Sends what is queued, at most this long.
    pub(super) async fn shutdown(&self, limit: Duration) {
        let processor = Arc::clone(&self.processor);
        let flushed = tokio::task::spawn_blocking(move || processor.shutdown_with_timeout(limit));
        // What is lost after the limit is lost: the process must end.
        let _ = tokio::time::timeout(limit, flushed).await;
    }
}

/// The collector, reached from any thread through the runtime.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: tokio::runtime::Handle,
    metrics: Metrics,
    reachable: AtomicBool,
}

impl Collector {
    pub(super) fn new(endpoint: &Uri, metrics: Metrics) -> anyhow::Result<Collector> {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(system_roots(endpoint))
        .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Collector {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime: tokio::runtime::Handle::try_current().context("traces need a runtime")?,
            metrics,
            reachable: AtomicBool::new(true),
        })
    }

    /// Counts the outcome, and says once when the collector goes and once when it comes back.
    fn note(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let good = outcome.as_ref().is_ok_and(|response| response.status().is_success());
        self.metrics.spans_exported(if good { "ok" } else { "failed" });
        if self.reachable.swap(good, Ordering::Relaxed) != good {
            match outcome {
                Ok(_) if good => tracing::info!("the trace collector takes spans again"),
                Ok(response) => {
                    tracing::warn!(status = response.status().as_u16(), "the trace collector refuses spans")
                }
                Err(error) => tracing::warn!(error = %error, "the trace collector can't be reached"),
            }
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let outcome = self.exchange(request).await;
        self.note(&outcome);
        outcome
    }
}

impl Collector {
    /// One request and its answer, within [`EXPORT_LIMIT`].
    pub(super) async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // Timers and sockets are made inside the task: the calling thread has no reactor.
        let task = self.runtime.spawn(async move {
            let exchange = async {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            };
            tokio::time::timeout(EXPORT_LIMIT, exchange).await?
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(ended) => Err(ended.into()),
        }
    }
}

/// Who sends, for all signals.
pub(super) fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read by the builder and win.
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
    let resource = Resource::builder().with_attribute(version);
    let resource = if named { resource } else { resource.with_service_name("clinch") };
    // Without it the sums of two replicas would be one series that jumps.
    let told = std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains(INSTANCE));
    let instance = || KeyValue::new(INSTANCE, RequestId::random().as_str().to_owned());
    let resource = if told { resource } else { resource.with_attribute(instance()) };
    resource.build()
}

/// What the system trusts, read only when it is needed.
fn system_roots(endpoint: &Uri) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    if endpoint.scheme_str() == Some("https") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    roots
}

/// OTLP/HTTP: signals live under a base, unless the whole address is given.
fn traces_endpoint(endpoint: &Uri) -> String {
    let text = endpoint.to_string();
    if endpoint.path().is_empty() || endpoint.path() == "/" {
        format!("{}/v1/traces", text.trim_end_matches('/'))
    } else {
        text
    }
}

const INSTANCE: &str = "service.instance.id";
/// Spans that may wait; more are dropped.
const WAITING_SPANS: usize = 8192;
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_BYTES: usize = 64 * 1024;
