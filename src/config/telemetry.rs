//! `telemetry`, checked.

use http::Uri;
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// `telemetry`
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// The OTLP endpoint.
    pub otlp: Option<Uri>,
    /// How it is spoken to.
    pub otlp_protocol: OtlpProtocol,
    /// How messages are made smaller on their way there.
    pub otlp_compression: OtlpCompression,
    /// Extra trust anchors for its TLS.
    pub otlp_ca: Vec<CertificateDer<'static>>,
    /// How often metrics are sent there, if they are.
    pub otlp_metrics: Option<Duration>,
    /// The share of traces that are sampled, 0 to 1.
    pub sample: f64,
    /// Whether refused requests are recorded all the same.
    pub sample_refusals: bool,
    /// Where requests' traces begin.
    pub context: TraceOrigin,
    /// How spans name clients, subjects and tokens.
    pub identifiers: Identifiers,
    /// How logs look.
    pub format: LogFormat,
    /// How much is logged.
    pub level: LevelFilter,
    /// How many lines in ten seconds may say the same of refusals; 0 means any number.
    pub repeats: u32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            otlp: None,
            otlp_protocol: OtlpProtocol::Http,
            otlp_compression: OtlpCompression::None,
            otlp_ca: Vec::new(),
            otlp_metrics: None,
            sample: 1.0,
            sample_refusals: false,
            context: TraceOrigin::Continue,
            identifiers: Identifiers::Hashed,
            format: LogFormat::Json,
            level: LevelFilter::INFO,
            repeats: 0,
        }
    }
}

/// `telemetry.otlp_protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// OTLP/HTTP with protobuf.
    Http,
    /// OTLP/gRPC.
    Grpc,
}

/// `telemetry.otlp_compression`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpCompression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
}

/// `telemetry.context`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceOrigin {
    /// With the caller, if it says so. Whether it is recorded is decided here.
    Continue,
    /// With the caller, who decides whether it is recorded.
    Trust,
    /// Here.
    Restart,
}

/// `telemetry.identifiers`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifiers {
    /// By a digest.
    Hashed,
    /// As they are.
    Plain,
}

/// `telemetry.log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}
