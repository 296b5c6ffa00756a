//! A page of metrics as an OTLP request (opentelemetry-proto, `metrics.proto`), after the rules of OpenTelemetry's
//! "Prometheus and OpenMetrics Compatibility": a counter is a monotonic sum under its full name, a histogram has explicit
//! bounds, information is a gauge of 1.

use crate::telemetry::exposition::{Family, Sample, families};
use crate::telemetry::latency::{self, Latency};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::time::SystemTime;

/// Since when values were added up, and when they were read; in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    start: u64,
    now: u64,
}

impl Times {
    pub(super) fn from(start: SystemTime, now: SystemTime) -> Times {
        Times { start: nanos(start), now: nanos(now) }
    }
}

/// Everything on the page.
pub(super) fn request(
    page: &str,
    latencies: &[(&str, &Latency)],
    resource: &Resource,
    times: Times,
) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope {
        name: "clinch".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let metrics = families(page).iter().map(|family| metric(family, latencies, times)).collect();
    let scoped = ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![scoped],
            schema_url: String::new(),
        }],
    }
}

/// How many values there are in it.
pub(super) fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let of = |metric: &Metric| match &metric.data {
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(metric::Data::Sum(sum)) => sum.data_points.len(),
        Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(metric::Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(metric::Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    };
    scopes.flat_map(|scope| &scope.metrics).map(|metric| of(metric) as u64).sum()
}

fn metric(family: &Family<'_>, latencies: &[(&str, &Latency)], times: Times) -> Metric {
    let numbers = || family.samples.iter().map(|sample| number(sample, times)).collect();
    let (suffix, data) = match family.kind {
        "counter" => {
            let sum = Sum { data_points: numbers(), aggregation_temporality: CUMULATIVE, is_monotonic: true };
            ("_total", metric::Data::Sum(sum))
        }
        "histogram" => {
            let latency =
                latencies.iter().find(|(name, _)| *name == family.name).map(|(_, latency)| *latency);
            let data_points = distributions(&family.samples, latency, times);
            ("", metric::Data::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE }))
        }
        kind => {
            let suffix = if kind == "info" { "_info" } else { "" };
            (suffix, metric::Data::Gauge(Gauge { data_points: numbers() }))
        }
    };
    Metric {
        name: format!("{}{suffix}", family.name),
        description: family.help.to_owned(),
        unit: unit(family.name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(sample: &Sample<'_>, times: Times) -> NumberDataPoint {
    let value = match sample.value.parse() {
        Ok(whole) => number_data_point::Value::AsInt(whole),
        Err(_) => number_data_point::Value::AsDouble(sample.value.parse().unwrap_or(f64::NAN)),
    };
    NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// Each begins with its sum; then come the count and the buckets, each of which counts those below it, too.
fn distributions(samples: &[Sample<'_>], latency: Option<&Latency>, times: Times) -> Vec<HistogramDataPoint> {
    let mut points: Vec<HistogramDataPoint> = Vec::new();
    let mut below = 0;
    for sample in samples {
        if sample.name.ends_with("_sum") {
            points.push(HistogramDataPoint {
                attributes: attributes(sample.labels),
                start_time_unix_nano: times.start,
                time_unix_nano: times.now,
                sum: sample.value.parse().ok(),
                exemplars: latency.map(exemplars).unwrap_or_default(),
                ..HistogramDataPoint::default()
            });
            below = 0;
            continue;
        }
        let Some(point) = points.last_mut() else { continue };
        let count: u64 = sample.value.parse().unwrap_or(below);
        if sample.name.ends_with("_count") {
            point.count = count;
            continue;
        }
        point.bucket_counts.push(count.saturating_sub(below));
        below = count;
        let bound = labels(sample.labels).into_iter().find(|(key, _)| key == "le").map(|(_, bound)| bound);
        point
            .explicit_bounds
            .extend(bound.and_then(|bound| bound.parse().ok()).filter(|b: &f64| b.is_finite()));
    }
    points
}

fn exemplars(latency: &Latency) -> Vec<Exemplar> {
    latency.exemplars().flatten().map(exemplar).collect()
}

fn exemplar(one: latency::Exemplar) -> Exemplar {
    let trace_id = u128::from_str_radix(one.trace.as_str(), 16).unwrap_or_default();
    Exemplar {
        time_unix_nano: nanos(one.at),
        trace_id: trace_id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(one.seconds)),
        ..Exemplar::default()
    }
}

fn attributes(labels_written: &str) -> Vec<KeyValue> {
    labels(labels_written).into_iter().map(|(key, value)| attribute(&key, value)).collect()
}

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// `a="1",b="2"`, where a quotation mark, a backslash and a line's end in a value follow a backslash.
fn labels(written: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = written;
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(characters.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                c => value.push(c),
            }
        }
        labels.push((key.trim_start_matches(',').to_owned(), value));
        rest = &after[end..];
    }
    labels
}

/// In UCUM, where the name tells.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some(_) | None => "",
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

#[cfg(test)]
mod tests;
