//! `clinch audit verify`: whether audit logs are as they were written.
//!
//! Exit code 0 when they are, 1 when not or when a file can't be read, 64 for a wrong command line.

use super::super::EX_USAGE;
use super::safe::{self, safe as shown};
use super::{complain, files};
use crate::pop::jose::base64url_decode;
use crate::state::audit::chain::{End, LAST};
use crate::state::audit::verify::{
    Beginning, Demands, Ending, Fault, Log, Outcome, Replica, Unread, UnsignedStart, verify,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `clinch audit verify`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The files of one log or of several, in any order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The public key that signs checkpoints, in PEM, or the private one; several where it was exchanged
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A record that must be there, as the sidecar's own log names it
    #[arg(long, value_name = "SEQ:HASH", value_parser = anchor)]
    anchor: Vec<End>,
    /// The last record of the files that were archived: the log begins after it
    #[arg(long, value_name = "SEQ:HASH", value_parser = anchor)]
    from: Vec<End>,
    /// A log may begin at any record, and go on in a file that was not given
    #[arg(long)]
    partial: bool,
    /// Each log must end as an orderly stop ends it; that nothing came after that stop only --anchor proves
    #[arg(long)]
    closed: bool,
    /// How long records may go on without a signature, anywhere in the log, where there is a key [default: as each signed
    /// checkpoint says, and a minute; 65m where an older version does not say it]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_unsigned: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let keys = arguments.key.iter().map(|path| files::key(path)).collect::<anyhow::Result<Vec<_>>>();
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => return complain("verify", &format!("{error:#}"), EX_USAGE),
    };
    let demands = Demands {
        keys,
        anchors: arguments.anchor.clone(),
        from: arguments.from.clone(),
        partial: arguments.partial,
        closed: arguments.closed,
        max_unsigned: arguments.max_unsigned,
    };
    let outcome = match verify(&once(&arguments.files), |name| files::open(Path::new(name)), &demands) {
        Ok(outcome) => outcome,
        Err(Unread { file, error }) => return complain("verify", &format!("{file}: {error}"), 1),
    };
    let mut out = io::stdout().lock();
    let written = if arguments.json {
        writeln!(out, "{}", safe::json(&as_json(&outcome, &demands).to_string()))
    } else {
        report(&outcome, &demands, &mut out)
    };
    match written {
        Ok(()) if outcome.fine => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => complain("verify", &format!("standard output: {error}"), 1),
    }
}

/// Each file once, also where a pattern of the shell and a name both mean it, or while it has two names.
fn once(paths: &[PathBuf]) -> Vec<String> {
    let mut seen = HashSet::new();
    let identity = |path: &PathBuf| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let new = |path: &&PathBuf| identity(path).is_none_or(|identity| seen.insert(identity));
    paths.iter().filter(new).map(|path| path.display().to_string()).collect()
}

/// `17:the hash of record 17`
fn anchor(text: &str) -> Result<End, String> {
    const SHAPE: &str =
        "a record's number and hash are needed, such as 17:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
    let (sequence, hash) = text.split_once(':').ok_or(SHAPE)?;
    base64url_decode(hash).filter(|bytes| bytes.len() == 32).ok_or(SHAPE)?;
    let hash = hash.as_bytes().try_into().map_err(|_| SHAPE)?;
    match sequence.parse() {
        Ok(sequence) if (1..=LAST).contains(&sequence) => Ok(End { sequence, hash }),
        Ok(_) | Err(_) => Err(SHAPE.to_owned()),
    }
}

fn report(outcome: &Outcome, demands: &Demands, out: &mut impl Write) -> io::Result<()> {
    for log in &outcome.logs {
        let id = log.id.as_ref().map(|id| format!(" {}", safe::word(id))).unwrap_or_default();
        writeln!(out, "log{id}: {}", counted(log.files.len() as u64, "file"))?;
        for line in told(log, demands) {
            writeln!(out, "  {line}")?;
        }
    }
    for fault in &outcome.anchors {
        writeln!(out, "{}: {}", place(fault), shown(&fault.to_string()))?;
    }
    if demands.keys.is_empty() {
        writeln!(out, "signatures were not checked: no --key")?;
    }
    writeln!(out, "{}", if outcome.fine { "in order" } else { "NOT in order" })
}

/// What is told of one log, in lines.
fn told(log: &Log, demands: &Demands) -> Vec<String> {
    let mut lines = Vec::new();
    if log.records == 0 {
        let order = if log.fault.is_some() { "no record of it is in order" } else { "no record is in it" };
        lines.push(order.to_owned());
    } else {
        lines.push(format!(
            "records {} to {}, {} to {}",
            log.first,
            log.last.sequence,
            shown(&log.first_time),
            shown(&log.last_time)
        ));
        lines.push(signed(log, demands));
        lines.extend(replicas(log));
    }
    if log.beginning == Beginning::Unknown {
        lines.push(format!("begins at record {}; what was before can't be checked", log.first));
    }
    if log.crashes > 0 {
        lines.push(format!(
            "{} began although the one before had not ended in order",
            counted(log.crashes, "process")
        ));
    }
    lines.extend(unsigned_starts(log));
    if log.recovered > 0 {
        lines.push(format!("{} ended within a line, and the next said so", counted(log.recovered, "file")));
    }
    if log.touched > 0 {
        lines.push(format!(
            "{} that others had changed, moved or removed a file, as the log says",
            counted(log.touched, "time")
        ));
    }
    if log.lost > 0 {
        lines.push(format!("{} could not be written, as the log says", counted(log.lost, "record")));
    }
    if log.unknown > 0 {
        lines.push(format!("{} of a kind that this version does not know", counted(log.unknown, "record")));
    }
    if let Some(record) = log.first_back {
        lines.push(format!(
            "{} older by minutes than the one before, first record {record}: the clock was set back, or the times are not true",
            if log.back == 1 { "1 record is".to_owned() } else { format!("{} records are", log.back) },
        ));
    }
    match &log.fault {
        Some(fault) => lines.push(format!("{}: {}", place(fault), shown(&fault.to_string()))),
        None => lines.push(ending(log)),
    }
    lines.push(format!("last in order: {}", named(log.last)));
    lines
}

