//! The index on disk, so that a start reads only what the feed has had since.
//!
//! A snapshot is the index as of some position of the feed, or a little later. The position is taken before the
//! entries are copied, so that reading on from there loses nothing: events are idempotent. Nothing that was written is
//! believed but what is whole, of this version, and written for a config under which events mean the same; all
//! else is put aside, told once, and the feed is read from its start. A snapshot makes nobody ready: the feed must
//! catch up from its position first (ATTACKS RV-025).
//!
//! The checksum finds damage, not forgery: whoever may write the file decides what is revoked. A file that others than
//! its owner may write is refused.

mod format;

use super::feed::{Feed, Intake};
use super::index::Index;
use crate::config;
use crate::pop::Timestamp;
use aws_lc_rs::digest;
use format::Header;
pub(super) use format::Refused;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Writes snapshots, one at a time, and reads the one that is there at start.
#[derive(Debug)]
pub(super) struct Keeper {
    file: PathBuf,
    every: Duration,
    basis: [u8; 32],
    last: Mutex<Last>,
}

/// What became of the last one.
#[derive(Debug, Default)]
struct Last {
    /// The position it was written at, and how many events had been applied.
    written: Option<(Vec<u8>, u64)>,
    failed: bool,
}

/// What a snapshot held.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) index: Index,
    /// Where the feed is to go on.
    pub(super) position: Vec<u8>,
}

impl Keeper {
    pub(super) fn new(config: &config::Snapshot, basis: [u8; 32]) -> Keeper {
        let (file, every) = (config.file.clone(), config.every);
        Keeper { file, every, basis, last: Mutex::default() }
    }

    /// What the file holds, if it is there and can be believed; if not, it is put aside and the log says why.
    pub(super) fn load(&self, max_entries: usize, now: Timestamp) -> Option<Restored> {
        let refused = match self.read(max_entries, now) {
            Ok(restored) => {
                let entries = restored.index.len();
                tracing::info!(file = %self.file.display(), entries, "a snapshot of the revocations was loaded");
                return Some(restored);
            }
            Err(Refused::Missing) => return None,
            Err(refused) => refused,
        };
        let aside = beside(&self.file, ".refused");
        let kept = fs::rename(&self.file, &aside).is_ok();
        let (file, aside) = (self.file.display(), aside.display());
        tracing::warn!(%file, %refused, %aside, kept, "the snapshot of the revocations was refused: the feed is read from its start");
        None
    }

    fn read(&self, max_entries: usize, now: Timestamp) -> Result<Restored, Refused> {
        let file = File::open(&self.file)?;
        if file.metadata()?.mode() & 0o022 != 0 {
            return Err(Refused::OthersMayWrite);
        }
        format::read(file, &self.basis, max_entries, now)
    }

    /// Writes a snapshot every so often, until dropped. Needs a tokio runtime.
    pub(super) async fn keep(
        self: std::sync::Arc<Self>,
        intake: std::sync::Arc<Intake>,
        feed: std::sync::Arc<Feed>,
    ) {
        loop {
            tokio::time::sleep(self.every).await;
            let (keeper, intake, feed) = (self.clone(), intake.clone(), feed.clone());
            // Off the threads that serve requests: it is a few hundred megabytes.
            let _ = tokio::task::spawn_blocking(move || keeper.save(&intake, &feed)).await;
        }
    }

    /// Writes a snapshot if there is news, and never before the backlog has been applied, nor while something that was
    /// heard is not in the index: an event that waits for its key, a stream that is paused. A failure is told once, and
    /// the file that was there stays.
    pub(super) fn save(&self, intake: &Intake, feed: &Feed) {
        let mut last = self.last.lock();
        let applied = intake.applied();
        // Before the entries are copied, and before it is asked what is held back: what comes meanwhile is read again.
        let Some(position) = feed.position() else { return };
        if !intake.health.is_live() || intake.holds_back() {
            return;
        }
        let written = Some((position, applied));
        if last.written == written {
            return;
        }
        let Some((position, _)) = &written else { return };
        match self.write(&intake.index, position, Timestamp::from_system(SystemTime::now())) {
            Ok(()) => *last = Last { written, failed: false },
            Err(error) => {
                if !std::mem::replace(&mut last.failed, true) {
                    tracing::warn!(file = %self.file.display(), %error, "no snapshot of the revocations can be written");
                }
            }
        }
    }

    /// Whole or not at all: written beside the file, made durable, then put in its place.
    fn write(&self, index: &Index, position: &[u8], now: Timestamp) -> io::Result<()> {
        let new = beside(&self.file, ".new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let header = Header {
            basis: self.basis,
            written: now,
            secret: index.secret(),
            position: position.to_vec(),
            shapes: index.shapes(),
        };
        format::write(file, &header, index.carried())?;
        fs::rename(&new, &self.file)?;
        File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// A digest of everything in the config that decides what an event means: under another one a snapshot says nothing.
pub(super) fn basis(config: &config::Revocation, issuers: &HashMap<String, Duration>) -> [u8; 32] {
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut add = |part: &str| {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    };
    match &config.feed {
        config::Feed::File { path } => ["file", &path.to_string_lossy()].into_iter().for_each(&mut add),
        config::Feed::Nats(nats) => {
            // Where the server is and who we are there says nothing about events; the position names the stream.
            ["nats", &nats.stream, &nats.subject].into_iter().for_each(&mut add);
        }
        config::Feed::Redis(redis) => ["redis", &redis.stream].into_iter().for_each(&mut add),
        config::Feed::Kafka(kafka) => ["kafka", &kafka.topic].into_iter().for_each(&mut add),
    }
    add(if config.accept_plain { "plain" } else { "signed" });
    let mut issuers: Vec<_> = issuers.iter().collect();
    issuers.sort();
    for (issuer, lifetime) in issuers {
        add(issuer);
        add(&lifetime.as_millis().to_string());
    }
    for one in &config.transmitters {
        let subjects = (&one.speaks_for, &one.claims, one.wildcard);
        let bounds = (&one.critical_subject_members, &one.credential_types);
        add(&format!("{:?} {subjects:?} {bounds:?}", one.signer.expected));
    }
    let mut basis = [0; 32];
    basis.copy_from_slice(digest.finish().as_ref());
    basis
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
