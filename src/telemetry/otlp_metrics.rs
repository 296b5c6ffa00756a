//! The metrics by OTLP over HTTP (protobuf), every `telemetry.otlp_metrics`: the same that `/metrics` shows, under the
//! same names, cumulative since the start. A collector that is slow or gone costs what it would have been told.

mod encode;

use super::latency::Latency;
use super::metrics::Metrics;
use super::otlp::{Collector, resource};
use bytes::Bytes;
use encode::Times;
use http::{Request, Uri, header};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// The way out for metrics.
#[derive(Debug)]
pub(super) struct MetricsOut {
    collector: Collector,
    address: String,
    period: Duration,
    resource: Resource,
    started: SystemTime,
    taken: AtomicBool,
}

impl MetricsOut {
    /// As the configuration has it; needs a tokio runtime if metrics are sent at all.
    ///
    /// # Errors
    /// There is none, or no TLS.
    pub(super) fn of(
        config: &crate::config::Telemetry,
        metrics: &Metrics,
    ) -> anyhow::Result<Option<MetricsOut>> {
        let Some((period, endpoint)) = config.otlp_metrics.zip(config.otlp.as_ref()) else { return Ok(None) };
        let collector = Collector::new(endpoint, metrics.clone())?;
        let (resource, started) = (message(&resource()), SystemTime::now());
        let (address, taken) = (metrics_endpoint(endpoint), AtomicBool::new(true));
        Ok(Some(MetricsOut { collector, address, period, resource, started, taken }))
    }

    /// How often they are sent.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Sends a page in OpenMetrics, with the exemplars of these. Counts what comes of it, and says once when the
    /// collector takes no more, and once when it does again.
    pub(super) async fn send(&self, page: &str, latencies: &[(&str, &Latency)], metrics: &Metrics) {
        let times = Times::from(self.started, SystemTime::now());
        let body = encode::request(page, latencies, &self.resource, times).encode_to_vec();
        let request = Request::post(&self.address)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .body(Bytes::from(body));
        let outcome = match request {
            Ok(request) => self.collector.exchange(request).await,
            Err(error) => Err(error.into()),
        };
        let good = outcome.as_ref().is_ok_and(|response| response.status().is_success());
        metrics.metrics_exported(if good { "ok" } else { "failed" });
        if self.taken.swap(good, Relaxed) == good {
            return;
        }
        match outcome {
            Ok(_) if good => tracing::info!("the collector takes metrics again"),
            Ok(response) => {
                tracing::warn!(status = response.status().as_u16(), "the collector refuses metrics");
            }
            Err(error) => tracing::warn!(%error, "the collector can't be reached with metrics"),
        }
    }
}

fn message(resource: &opentelemetry_sdk::Resource) -> Resource {
    let text = |text: String| Some(AnyValue { value: Some(Value::StringValue(text)) });
    let attributes = resource.iter().map(|(key, value)| KeyValue {
        key: key.to_string(),
        value: text(value.to_string()),
        ..KeyValue::default()
    });
    Resource { attributes: attributes.collect(), ..Resource::default() }
}

/// OTLP/HTTP: signals live under a base. Where the address is that of the traces, metrics are beside them.
fn metrics_endpoint(endpoint: &Uri) -> String {
    let text = endpoint.to_string();
    let base = text.trim_end_matches('/');
    format!("{}/v1/metrics", base.strip_suffix("/v1/traces").unwrap_or(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_go_where_traces_go() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/metrics"),
            ("https://otlp.example/v1/traces", "https://otlp.example/v1/metrics"),
            ("https://otlp.example/tenant/v1/traces", "https://otlp.example/tenant/v1/metrics"),
        ] {
            assert_eq!(metrics_endpoint(&endpoint.parse().unwrap()), expected);
        }
    }
}
