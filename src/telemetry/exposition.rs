//! The page of metrics in the format that a scraper asks for, by `Accept` (RFC 9110 section 12.5.1).
//!
//! OpenMetrics 1.0, with the exemplars of the latencies, or Prometheus text 0.0.4, which knows neither exemplars, nor an
//! end, nor information as a type, and gives a counter its full name. Whoever does not say what he takes gets OpenMetrics.
//! The library writes OpenMetrics; the rest is made of its text.

use super::latency::{Exemplar, Latency};
use http::header::{self, HeaderMap, HeaderValue};
use std::fmt::Write;
use std::time::SystemTime;

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

/// A metric with all its samples, as the page has it.
#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    /// Its type in OpenMetrics.
    pub(super) kind: &'a str,
    pub(super) samples: Vec<Sample<'a>>,
}

/// One line: `name{labels} value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    /// As they are written, without the braces.
    pub(super) labels: &'a str,
    pub(super) value: &'a str,
}

impl Format {
    /// The one that `Accept` likes best: OpenMetrics where it likes both as well, or neither.
    pub fn wanted(headers: &HeaderMap) -> Format {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let ranges: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        let (open, text) = (liking(&ranges, is_open_metrics), liking(&ranges, is_text));
        if text > open { Format::Text } else { Format::OpenMetrics }
    }

    /// Its media type.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        })
    }

    /// The page in this format; `latencies`: those that have exemplars, by name.
    pub(super) fn page(self, page: String, latencies: &[(&str, &Latency)]) -> String {
        match self {
            Format::OpenMetrics => with_exemplars(&page, latencies),
            Format::Text => text(&page),
        }
    }
}

/// Everything on a page in OpenMetrics.
pub(super) fn families(page: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in page.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            let (name, help) = described.split_once(' ').unwrap_or((described, ""));
            families.push(Family { name, help, kind: "", samples: Vec::new() });
            continue;
        }
        let Some(family) = families.last_mut() else { continue };
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            family.kind = typed.rsplit(' ').next().unwrap_or_default();
        } else if !line.starts_with('#') {
            family.samples.extend(sample(line));
        }
    }
    families
}

/// A value has no space and no brace; a label may have both.
fn sample(line: &str) -> Option<Sample<'_>> {
    let (named, value) = line.rsplit_once(' ')?;
    let (name, labels) = named.split_once('{').unwrap_or((named, ""));
    Some(Sample { name, labels: labels.strip_suffix('}').unwrap_or(labels), value })
}

fn with_exemplars(page: &str, latencies: &[(&str, &Latency)]) -> String {
    let mut left: Vec<(String, Vec<Option<Exemplar>>)> = latencies
        .iter()
        .map(|(name, latency)| (format!("{name}_bucket{{"), latency.exemplars().collect::<Vec<_>>()))
        .map(|(prefix, mut exemplars)| {
            exemplars.reverse();
            (prefix, exemplars)
        })
        .collect();
    let mut out = String::with_capacity(page.len() + 4096);
    for line in page.lines() {
        out.push_str(line);
        let of_this = left.iter_mut().find(|(prefix, _)| line.starts_with(prefix.as_str()));
        if let Some(exemplar) = of_this.and_then(|(_, exemplars)| exemplars.pop()).flatten() {
            write_exemplar(&exemplar, &mut out);
        }
        out.push('\n');
    }
    out
}

fn write_exemplar(exemplar: &Exemplar, out: &mut String) {
    let at = exemplar.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (trace, seconds) = (exemplar.trace.as_str(), exemplar.seconds);
    // Writing to a String can't fail.
    let _ = write!(out, " # {{trace_id=\"{trace}\"}} {seconds} {at:.3}");
}

fn text(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for family in families(page) {
        let (suffix, kind) = match family.kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            kind => ("", kind),
        };
        let Family { name, help, samples, .. } = family;
        let _ = write!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        for Sample { name, labels, value } in samples {
            let _ = match labels {
                "" => writeln!(out, "{name} {value}"),
                labels => writeln!(out, "{name}{{{labels}}} {value}"),
            };
        }
    }
    out
}

/// How much a format is liked, in thousandths, by the most specific range that fits it; not at all if none does.
fn liking(ranges: &[&str], fit: fn(&str, &[&str]) -> Option<u8>) -> u16 {
    let fitting = ranges.iter().filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next()?;
        let parameters: Vec<&str> = parts.collect();
        let specific = fit(media, &parameters)?;
        Some((specific, quality(&parameters)))
    });
    fitting.max().map_or(0, |(_, quality)| quality)
}

