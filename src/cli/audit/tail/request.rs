//! All about one request: its decision, and what was recorded before it that may explain it.

use super::super::files;
use super::super::record::{Record, kind};
use super::show::Show;
use crate::state::audit::back::Back;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Prints it. False if there is no such request.
pub(super) fn show(path: &Path, id: &str, json: bool, show: Show) -> io::Result<bool> {
    let Some(found) = find(path, id)? else { return Ok(false) };
    let mut out = io::stdout().lock();
    if json {
        for line in found.before.iter().chain([&found.line]) {
            writeln!(out, "{}", show.json(line))?;
        }
        return Ok(true);
    }
    let Some(record) = Record::read(&found.line) else { return Ok(false) };
    let before: Vec<Record> = found.before.iter().filter_map(|line| Record::read(line)).collect();
    for line in show.decision(&record, &before, &found.file.display().to_string()) {
        writeln!(out, "{line}")?;
    }
    Ok(true)
}

#[derive(Default)]
struct Found {
    file: PathBuf,
    line: Vec<u8>,
    /// The last of each kind before it, the earliest first.
    before: Vec<Vec<u8>>,
}

/// Looks for it from the end of the log, and on from there for what was before.
fn find(path: &Path, id: &str) -> io::Result<Option<Found>> {
    // Opened before the rest is looked for: what is rotated meanwhile is read twice rather than not at all. The rotated
    // ones one after the other: there may be more of them than may be open.
    let mut open = Some(File::open(path)?);
    let rotated = files::rotated(path)?.into_iter().rev().map(|(_, path)| path);
    let needle = format!(r#""request":{}"#, serde_json::Value::from(id)).into_bytes();
    let mut found: Option<Found> = None;
    for path in std::iter::once(path.to_owned()).chain(rotated) {
        let file = open.take().map_or_else(|| File::open(&path), Ok)?;
        let mut back = Back::new(file)?;
        while let Some((_, line)) = back.previous()? {
            if let Some(before) = &mut found {
                if before.is_explained_by(line) {
                    return Ok(found);
                }
            } else if is_it(&line, &needle, id) {
                found = Some(Found { file: path.clone(), line, before: Vec::new() });
            }
        }
    }
    Ok(found)
}

/// Whether this is the request's record. Most lines are none, so they are not read for it.
fn is_it(line: &[u8], needle: &[u8], id: &str) -> bool {
    let head = &line[..line.len().min(HEAD)];
    head.windows(needle.len()).any(|part| part == needle)
        && Record::read(line).is_some_and(|record| record.text("request") == Some(id))
}

impl Found {
    /// Takes a line from before the request if it may explain it. True when there is no need to look further.
    fn is_explained_by(&mut self, line: Vec<u8>) -> bool {
        let of_kind = |line: &[u8], wanted: &str| kind(line) == Some(wanted);
        // What was before the process began explains nothing.
        let started = of_kind(&line, "start");
        let new =
            |wanted: &str| of_kind(&line, wanted) && !self.before.iter().any(|known| of_kind(known, wanted));
        if started || EXPLAINING.into_iter().any(new) {
            self.before.insert(0, line);
        }
        started || self.before.len() == EXPLAINING.len()
    }
}

/// The kinds of records by which the world changed.
const EXPLAINING: [&str; 4] = ["config", "keys", "feed", "certificate"];
/// The id of a request is within these first bytes.
const HEAD: usize = 1024;
