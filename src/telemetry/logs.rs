//! Log lines: one JSON object per line for machines, or a line for people.
//!
//! Lines are written by a thread of their own; when it can't keep up they are lost and counted, never
//! waited for. Whatever a field holds, it can't break its line or drive a terminal: control characters are
//! escaped. Other crates are heard from `warn` on: below that some print the header fields they handle.

use crate::config::{LogFormat, Telemetry};
use std::fmt::{self, Debug, Write};
use std::sync::OnceLock;
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

/// Installs the process-wide log subscriber, which writes to standard error. The guard writes what is left
/// when dropped. Only the first call of a process has an effect.
pub fn install_logging(config: &Telemetry) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let counter = writer.error_counter();
    if tracing::subscriber::set_global_default(subscriber(config, writer)).is_ok() {
        let _ = DROPPED.set(counter);
    }
    guard
}

/// How many lines were lost because the output was too slow.
pub(super) fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

fn subscriber<W>(config: &Telemetry, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let others = config.level.min(LevelFilter::WARN);
    // h2 warns of what a client does, without saying which, as often as the client likes; we say it once a connection.
    let of_clients = config.level.min(LevelFilter::ERROR);
    let heard = Targets::new().with_default(others).with_target("clinch", config.level);
    let heard = heard.with_target("h2", of_clients);
    // What proves the end of the audit log must be elsewhere than in it, and there is no more of it than one line a checkpoint.
    let anchors =
        if config.level == LevelFilter::OFF { LevelFilter::OFF } else { config.level.max(LevelFilter::INFO) };
    let heard = heard.with_target(ANCHORS, anchors);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).event_format(Line(config.format));
    tracing_subscriber::registry().with(layer.with_filter(heard))
}

/// One event, one line.
struct Line(LogFormat);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields { format: self.0, message: String::new(), rest: String::new() };
        event.record(&mut fields);
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        let meta = event.metadata();
        match self.0 {
            LogFormat::Json => {
                write!(out, r#"{{"time":"{time}","level":"{}","target":"#, meta.level())?;
                write_json(meta.target(), &mut out)?;
                out.write_str(r#","message":"#)?;
                write_json(&fields.message, &mut out)?;
                writeln!(out, "{}}}", fields.rest)
            }
            LogFormat::Human => {
                write!(out, "{time} {:5} ", meta.level())?;
                write_plain(&fields.message, &mut out)?;
                writeln!(out, "{}", fields.rest)
            }
        }
    }
}

/// The fields of an event, rendered as they are visited; empty ones are not.
struct Fields {
    format: LogFormat,
    message: String,
    rest: String,
}

