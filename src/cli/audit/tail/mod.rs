//! `clinch audit tail`: the last records, readable; those that are yet to come; or all about one request.
//!
//! Exit code 0 when the log could be read, 1 when not or when the request is not there, 64 for a wrong command line.

mod filter;
mod follow;
mod request;
mod show;

use super::super::EX_USAGE;
use super::record::Record;
use super::{complain, files};
use crate::config::Config;
use crate::state::audit::back::Back;
use crate::state::audit::verify::{Line, Lines};
use filter::Filter;
use follow::{Follow, sequence};
use show::Show;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `clinch audit tail`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    log: Which,
    /// Go on showing records as they are written
    #[arg(long, short, conflicts_with = "request")]
    follow: bool,
    /// How many records to begin with [default: 10, or all with --since]
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "request")]
    lines: Option<usize>,
    /// All about the request with this id, and what was recorded before it that may explain it
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Print the records as they are in the file
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The open file of the log
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration of the sidecar, whose `audit.file` it is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Which {
    fn file(&self) -> Result<PathBuf, String> {
        match (&self.file, &self.config) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(config)) => {
                let read = Config::load(config).map_err(|problems| problems.to_string())?;
                let audit = read.audit.ok_or_else(|| format!("{} has no `audit.file`", config.display()))?;
                Ok(audit.file)
            }
            (None, None) => Err("--file or --config is needed".to_owned()),
        }
    }
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let file = match arguments.log.file() {
        Ok(file) => file,
        Err(fault) => return complain("tail", &fault, EX_USAGE),
    };
    let show = Show::on_standard_output();
    let done = match &arguments.request {
        Some(id) => request::show(&file, id, arguments.json, show),
        None => run(arguments, &file, show).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => complain("tail", "no record of this request in the log", 1),
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain("tail", &format!("{}: {error}", file.display()), 1),
    }
}

fn run(arguments: &Arguments, file: &Path, show: Show) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut print = |line: &[u8]| match Record::read(line) {
        _ if !arguments.filter.shows(line) => Ok(()),
        Some(_) if arguments.json => writeln!(out, "{}", show.json(line)),
        Some(record) => writeln!(out, "{}", show.line(&record)),
        None => Ok(()),
    };
    // Opened before anything is looked for: whatever is rotated from now on, it is the one to go on with.
    let open = File::open(file)?;
    let mut sources = vec![Source::Open(open.try_clone()?)];
    if arguments.filter.looks_back() {
        sources.extend(older(file, &open)?);
    }
    let (mut at, mut offset) = beginning(arguments, &sources)?;
    let (position, last) = loop {
        let read = forward(&sources[at].open()?, offset, &mut print)?;
        if at == 0 {
            break read;
        }
        (at, offset) = (at - 1, 0);
    };
    if !arguments.follow {
        return Ok(());
    }
    let mut follow = Follow::new(file, open, position, last);
    loop {
        follow.poll(&mut print)?;
        std::thread::sleep(PAUSE);
    }
}

/// A file of the log. Rotated ones are opened one after the other: there may be more of them than may be open.
enum Source {
    Open(File),
    Rotated(PathBuf),
}

impl Source {
    fn open(&self) -> io::Result<File> {
        match self {
            Source::Open(file) => file.try_clone(),
            Source::Rotated(path) => File::open(path),
        }
    }
}

/// The rotated files, the latest first.
fn older(path: &Path, open: &File) -> io::Result<Vec<Source>> {
    use std::os::unix::fs::MetadataExt as _;
    let held = open.metadata()?.ino();
    let mut found = Vec::new();
    for (_, path) in files::rotated(path)?.into_iter().rev() {
        if path.metadata()?.ino() != held {
            found.push(Source::Rotated(path));
        }
    }
    Ok(found)
}

/// Where to begin, so that as many records are shown as are wanted: which file, and at which byte. Times are no order, for
/// clocks are set: it is looked back until a rotated file has nothing young enough.
fn beginning(arguments: &Arguments, sources: &[Source]) -> io::Result<(usize, u64)> {
    let unbounded = if arguments.filter.looks_back() { usize::MAX } else { USUAL };
    let wanted = arguments.lines.unwrap_or(unbounded);
    let (mut found, mut begin) = (0, (0, sources[0].open()?.metadata()?.len()));
    for (at, source) in sources.iter().enumerate() {
        if found >= wanted {
            break;
        }
        let (mut back, mut is_young) = (Back::new(source.open()?)?, at == 0);
        while found < wanted
            && let Some((offset, line)) = back.previous()?
        {
            is_young |= !arguments.filter.is_before(&line);
            if arguments.filter.shows(&line) {
                found += 1;
                begin = (at, offset);
            }
        }
        if !is_young {
            break;
        }
    }
    Ok(begin)
}

/// Prints what is there from `offset` on. Where the last whole line ends, and its number.
fn forward(
    mut file: &File,
    offset: u64,
    print: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, u64)> {
    file.seek(SeekFrom::Start(offset))?;
    let mut last = 0;
    let mut lines = Lines::new(io::BufReader::new(file));
    loop {
        match lines.next()? {
            Line::Whole(line) => {
                last = sequence(line).unwrap_or(last);
                print(line)?;
            }
            Line::TooLong => {}
            Line::Partial(_) | Line::End => return Ok((offset + lines.ended, last)),
        }
    }
}

/// How many records are shown if nobody says how many.
const USUAL: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);

const AFTER_HELP: &str = "\
Examples:
  clinch audit tail --config clinch.yaml -f --verdict refused
  clinch audit tail --file /var/log/clinch/audit.jsonl --request 4bf92f3577b34da6
  clinch audit tail --file /var/log/clinch/audit.jsonl --since 5m --client banking-app --json
The id of a request is in the answer to its caller, the log and the trace. With --since and --request, rotated files \
beside the open one are looked into as well.";
