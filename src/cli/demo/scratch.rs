//! The demo's own directory: readable by its owner only, and gone when the demo ends.

use crate::cli::holder::random_id;
use anyhow::Context as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

/// A directory that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new directory below the system's directory for temporary files.
    pub(super) fn new() -> anyhow::Result<Scratch> {
        let id = random_id();
        let path = std::env::temp_dir().join(format!("clinch-demo-{}", id.get(..8).unwrap_or(&id)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("a directory for the demo: {}", path.display()))?;
        Ok(Scratch(path))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only its owner can read; returns its path.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        crate::cli::proof::write_secret(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    #[test]
    fn it_is_private_and_leaves_nothing_behind() {
        let scratch = Scratch::new().unwrap();
        let file = scratch.write("secret", "x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&scratch.0), mode(&file)), (0o700, 0o600));
        let directory = scratch.0.clone();
        drop(scratch);
        assert!(!directory.exists());
    }
}
