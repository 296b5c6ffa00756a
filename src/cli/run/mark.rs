//! The mark that a running sidecar leaves on the machine, to be found by the next one if it crashes.
//!
//! A new process must know whether the one before it ended in order: only then can it trust proofs of the second
//! it started in ([`Era`](crate::state::replay::era)). The mark is an empty file that is taken away at the end of
//! an orderly stop; while the process lives it is locked, so that replicas on one machine do not take each
//! other for dead. It lies where a crash does not clear it: in `STATE_DIRECTORY`, as systemd names it, else in
//! shared memory (which all lives of a pod's containers have in common), else in the temporary directory. Where
//! none can be left, nobody knows how the life before ended, which is as much as a crash. Where somebody takes
//! it away, proofs of the second we started in are believed; that much is left to the operator, and documented.

use crate::pop::jose::base64url;
use crate::pop::sha256;
use crate::state::replay::era::Before;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A mark that is there, and held.
pub(super) struct Mark {
    path: PathBuf,
    _held: File,
}

impl Mark {
    /// Leaves the mark of a sidecar with this config file, and tells how those before it ended: one that did not end
    /// in order is enough. Living processes with the same config are passed over: replicas, or who we take over from.
    pub(super) fn leave(config: &Path) -> (Option<Mark>, Before) {
        let folder = folder(std::env::var_os("STATE_DIRECTORY"));
        let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
        match Mark::leave_in(&folder, &config) {
            Ok((mark, before)) => (Some(mark), before),
            Err(why) => {
                tracing::info!(folder = %folder.display(), %why, "no mark can be left: proofs of the last seconds will need a nonce");
                (None, Before::Unknown)
            }
        }
    }

    fn leave_in(folder: &Path, config: &Path) -> io::Result<(Mark, Before)> {
        let mut ours: Option<Mark> = None;
        let mut before = Before::Orderly;
        for place in 0..MAX_PLACES {
            let path = folder.join(name(config, place));
            if ours.is_some() && !path.exists() {
                continue;
            }
            match Mark::hold(&path) {
                Ok((held, how)) => {
                    let mark = Mark { path, _held: held };
                    before = if how == Before::Unknown { how } else { before };
                    match ours {
                        None => ours = Some(mark),
                        Some(_) => mark.remove(), // what it tells is known now
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let too_many = || io::Error::other("too many processes have this config");
        ours.map(|mark| (mark, before)).ok_or_else(too_many)
    }

    /// Takes it away: this life ended in order.
    pub(super) fn remove(self) {
        if let Err(why) = std::fs::remove_file(&self.path) {
            tracing::warn!(mark = %self.path.display(), %why, "the mark of this process stays");
        }
    }

    fn hold(path: &Path) -> io::Result<(File, Before)> {
        let mut how = OpenOptions::new();
        how.write(true);
        let (file, before) = match how.clone().create_new(true).open(path) {
            Ok(file) => (file, Before::Orderly),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (how.open(path)?, Before::Unknown),
            Err(error) => return Err(error),
        };
        file.try_lock()?;
        Ok((file, before))
    }
}

fn folder(state: Option<OsString>) -> PathBuf {
    // systemd may name several, separated by colons.
    let named = state.as_deref().and_then(|all| all.as_bytes().split(|b| *b == b':').next());
    match named.filter(|first| !first.is_empty()) {
        Some(first) => PathBuf::from(std::ffi::OsStr::from_bytes(first)),
        None if Path::new(SHARED_MEMORY).is_dir() => PathBuf::from(SHARED_MEMORY),
        None => std::env::temp_dir(),
    }
}

fn name(config: &Path, place: usize) -> String {
    let digest = sha256::of(config.as_os_str().as_bytes());
    format!("clinch-{}-{place}.running", base64url(&digest[..12]))
}

/// Processes with one config that are told apart on one machine.
const MAX_PLACES: usize = 16;
const SHARED_MEMORY: &str = "/dev/shm";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("clinch-mark-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn a_mark_that_was_taken_away_says_that_all_was_in_order() {
        let path = at("orderly");
        for _ in 0..2 {
            let (held, before) = Mark::hold(&path).unwrap();
            assert_eq!(before, Before::Orderly);
            Mark { path: path.clone(), _held: held }.remove();
        }
    }

    #[test]
    fn a_mark_that_stayed_says_that_nobody_knows() {
        let path = at("crash");
        drop(Mark::hold(&path).unwrap());
        assert_eq!(Mark::hold(&path).unwrap().1, Before::Unknown);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_mark_that_a_living_process_holds_is_not_ours() {
        let path = at("held");
        let first = Mark::hold(&path).unwrap();
        assert_eq!(Mark::hold(&path).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
        drop(first);
        std::fs::remove_file(path).unwrap();
    }

    /// RP-005: whichever of the replicas on a machine crashed, the next process knows.
    #[test]
    fn one_crash_among_several_is_enough() {
        let (folder, config) = (at("several"), Path::new("clinch.yaml"));
        std::fs::create_dir_all(&folder).unwrap();
        let (first, _) = Mark::leave_in(&folder, config).unwrap();
        let (second, before) = Mark::leave_in(&folder, config).unwrap();
        assert_eq!(before, Before::Orderly, "the first one lives");
        drop(second); // a crash: its mark stays
        first.remove();
        let (third, before) = Mark::leave_in(&folder, config).unwrap();
        assert_eq!(before, Before::Unknown);
        third.remove();
        assert_eq!(Mark::leave_in(&folder, config).unwrap().1, Before::Orderly, "it is told once");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_folder_is_the_first_that_the_service_manager_names() {
        assert_eq!(folder(Some("/var/lib/clinch:/srv/other".into())), Path::new("/var/lib/clinch"));
        assert_ne!(folder(Some("".into())), Path::new(""));
    }

    #[test]
    fn every_config_has_a_mark_of_its_own() {
        assert_ne!(name(Path::new("/a/clinch.yaml"), 0), name(Path::new("/b/clinch.yaml"), 0));
    }
}
