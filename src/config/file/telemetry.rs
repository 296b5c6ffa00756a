//! `telemetry`: logs, traces and metrics.

use super::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `telemetry`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Telemetry {
    /// The OTLP collector, such as `http://127.0.0.1:4318`, or `https://` with a certificate that the system or `otlp_ca`
    /// trusts; null exports nothing.
    pub(in crate::config) otlp: Option<String>,
    /// How the collector is spoken to.
    pub(in crate::config) otlp_protocol: Transport,
    /// How messages to the collector are compressed.
    pub(in crate::config) otlp_compression: Compression,
    /// A PEM file of extra trust anchors for the collector's TLS.
    pub(in crate::config) otlp_ca: Option<String>,
    /// The share of traces that are sampled, by their ids.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(in crate::config) sample: f64,
    /// Whether the span of every refused request is exported, sampled or not.
    pub(in crate::config) sample_refusals: bool,
    /// What becomes of the trace context that callers send.
    pub(in crate::config) context: Context,
    /// How spans name clients, subjects and tokens.
    pub(in crate::config) identifiers: Identifiers,
    /// How often metrics go to the collector, too; null sends none, they are at `/metrics` of `admin.address` all the
    /// same.
    pub(in crate::config) otlp_metrics: Option<Span>,
    /// The log on standard error.
    pub(in crate::config) log: Log,
}
impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            otlp: None,
            otlp_protocol: Transport::default(),
            otlp_compression: Compression::default(),
            otlp_ca: None,
            sample: 1.0,
            sample_refusals: false,
            context: Context::default(),
            identifiers: Identifiers::default(),
            otlp_metrics: None,
            log: Log::default(),
        }
    }
}

/// `telemetry.otlp_protocol`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Transport {
    /// OTLP/HTTP with protobuf, usually port 4318.
    #[default]
    Http,
    /// OTLP/gRPC, usually port 4317.
    Grpc,
}

/// `telemetry.otlp_compression`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Compression {
    /// Not at all.
    #[default]
    None,
    /// For a collector that is far away.
    Gzip,
}

/// `telemetry.context`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Context {
    /// The caller's trace goes on (W3C Trace Context), and its baggage once it has proved who it is. Whether it is
    /// recorded, `sample` has the last word.
    #[default]
    Continue,
    /// The same, and the caller has the last word: a trace is recorded if and only if it says so. For a sidecar that only
    /// peers can reach whom you trust with that, such as your own gateway.
    Trust,
    /// Each request begins a trace of its own, with a link to the caller's; nothing else of it goes on.
    Restart,
}

/// `telemetry.identifiers`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Identifiers {
    /// As the first 16 hex digits of the SHA-256 of issuer, NUL and name.
    #[default]
    Hashed,
    /// As they are.
    Plain,
}

/// `telemetry.log`
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Log {
    /// How a line looks.
    pub(in crate::config) format: LogFormat,
    /// The least severe level that is logged.
    pub(in crate::config) level: LogLevel,
    /// How many lines in ten seconds say that the same peer was refused on the same route for the same reason; the rest is
    /// counted. 0 leaves out none.
    #[schemars(range(max = 1_000_000))]
    pub(in crate::config) repeats: u32,
}
impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::default(), level: LogLevel::default(), repeats: 20 }
    }
}

/// `telemetry.log.format`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Human,
}

/// `telemetry.log.level`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum LogLevel {
    /// Only what stops something from working.
    Error,
    /// Also what an operator should look at.
    Warn,
    /// Also every decision.
    #[default]
    Info,
    /// Also how a decision came about.
    Debug,
    /// Everything.
    Trace,
}