fn is_open_metrics(media: &str, parameters: &[&str]) -> Option<u8> {
    let known = ["version=1.0.0", "version=0.0.1"];
    match media.to_ascii_lowercase().as_str() {
        "application/openmetrics-text" => has_version(parameters, &known).then_some(2),
        "application/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    }
}

fn is_text(media: &str, parameters: &[&str]) -> Option<u8> {
    match media.to_ascii_lowercase().as_str() {
        "text/plain" => has_version(parameters, &["version=0.0.4"]).then_some(2),
        "text/*" => Some(1),
        "*/*" => Some(0),
        _ => None,
    }
}

fn has_version(parameters: &[&str], known: &[&str]) -> bool {
    let mut versions = parameters.iter().filter(|one| one.starts_with("version="));
    versions.all(|version| known.contains(&version.replace('"', "").as_str()))
}

/// `q`, 1000 where it is not said (RFC 9110 section 12.4.2).
fn quality(parameters: &[&str]) -> u16 {
    let written = parameters.iter().find_map(|one| one.strip_prefix("q="));
    let thousandths = |q: f64| (q.clamp(0.0, 1.0) * 1000.0) as u16;
    written.map_or(1000, |q| q.parse().map_or(0, thousandths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::TraceId;
    use std::time::Duration;

    fn wanted(accept: &[&str]) -> Format {
        let name = header::ACCEPT;
        Format::wanted(&accept.iter().map(|line| (name.clone(), line.parse().unwrap())).collect())
    }

    #[test]
    fn the_scraper_gets_what_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                          text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for open in [
            &[][..],
            &["*/*"],
            &["text/html, */*;q=0.8"],
            &["application/json"],
            &["application/openmetrics-text"],
            &["text/plain;q=0.5", "application/openmetrics-text; version=\"1.0.0\"; q=0.5"],
            &["text/plain;version=1.0.0"],
            &[prometheus],
        ] {
            assert_eq!(wanted(open), Format::OpenMetrics, "{open:?}");
        }
        for text in [
            &["text/plain"][..],
            &["text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
            &["text/*"],
            &["Text/Plain; charset=utf-8"],
            &["application/openmetrics-text;version=2.0.0,text/plain;q=0.1"],
            &["application/openmetrics-text;q=0,*/*"],
            &["application/vnd.google.protobuf", "text/plain"],
        ] {
            assert_eq!(wanted(text), Format::Text, "{text:?}");
        }
    }

    const PAGE: &str = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_sum 0.5\n\
                        a_seconds_count 2\na_seconds_bucket{le=\"0.1\"} 1\na_seconds_bucket{le=\"+Inf\"} 2\n\
                        # HELP b B.\n# TYPE b counter\nb_total{route=\"/a } b # {x=\\\"\"} 7\n\
                        # HELP c C.\n# TYPE c info\nc_info{v=\"1\"} 1\n# EOF\n";

    #[test]
    fn prometheus_text_names_counters_in_full_and_has_no_end() {
        let page = Format::Text.page(PAGE.to_owned(), &[]);
        let expected =
            PAGE.replace("# EOF\n", "").replace(" b B.", " b_total B.").replace("TYPE b ", "TYPE b_total ");
        let expected = expected.replace(" c C.", " c_info C.").replace("TYPE c info", "TYPE c_info gauge");
        assert_eq!(page, expected);
    }

    #[test]
    fn exemplars_stand_beside_their_buckets() {
        let latency = Latency::new(&[0.1]);
        latency.observe_traced(Duration::from_millis(400), Some(TraceId::of([7; 16])));
        let page = Format::OpenMetrics.page(PAGE.to_owned(), &[("a_seconds", &latency)]);
        let line = page.lines().find(|line| line.contains("+Inf")).unwrap();
        let trace = "07".repeat(16);
        let prefix = format!("a_seconds_bucket{{le=\"+Inf\"}} 2 # {{trace_id=\"{trace}\"}} 0.4 1");
        assert!(line.starts_with(&prefix), "{line}");
        assert_eq!(page.matches("trace_id").count(), 1);
        assert_eq!(page.lines().count(), PAGE.lines().count());
        assert!(page.ends_with("# EOF\n"));
        assert!(!Format::Text.page(PAGE.to_owned(), &[("a_seconds", &latency)]).contains("trace_id"));
    }
}
