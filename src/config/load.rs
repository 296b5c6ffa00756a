//! From a file to a checked [`Config`] or [`Injector`]: tree, shape, meaning; every fault of all three at once.

use super::file::{self, File};
use super::problems::{Fault, Problems};
use super::template::Template;
use super::tree::Node;
use super::{Config, Injector, Look, Source, Written, checks, shape, tree};
use crate::pop::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Reads and checks a file.
pub(super) fn file(file: &Path, now: Timestamp) -> Result<Config, Problems> {
    let (content, source) = content(file)?;
    text(&content, file, now).map(|mut config| {
        config.files.push(source);
        config
    })
}

/// The same for the file of the injector.
pub(super) fn injector(file: &Path, now: Timestamp) -> Result<Injector, Problems> {
    let (content, source) = content(file)?;
    injector_text(&content, file, now).map(|mut injector| {
        injector.files.push(source);
        injector
    })
}

/// The text of a file, and how that looked.
fn content(file: &Path) -> Result<(String, Source), Problems> {
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
    let content = String::from_utf8(bytes);
    let content = content.map_err(|_| Problems::unreadable(file, "the configuration is not UTF-8"))?;
    Ok((content, Source { path: file.to_owned(), look }))
}

/// The kind of an error in words, not its text: that differs between systems.
pub(super) fn why_unreadable(error: &std::io::Error) -> String {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    if missing { "no such file".to_owned() } else { error.kind().to_string() }
}

/// Checks a text as if it stood in `file`.
pub(super) fn text(text: &str, file: &Path, now: Timestamp) -> Result<Config, Problems> {
    checked(text, file, |base, sound, faults| check((sound, text), base, now, faults))
}

/// The same for a text of the injector's.
pub(super) fn injector_text(text: &str, file: &Path, now: Timestamp) -> Result<Injector, Problems> {
    checked(text, file, |base, text, faults| {
        let (root, sound) = sound_part(text, &file::injector_schema(), faults)?;
        let written = typed::<file::InjectorFile>(sound, faults)?;
        checks::injector::all(&root, &written, base, now, faults)
    })
}

/// The template and the namespace of the injector's file.
pub(super) fn injector_template(file: &Path, now: Timestamp) -> Result<(Template, Option<String>), Problems> {
    let (content, _) = content(file)?;
    checked(&content, file, |base, text, faults| {
        let (root, sound) = sound_part(text, &file::injector_schema(), faults)?;
        let written = typed::<file::InjectorFile>(sound, faults)?;
        checks::injector::template(&root, &written, base, now, faults)
    })
}

/// What a check makes of a text, or all faults. The check gets the folder that relative paths resolve against.
fn checked<T>(
    text: &str,
    file: &Path,
    check: impl FnOnce(&Path, &str, &mut Vec<Fault>) -> Option<T>,
) -> Result<T, Problems> {
    // A byte order mark is no part of the first line (YAML 1.2.2 section 5.2): columns count without it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut faults = Vec::new();
    // A file that is named without a folder lies in this one, which has a name like any other.
    let base = file.parent().filter(|base| !base.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match check(base, text, &mut faults) {
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
    let (root, sound) = sound_part(text, &file::schema(), faults)?;
    let written = Written::new(sound.clone(), original);
    let file = typed::<File>(sound, faults)?;
    checks::all(&root, &file, base, now, faults).map(|config| Config { written, ..config })
}

/// The tree of a text, and what of it is as the schema says.
fn sound_part(text: &str, schema: &Value, faults: &mut Vec<Fault>) -> Option<(Node, Value)> {
    let Some(root) = tree::read(text, faults) else {
        if faults.is_empty() {
            faults.push(Fault::new("", 0..0, "the file is empty").expected("a clinch configuration"));
        }
        return None;
    };
    let sound = shape::sound_part(&root, schema, faults)?;
    Some((root, sound))
}

fn typed<T: DeserializeOwned>(sound: Value, faults: &mut Vec<Fault>) -> Option<T> {
    serde_json::from_value(sound)
        .inspect_err(|error| {
            // The shape let something pass that the types do not take: refuse it all the same.
            faults.push(Fault::new("", 0..0, format!("the configuration can't be read: {error}")));
        })
        .ok()
}

/// Far more than any sound file, and an end to reading `/dev/zero`.
const LARGEST: u64 = 1 << 20;
