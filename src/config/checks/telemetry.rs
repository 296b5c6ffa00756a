//! `telemetry` and `admin`: where clinch is watched from.

use super::{Checks, listen, pem};
use crate::config::file::{
    self, Admin, Listen, LogFormat as WrittenFormat, LogLevel, Span, Telemetry as Written,
};
use crate::config::words::quoted;
use crate::config::{Identifiers, LogFormat, OtlpCompression, OtlpProtocol, Telemetry, TraceOrigin};
use http::Uri;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// Logs and traces; `None` if something is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Telemetry> {
    let otlp = match &written.otlp {
        Some(url) => Some(endpoint(c, url, written.otlp_protocol)?),
        None => None,
    };
    let ca = match &written.otlp_ca {
        Some(file) => anchors(c, file, otlp.as_ref()),
        None => Some(Vec::new()),
    };
    if otlp.is_none() && written.sample_refusals {
        c.warn("telemetry.sample_refusals", "no trace of a refusal is exported without `otlp`");
    }
    if otlp.is_some() && written.sample == 0.0 && !written.sample_refusals {
        c.warn("telemetry.sample", "0 exports no traces although `otlp` is set");
    }
    let otlp_metrics = match written.otlp_metrics {
        Some(period) => Some(metrics(c, period, otlp.as_ref())?),
        None => None,
    };
    Some(Telemetry {
        otlp,
        otlp_protocol: match written.otlp_protocol {
            file::Transport::Http => OtlpProtocol::Http,
            file::Transport::Grpc => OtlpProtocol::Grpc,
        },
        otlp_compression: match written.otlp_compression {
            file::Compression::None => OtlpCompression::None,
            file::Compression::Gzip => OtlpCompression::Gzip,
        },
        otlp_ca: ca?,
        otlp_metrics,
        sample: written.sample,
        sample_refusals: written.sample_refusals,
        context: match written.context {
            file::Context::Continue => TraceOrigin::Continue,
            file::Context::Trust => TraceOrigin::Trust,
            file::Context::Restart => TraceOrigin::Restart,
        },
        identifiers: match written.identifiers {
            file::Identifiers::Hashed => Identifiers::Hashed,
            file::Identifiers::Plain => Identifiers::Plain,
        },
        format: format(written.log.format),
        level: level(written.log.level),
        repeats: written.log.repeats,
    })
}

/// `log.format`
pub(super) fn format(written: WrittenFormat) -> LogFormat {
    match written {
        WrittenFormat::Json => LogFormat::Json,
        WrittenFormat::Human => LogFormat::Human,
    }
}

/// `log.level`
pub(super) fn level(written: LogLevel) -> LevelFilter {
    match written {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// How often metrics go to the collector, whose address must tell where.
fn metrics(c: &mut Checks<'_>, period: Span, otlp: Option<&Uri>) -> Option<Duration> {
    let key = "telemetry.otlp_metrics";
    let Some(otlp) = otlp else {
        c.fault(key, "metrics have nowhere to go").expected("`telemetry.otlp`, the collector");
        return None;
    };
    if otlp.path() != "/" && !otlp.path().ends_with("/v1/traces") {
        c.fault(key, "where metrics go can't be told from the collector's address")
            .found(quoted(&otlp.to_string()))
            .expected("`telemetry.otlp` without a path, or with one that ends in /v1/traces");
        return None;
    }
    c.within(key, period, MOST_OFTEN, LEAST_OFTEN)
}

fn anchors(c: &mut Checks<'_>, file: &str, otlp: Option<&Uri>) -> Option<Vec<CertificateDer<'static>>> {
    if otlp.and_then(Uri::scheme_str) != Some("https") {
        c.fault("telemetry.otlp_ca", "trust anchors mean nothing without TLS")
            .expected("`telemetry.otlp: https://HOST:PORT`");
        return None;
    }
    pem::certificates(c, "telemetry.otlp_ca", file)
}

fn endpoint(c: &mut Checks<'_>, written: &str, protocol: file::Transport) -> Option<Uri> {
    let uri = written.parse::<Uri>().ok().filter(|uri| {
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        scheme && uri.host().is_some_and(|h| !h.is_empty()) && uri.query().is_none()
    });
    // A gRPC call has a path of its own.
    let bare = uri.as_ref().is_some_and(|uri| matches!(uri.path(), "" | "/"));
    let (uri, message) = match protocol {
        file::Transport::Http => (uri, "this is not an OTLP/HTTP endpoint"),
        file::Transport::Grpc => (uri.filter(|_| bare), "this is not an OTLP/gRPC endpoint"),
    };
    if uri.is_none() {
        c.fault("telemetry.otlp", message)
            .found(quoted(written))
            .expected("http://HOST:PORT or https://HOST:PORT");
    }
    uri
}

/// The admin address, away from where requests come in.
pub(super) fn admin(c: &mut Checks<'_>, written: &Admin, other: Option<&Listen>) -> Option<SocketAddr> {
    let path = "admin.address";
    let address = listen::address(c, path, &written.address)?;
    let same = other.and_then(|l| l.address.parse::<SocketAddr>().ok()).is_some_and(|listen| {
        let overlap =
            listen.ip() == address.ip() || listen.ip().is_unspecified() || address.ip().is_unspecified();
        overlap && listen.port() == address.port() && address.port() != 0
    });
    if same {
        c.fault(path, "this is the address requests come in on")
            .found(quoted(&written.address))
            .expected("an address of its own, such as 127.0.0.1:9901");
        return None;
    }
    if !address.ip().is_loopback() {
        c.warn(path, "metrics and readiness can be seen from other machines");
    }
    Some(address)
}

const MOST_OFTEN: Duration = Duration::from_secs(1);
const LEAST_OFTEN: Duration = Duration::from_secs(3600);
