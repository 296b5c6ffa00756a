//! The files of an audit log: keys, and which rotated files belong to an open one.

use crate::state::audit::verify::Key;
use anyhow::{Context as _, anyhow};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Reads a key in PEM, its public or private half.
pub(super) fn key(path: &Path) -> anyhow::Result<Key> {
    let named = || format!("--key {}", path.display());
    let mut pem = Vec::new();
    File::open(path).with_context(named)?.take(LARGEST_KEY).read_to_end(&mut pem).with_context(named)?;
    Key::read(&pem).map_err(|fault| anyhow!("{} {fault}", named()))
}

/// Opens a file for reading it from its first to its last byte.
pub(super) fn open(path: &Path) -> io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(AT_ONCE, File::open(path)?))
}

/// The rotated files of an open one, in the order of their records: `audit.<12 digits>.jsonl` beside `audit.jsonl`.
///
/// # Errors
/// The directory can't be read.
pub(super) fn rotated(open: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let directory = match open.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if let Some(first) = first_of(&path, open) {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The number of the first record, by the name of the file.
fn first_of(path: &Path, open: &Path) -> Option<u64> {
    let of_same_kind = path.extension() == open.extension();
    let digits = Path::new(path.file_stem()?).extension()?.to_str()?;
    let numbered = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let stem = Path::new(path.file_stem()?).file_stem()?;
    (of_same_kind && numbered && Some(stem) == open.file_stem()).then(|| digits.parse().ok())?
}

const AT_ONCE: usize = 256 * 1024;
/// Many times what a key is, and an end to reading `/dev/zero`.
const LARGEST_KEY: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_told_by_their_names() {
        let first = |name: &str| first_of(Path::new(name), Path::new("/log/audit.jsonl"));
        assert_eq!(first("/log/audit.000000005001.jsonl"), Some(5001));
        assert_eq!(first("/log/audit.1000000005001.jsonl"), Some(1_000_000_005_001));
        for other in
            ["audit.jsonl", "audit.4711.jsonl", "audit.4711.000000000001.jsonl", "b.000000000001.jsonl"]
        {
            assert_eq!(first(other), None, "{other}");
        }
    }
}
