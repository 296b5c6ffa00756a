//! From a file to a checked [`Config`]: tree, shape, meaning; every fault of all three at once.

use super::file::{self, File};
use super::problems::{Fault, Problems};
use super::{Config, Look, Source, Written, checks, shape, tree};
use crate::pop::Timestamp;
use std::io::Read;
use std::path::Path;

/// Reads and checks a file.
pub(super) fn file(file: &Path, now: Timestamp) -> Result<Config, Problems> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file);
    let look = opened.as_ref().ok().and_then(|file| Some(Look::of(&file.metadata().ok()?)));
    let read = opened.and_then(|f| f.take(LARGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let why = why_unreadable(&error);
        return Err(Problems::unreadable(file, format!("the configuration can't be read: {why}")));
    }
    if bytes.len() as u64 > LARGEST {
        return Err(Problems::unreadable(file, "the configuration is larger than 1 MiB"));
    }
    match String::from_utf8(bytes) {
        Ok(content) => text(&content, file, now).map(|mut config| {
            config.files.push(Source { path: file.to_owned(), look });
            config
        }),
        Err(_) => Err(Problems::unreadable(file, "the configuration is not UTF-8")),
    }
}

/// The kind of an error in words, not its text: that differs between systems.
pub(super) fn why_unreadable(error: &std::io::Error) -> String {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    if missing { "no such file".to_owned() } else { error.kind().to_string() }
}

/// Checks a text as if it stood in `file`.
pub(super) fn text(text: &str, file: &Path, now: Timestamp) -> Result<Config, Problems> {
    // A byte order mark is no part of the first line (YAML 1.2.2 section 5.2): columns count without it.
    let original = text;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut faults = Vec::new();
    let config = check((text, original), file.parent().unwrap_or(Path::new("")), now, &mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => {
            if faults.is_empty() {
                faults.push(Fault::new(
                    "",
                    0..0,
                    "the configuration can't be used, and clinch can't say why",
                ));
            }
            Err(Problems::new(file, text, faults))
        }
    }
}

fn check(
    (text, original): (&str, &str),
    base: &Path,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Option<Config> {
    let root = tree::read(text, faults);
    let Some(root) = root else {
        if faults.is_empty() {
            faults.push(Fault::new("", 0..0, "the file is empty").expected("a clinch configuration"));
        }
        return None;
    };
    let sound = shape::sound_part(&root, &file::schema(), faults)?;
    let written = Written::new(sound.clone(), original);
    match serde_json::from_value::<File>(sound) {
        Ok(file) => checks::all(&root, &file, base, now, faults).map(|config| Config { written, ..config }),
        Err(error) => {
            // The shape let something pass that the types do not take: refuse it all the same.
            faults.push(Fault::new("", 0..0, format!("the configuration can't be read: {error}")));
            None
        }
    }
}

/// Far more than any sound file, and an end to reading `/dev/zero`.
const LARGEST: u64 = 1 << 20;