impl Fields {
    /// `value` needs no escaping.
    fn bare(&mut self, field: &Field, value: &dyn fmt::Display) {
        // Writing to a String can't fail.
        let _ = match self.format {
            LogFormat::Json => write!(self.rest, r#","{}":{value}"#, field.name()),
            LogFormat::Human => write!(self.rest, " {}={value}", field.name()),
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(cut(value));
            return;
        }
        let value = cut(value);
        let _ = match self.format {
            LogFormat::Json => write!(self.rest, r#","{}":"#, field.name()),
            LogFormat::Human => write!(self.rest, " {}=", field.name()),
        };
        let plain = self.format == LogFormat::Human && !value.is_empty() && !value.contains([' ', '=', '"']);
        let _ = if plain { write_plain(value, &mut self.rest) } else { write_json(value, &mut self.rest) };
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, &value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, &value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, &value);
    }
}

/// The beginning of a value: a caller chooses the length of a path, and thousands of lines may wait.
pub(crate) fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// A JSON string (RFC 8259 section 7), with every control and every invisible line or direction mark escaped.
fn write_json(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            c if breaks_lines(c) => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

/// The same for a line that people read.
fn write_plain(text: &str, out: &mut impl Write) -> fmt::Result {
    for character in text.chars() {
        match character {
            c if breaks_lines(c) => write!(out, "{}", c.escape_unicode())?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

/// Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of text. All of them
/// lie in the basic plane, so four hex digits are enough.
pub(crate) fn breaks_lines(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The target of lines that are anchors of the audit log: written whatever the level, unless nothing is.
pub const ANCHORS: &str = "clinch::anchor";
/// Bytes of a value that are logged.
const LONGEST_VALUE: usize = 2048;
/// Lines that may wait for the output.
const WAITING_LINES: usize = 16 * 1024;
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::sink::Sink;

    fn logged(format: LogFormat, level: LevelFilter, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let config = Telemetry { format, level, ..Telemetry::default() };
        tracing::subscriber::with_default(subscriber(&config, move || writer.clone()), log);
        sink.text()
    }

    const HOSTILE: &str = "a\"b\\c\nd\re\u{1b}[31m\u{9b}\u{7f}\0\u{2028}\u{202e}é\u{1f600}";

    #[test]
    fn a_json_line_is_one_flat_object() {
        let absent: Option<&str> = None;
        let text = logged(LogFormat::Json, LevelFilter::INFO, || {
            tracing::info!(target: "clinch::gate", subject = "alice", absent, elapsed_us = 7_u64, ok = true, "refused");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(humantime::parse_rfc3339(line["time"].as_str().unwrap()).is_ok());
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "clinch::gate");
        assert_eq!(line["message"], "refused");
        assert_eq!(line["subject"], "alice");
        assert_eq!(line["elapsed_us"], 7);
        assert_eq!(line["ok"], true);
        assert_eq!(line.as_object().unwrap().len(), 7, "{text}");
    }

    /// HD-059
    #[test]
    fn no_value_breaks_a_line_of_json() {
        let text = logged(LogFormat::Json, LevelFilter::INFO, || {
            tracing::info!(subject = HOSTILE, debug = ?HOSTILE, "{HOSTILE}");
        });
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.trim_end().chars().any(breaks_lines), "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["subject"], HOSTILE, "escaped, not altered");
        assert_eq!(line["message"], HOSTILE);
    }

    #[test]
    fn a_value_has_a_bound() {
        for format in [LogFormat::Json, LogFormat::Human] {
            let long = "é".repeat(20_000);
            let text =
                logged(format, LevelFilter::INFO, || tracing::info!(url = long, debug = ?long, "{long}"));
            assert!(text.len() < 4 * LONGEST_VALUE && text.contains("éé"), "{}", text.len());
        }
    }

    /// HD-059
    #[test]
    fn no_value_breaks_a_line_for_people() {
        let text =
            logged(LogFormat::Human, LevelFilter::INFO, || tracing::warn!(subject = HOSTILE, "{HOSTILE}"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.trim_end().chars().any(breaks_lines), "{text:?}");
        assert!(text.contains(" WARN ") && text.contains(r#" subject="a\"b"#), "{text}");
        let forged = logged(LogFormat::Human, LevelFilter::INFO, || {
            tracing::info!(subject = "x verdict=granted", "m")
        });
        assert!(forged.ends_with(" m subject=\"x verdict=granted\"\n"), "{forged}");
    }

    #[test]
    fn anchors_of_the_audit_log_are_written_whatever_the_level() {
        let anchor = || {
            tracing::info!(target: ANCHORS, sequence = 7, "audit checkpoint");
            tracing::info!("other news");
        };
        for level in [LevelFilter::ERROR, LevelFilter::WARN] {
            let text = logged(LogFormat::Human, level, anchor);
            assert!(text.contains("audit checkpoint sequence=7") && text.lines().count() == 1, "{text}");
        }
        assert_eq!(logged(LogFormat::Human, LevelFilter::TRACE, anchor).lines().count(), 2);
        assert_eq!(logged(LogFormat::Human, LevelFilter::OFF, anchor), "");
    }

    #[test]
    fn other_crates_are_heard_from_warn_on() {
        let text = logged(LogFormat::Human, LevelFilter::TRACE, || {
            tracing::debug!(target: "rustls::server", "authorization: DPoP secret");
            tracing::warn!(target: "rustls::server", "careful");
            tracing::warn!(target: "h2::proto::streams", "what a client does");
            tracing::trace!(target: "clinch::serve", "ours");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        let quiet = logged(LogFormat::Human, LevelFilter::OFF, || {
            tracing::error!(target: "h2::codec", "no");
            tracing::error!("no");
        });
        assert_eq!(quiet, "");
    }
}
