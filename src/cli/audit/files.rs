//! The files of an audit log: keys, and which rotated files belong to an open one.

use crate::state::audit::names::Names;
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
    let names = Names::of(open);
    let path = |first| (first, names.folder().join(names.closed(first)));
    Ok(names.all_closed()?.into_iter().map(path).collect())
}

const AT_ONCE: usize = 256 * 1024;
/// Many times what a key is, and an end to reading `/dev/zero`.
const LARGEST_KEY: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_told_by_their_names() {
        let names = Names::of(Path::new("/log/audit.jsonl"));
        let first = |name: &str| names.first_of(Path::new(name).file_name()?.to_str()?);
        assert_eq!(first("/log/audit.000000005001.jsonl"), Some(5001));
        assert_eq!(first("/log/audit.1000000005001.jsonl"), Some(1_000_000_005_001));
        for other in
            ["audit.jsonl", "audit.4711.jsonl", "audit.4711.000000000001.jsonl", "b.000000000001.jsonl"]
        {
            assert_eq!(first(other), None, "{other}");
        }
    }
}
