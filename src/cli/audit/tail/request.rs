//! All about one request: its decision, what else was recorded of it, and what was recorded before it that may explain it.

use super::super::files;
use super::super::record::{Record, kind};
use super::show::Show;
use crate::state::audit::back::Back;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Prints it. False if there is no such request.
pub(super) fn show(path: &Path, id: &str, json: bool, show: Show) -> io::Result<bool> {
    let found = find(path, id)?;
    let Some((line, file)) =
        found.of_it.iter().rev().find(|(line, _)| is_decision(line)).or(found.of_it.last())
    else {
        return Ok(false);
    };
    let mut out = io::stdout().lock();
    if json {
        for line in found.before.iter().chain(found.of_it.iter().map(|(line, _)| line)) {
            writeln!(out, "{}", show.json(line))?;
        }
        return Ok(true);
    }
    let Some(record) = Record::read(line) else { return Ok(false) };
    let read = |line: &Vec<u8>| Record::read(line);
    let others = found.of_it.iter().map(|(line, _)| line).filter(|other| *other != line);
    let others: Vec<Record> = others.filter_map(read).collect();
    let before: Vec<Record> = found.before.iter().filter_map(read).collect();
    for line in show.decision(&record, &others, &before, &file.display().to_string()) {
        writeln!(out, "{line}")?;
    }
    Ok(true)
}

#[derive(Default)]
struct Found {
    /// The records of the request and where each is, the earliest first. The last decision counts: a client can go away
    /// while a grant waits for the disk. A request that was granted can be cut, too, much later.
    of_it: Vec<(Vec<u8>, PathBuf)>,
    /// The last of each kind before it, the earliest first.
    before: Vec<Vec<u8>>,
}

/// Looks for it from the end of the log, and on from its decision for what was before.
fn find(path: &Path, id: &str) -> io::Result<Found> {
    // Opened before the rest is looked for: what is rotated meanwhile is read twice rather than not at all. The rotated
    // ones one after the other: there may be more of them than may be open.
    let mut open = Some(File::open(path)?);
    let rotated = files::rotated(path)?.into_iter().rev().map(|(_, path)| path);
    let needle = format!(r#""request":{}"#, serde_json::Value::from(id)).into_bytes();
    let (mut found, mut decided) = (Found::default(), false);
    for path in std::iter::once(path.to_owned()).chain(rotated) {
        let file = open.take().map_or_else(|| File::open(&path), Ok)?;
        let mut back = Back::new(file)?;
        while let Some((_, line)) = back.previous()? {
            if is_it(&line, &needle, id) {
                decided |= is_decision(&line);
                // Read twice, if the file was rotated meanwhile.
                if found.of_it.first().is_none_or(|(known, _)| *known != line) && found.of_it.len() < MOST {
                    found.of_it.insert(0, (line, path.clone()));
                }
            } else if decided && found.is_explained_by(line) {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Whether this is a record of the request. Most lines are none, so they are not read for it.
fn is_it(line: &[u8], needle: &[u8], id: &str) -> bool {
    let head = &line[..line.len().min(HEAD)];
    head.windows(needle.len()).any(|part| part == needle)
        && Record::read(line).is_some_and(|record| record.text("request") == Some(id))
}

fn is_decision(line: &[u8]) -> bool {
    kind(line) == Some("decision")
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
/// A request has two decisions and one end at most; who puts more there is not believed.
const MOST: usize = 16;
