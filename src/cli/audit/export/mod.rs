//! `clinch audit export`: records as a SIEM takes them, one JSON object a line, in constant memory.
//!
//! Nothing is left out: what has no place in the other schema is kept beside it. Whether the log is as it was written is not
//! looked at here: `clinch audit verify` does that.

mod ecs;
mod ocsf;

use super::record::Record;
use super::{complain, files, safe};
use crate::state::audit::verify::{Line, Lines};
use serde_json::{Map, Value};
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `clinch audit export`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// The schema: the Open Cybersecurity Schema Framework, or the Elastic Common Schema
    #[arg(long, value_enum)]
    format: Format,
    /// The files of the log in the order in which they are to be exported; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Ocsf,
    Ecs,
}

const EXAMPLE: &str = "\
Examples:
  clinch audit export --format ocsf audit.000000000001.jsonl audit.jsonl > audit.ocsf.jsonl
  clinch audit tail --file audit.jsonl -f --json | clinch audit export --format ecs - | my-shipper";

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut fine = true;
    for path in &arguments.files {
        let live = path == Path::new("-");
        let done = if live {
            one(arguments.format, Lines::new(io::stdin().lock()), path, &mut out, live)
        } else {
            let input = files::open(path).map(Lines::new).map_err(Failed::Read);
            input.and_then(|lines| one(arguments.format, lines, path, &mut out, live))
        };
        match done {
            Ok(all) => fine &= all,
            // Whoever reads has seen enough.
            Err(Failed::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Err(Failed::Write(error)) => return complain("export", &format!("standard output: {error}"), 1),
            Err(Failed::Read(error)) => {
                return complain("export", &format!("{}: {error}", path.display()), 1);
            }
        }
    }
    match out.flush() {
        Ok(()) if fine => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain("export", &format!("standard output: {error}"), 1),
    }
}

enum Failed {
    Read(io::Error),
    Write(io::Error),
}

/// Exports one file. False if there were lines in it that are no records.
fn one<R: BufRead>(
    format: Format,
    mut lines: Lines<R>,
    path: &Path,
    out: &mut impl Write,
    live: bool,
) -> Result<bool, Failed> {
    let (mut fine, terminal) = (true, io::stdout().is_terminal());
    loop {
        let number = lines.number + 1;
        let record = match lines.next().map_err(Failed::Read)? {
            Line::Whole(line) => Record::read(line),
            Line::TooLong => None,
            // As after a crash, or while it is being written.
            Line::Partial(_) | Line::End => return Ok(fine),
        };
        let Some(record) = record else {
            complain(
                "export",
                &format!("{}, line {number} is no record and was left out", path.display()),
                1,
            );
            fine = false;
            continue;
        };
        let event = match format {
            Format::Ocsf => ocsf::event(record),
            Format::Ecs => ecs::event(record),
        };
        let text = event.to_string();
        let text = if terminal { safe::json(&text) } else { text };
        writeln!(out, "{text}").map_err(Failed::Write)?;
        if live {
            out.flush().map_err(Failed::Write)?;
        }
    }
}

/// Puts a value where there is one.
fn put(into: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        into.insert(name.to_owned(), value.into());
    }
}

/// An object of those members that have a value; nothing if none has.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Option<Value> {
    let known = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let known: Map<String, Value> = known.collect();
    (!known.is_empty()).then_some(Value::Object(known))
}

/// The address and the port of a peer.
fn peer(record: &mut Record) -> Option<std::net::SocketAddr> {
    let peer = record.text("peer")?.parse().ok()?;
    record.take("peer");
    Some(peer)
}

/// A URL in parts.
struct Target {
    full: String,
    scheme: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    path: String,
}

/// What was asked for: a whole URL, or the host alone where nothing more was beyond doubt.
fn target(record: &mut Record) -> Option<Target> {
    let Some(full) = record.take_text("target") else {
        let host = record.take_text("host")?;
        return Some(Target {
            full: String::new(),
            scheme: None,
            host: Some(host),
            port: None,
            path: String::new(),
        });
    };
    let parsed = full.parse::<http::Uri>().ok();
    let of = |part: fn(&http::Uri) -> Option<&str>| parsed.as_ref().and_then(part).map(str::to_owned);
    Some(Target {
        scheme: of(http::Uri::scheme_str),
        host: of(http::Uri::host),
        port: parsed.as_ref().and_then(http::Uri::port_u16),
        path: of(|uri| Some(uri.path())).unwrap_or_default(),
        full,
    })
}

#[cfg(test)]
mod tests;
