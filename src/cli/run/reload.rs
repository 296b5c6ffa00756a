//! When the configuration is read again: at SIGHUP, and when a file that it is made of has changed.
//!
//! Files are looked at twice a second, by name and through symbolic links, so it does not matter how they change:
//! written over, renamed into place, or by the `..data` link of a Kubernetes volume, on any file system. They are read when
//! they have been still for a moment, so that a certificate and its key are read together. What can't be put
//! in force is said once and tried again now and then; the configuration before it stays in force as a whole, and with what
//! its own certificates and lists of revoked ones are by then.

use super::placed::Placed;
use crate::config::{Config, Look, Source};
use crate::serve::Server;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::time::{sleep, timeout};

/// Keeps the server's configuration in step with its files, for ever.
pub(super) async fn follow(
    server: &Server,
    placed: &Placed,
    files: Vec<Source>,
    hangup: Signal,
) -> Infallible {
    keep_in_step(files, hangup, async || read(server, placed).await).await
}

/// Has a configuration read again when it is time, for ever. `read` puts it in force and gives the files that it is made of, or says
/// why the one before it stays.
pub(in crate::cli) async fn keep_in_step(
    files: Vec<Source>,
    mut hangup: Signal,
    read: impl AsyncFn() -> Result<Vec<Source>, String>,
) -> Infallible {
    let mut watch = Watch::over(files);
    let mut told = String::new();
    let mut retry = NEVER;
    loop {
        let settled = async {
            tokio::select! {
                biased;
                _ = hangup.recv() => watch.seen = looks(&watch.files).await,
                () = watch.changed() => {}
            }
        };
        let _ = timeout(retry, settled).await;
        match read().await {
            Ok(files) => {
                watch = Watch::over(files);
                (told, retry) = (String::new(), NEVER);
            }
            Err(why) => {
                if why != told {
                    tracing::error!(%why, "the new configuration is not in force: the one before it stays");
                }
                (told, retry) = (why, RETRY);
            }
        }
    }
}

/// The files of the configuration that is in force now, or why it is not the one that is written.
async fn read(server: &Server, placed: &Placed) -> Result<Vec<Source>, String> {
    let written = write_in_force(server, placed).await;
    if written.is_err() {
        renew(server, placed).await;
    }
    written
}

/// Files may lie on a file system that takes its time.
async fn checked(load: impl FnOnce() -> Result<Config, String> + Send + 'static) -> Result<Config, String> {
    tokio::task::spawn_blocking(load).await.unwrap_or_else(|_panicked| Err("internal error".to_owned()))
}

/// What is in force stays so, with what its files hold by now. A fault of theirs was told with those of the new one, or is when
/// that is mended.
async fn renew(server: &Server, placed: &Placed) {
    let (placed, text) = (placed.clone(), server.written());
    let Ok(config) = checked(move || placed.parse(&text)).await else { return };
    match server.renew(config).await {
        Ok(true) => {
            let generation = server.generation();
            tracing::warn!(generation, "the configuration before it stays, with the certificates of now");
        }
        Ok(false) => {}
        Err(error) => {
            let why = format!("{error:#}");
            tracing::error!(%why, "the certificates of now are not in force: those before them stay");
        }
    }
}

async fn write_in_force(server: &Server, placed: &Placed) -> Result<Vec<Source>, String> {
    let placed = placed.clone();
    let config = checked(move || placed.load()).await.inspect_err(|_| server.reload_refused())?;
    let (files, warnings) = (config.files.clone(), config.warnings.clone());
    let waiting = server.reload(config).await.map_err(|error| format!("{error:#}"))?;
    for about in &warnings {
        tracing::warn!(%about, "the configuration is good, but mind this");
    }
    let generation = server.generation();
    if waiting.is_empty() {
        tracing::info!(generation, "the configuration was reloaded");
    } else {
        let keys = waiting.join(", ");
        tracing::warn!(generation, keys, "the configuration was reloaded, but for keys that need a restart");
    }
    Ok(files)
}

/// The files, and how they looked when they were last read.
struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Option<Look>>,
}

impl Watch {
    fn over(files: Vec<Source>) -> Watch {
        let (files, seen) = files.into_iter().map(|file| (file.path, file.look)).unzip();
        Watch { files, seen }
    }

    /// Returns when a file has changed and no file has for a moment. What is read then is what is seen now, or newer.
    async fn changed(&mut self) {
        loop {
            sleep(PERIOD).await;
            let mut now = looks(&self.files).await;
            if now == self.seen {
                continue;
            }
            for _ in 0..MOST_UNREST {
                sleep(PERIOD).await;
                let later = looks(&self.files).await;
                if later == now {
                    break;
                }
                now = later;
            }
            self.seen = now;
            return;
        }
    }
}

async fn looks(files: &[PathBuf]) -> Vec<Option<Look>> {
    let files = files.to_vec();
    let looks = move || files.iter().map(|file| Look::at(file)).collect();
    tokio::task::spawn_blocking(looks).await.unwrap_or_default()
}

/// How often files are looked at, and how long they must be still.
const PERIOD: Duration = Duration::from_millis(500);
/// How many periods of unrest are waited for: whoever writes all the time is read all the same.
const MOST_UNREST: usize = 10;
/// How soon a configuration that could not be put in force is tried again: what it lacked may be there by then.
const RETRY: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    async fn notices(watch: &mut Watch) -> bool {
        timeout(PERIOD * 30, watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn files_are_noticed_however_they_change() {
        let folder = std::env::temp_dir().join(format!("clinch-watch-{}", std::process::id()));
        for volume in ["..1", "..2"] {
            fs::create_dir_all(folder.join(volume)).unwrap();
            fs::write(folder.join(volume).join("tls.crt"), volume).unwrap();
        }
        let (written, mounted) = (folder.join("clinch.yaml"), folder.join("tls.crt"));
        fs::write(&written, "a").unwrap();
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/tls.crt", &mounted).unwrap();
        let files = [written.clone(), mounted.clone(), folder.join("absent")];
        let mut watch = Watch::over(files.map(source).into());

        fs::write(&written, "b").unwrap();
        assert!(notices(&mut watch).await, "written over");
        fs::write(folder.join("new"), "c").unwrap();
        fs::rename(folder.join("new"), &written).unwrap();
        assert!(notices(&mut watch).await, "renamed into place");
        symlink("..2", folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        assert!(notices(&mut watch).await, "a Kubernetes volume");
        fs::write(folder.join("absent"), "").unwrap();
        assert!(notices(&mut watch).await, "come into being");
        assert!(timeout(PERIOD * 6, watch.changed()).await.is_err(), "nothing happened");
        fs::remove_dir_all(folder).unwrap();
    }

    fn source(path: PathBuf) -> Source {
        let look = Look::at(&path);
        Source { path, look }
    }

    #[tokio::test]
    async fn what_changes_after_it_was_read_is_noticed_whenever_somebody_begins_to_look() {
        let file = std::env::temp_dir().join(format!("clinch-look-{}", std::process::id()));
        fs::write(&file, "a").unwrap();
        let read = source(file.clone());
        fs::write(&file, "longer").unwrap();
        assert!(notices(&mut Watch::over(vec![read])).await);
        fs::remove_file(file).unwrap();
    }
}