/// Whose log it says to be: with one key for several replicas, a signature does not tell.
fn replicas(log: &Log) -> impl Iterator<Item = String> {
    let one = |(at, replica): (usize, &Replica)| {
        let name = safe::word(&replica.name);
        if at == 0 {
            format!("written by {name}")
        } else {
            format!("from record {} on written by {name}", replica.from)
        }
    };
    let more = log.replica_count - log.replicas.len() as u64;
    let more = (more > 0).then(|| format!("by others after that, {} in all", counted(more, "change")));
    log.replicas.iter().enumerate().map(one).chain(more)
}

/// What processes found that nobody had signed, and signed for since: small after crashes, or somebody put it there.
fn unsigned_starts(log: &Log) -> impl Iterator<Item = String> {
    let one = |start: &UnsignedStart| {
        let found = counted(start.unsigned, "record");
        format!("record {} is the start of a process that found {found} without a signature", start.record)
    };
    let more = log.unsigned_start_count - log.unsigned_starts.len() as u64;
    let more = (more > 0).then(|| format!("{} more found some", counted(more, "process")));
    log.unsigned_starts.iter().map(one).chain(more)
}

fn signed(log: &Log, demands: &Demands) -> String {
    let unsigned = match log.unsigned {
        0 => String::new(),
        1 => "; 1 record is not yet signed".to_owned(),
        count => format!("; {count} records are not yet signed"),
    };
    let checked = if demands.keys.is_empty() { ", unchecked" } else { "" };
    match log.signed {
        Some(record) => format!("signed up to record {record}{checked}{unsigned}"),
        None => "nothing is signed".to_owned(),
    }
}

fn ending(log: &Log) -> String {
    match log.ending {
        Ending::Closed => {
            "closed: it ends with a stop and a checkpoint; whether more came after them can't be told from it"
                .to_owned()
        }
        Ending::Rotated => "goes on in a file that was not given".to_owned(),
        Ending::Open => "open: whether it was cut off after the last record can't be told from it".to_owned(),
        Ending::Incomplete { bytes } => format!(
            "incomplete: {} of record {} are there, as after a crash or while it is written",
            counted(bytes, "byte"),
            log.last.sequence + 1
        ),
    }
}

fn place(fault: &Fault) -> String {
    let file = shown(&fault.file);
    if fault.line == 0 { file } else { format!("{file}, line {}", fault.line) }
}

fn counted(count: u64, what: &str) -> String {
    let plural = if what.ends_with('s') { "es" } else { "s" };
    format!("{count} {what}{}", if count == 1 { "" } else { plural })
}

fn named(end: End) -> String {
    format!("{}:{}", end.sequence, shown(&String::from_utf8_lossy(&end.hash)))
}

fn as_json(outcome: &Outcome, demands: &Demands) -> Value {
    let fault = |fault: &Fault| {
        json!({
            "file": fault.file, "line": (fault.line > 0).then_some(fault.line),
            "from": fault.record, "to": fault.to(), "what": fault.to_string(),
        })
    };
    let start = |start: &UnsignedStart| json!({ "record": start.record, "unsigned": start.unsigned });
    let replica = |replica: &Replica| json!({ "name": replica.name, "from": replica.from });
    let log = |log: &Log| {
        let (ending, bytes) = match log.ending {
            Ending::Closed => ("closed", None),
            Ending::Rotated => ("rotated", None),
            Ending::Open => ("open", None),
            Ending::Incomplete { bytes } => ("incomplete", Some(bytes)),
        };
        json!({
            "log": log.id, "files": log.files, "records": log.records, "first": log.first,
            "first_time": log.first_time, "last": log.last.sequence, "last_time": log.last_time,
            "anchor": named(log.last), "beginning_known": log.beginning != Beginning::Unknown,
            "signed": log.signed, "unsigned": log.unsigned, "keys": log.keys, "lost": log.lost,
            "replicas": log.replicas.iter().map(replica).collect::<Vec<_>>(), "replica_count": log.replica_count,
            "crashes": log.crashes, "unsigned_starts": log.unsigned_starts.iter().map(start).collect::<Vec<_>>(),
            "unsigned_start_count": log.unsigned_start_count, "recovered": log.recovered, "touched": log.touched, "unknown_kinds": log.unknown,
            "times_back": log.back, "first_time_back": log.first_back, "ending": ending,
            "incomplete_bytes": bytes, "fault": log.fault.as_ref().map(fault),
        })
    };
    json!({
        "fine": outcome.fine,
        "signatures_checked": !demands.keys.is_empty(),
        "logs": outcome.logs.iter().map(log).collect::<Vec<_>>(),
        "anchors": outcome.anchors.iter().map(fault).collect::<Vec<_>>(),
    })
}

const AFTER_HELP: &str = "\
Every record is checked against its hash and against the record before it, and every signature if there is a key. The first \
record that was changed, removed, put in or moved is named. That records were cut off at the end can be seen only by a record \
that is known from elsewhere (--anchor): keep the last line that this prints, or the one in the sidecar's own log. --closed \
says that the log ends as an orderly stop ends it, and a log that was cut back to an earlier stop does so, too. Nothing proves \
those records that are younger than a checkpoint's interval and a minute (or --max-unsigned) when somebody got at the file: they may be anybody's, if no anchor names them \
and no signature came before.";
