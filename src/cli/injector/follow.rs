//! When the injector's configuration is read again: at SIGHUP, and when one of its files has changed.

use crate::cli::run::reload::Watch;
use crate::config::{Injector, Source};
use crate::inject::webhook::Webhook;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::time::timeout;

/// Keeps the webhook's configuration in step with its files, for ever. One that can't be put in force is told once and tried
/// again now and then; what was in force stays.
pub(super) async fn follow(
    webhook: &Webhook,
    file: &Path,
    files: Vec<Source>,
    mut hangup: Signal,
) -> Infallible {
    let mut watch = Watch::over(files);
    let mut told = String::new();
    let mut retry = NEVER;
    loop {
        let settled = async {
            tokio::select! { _ = hangup.recv() => {}, () = watch.changed() => {} }
        };
        let _ = timeout(retry, settled).await;
        match read(webhook, file).await {
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

async fn read(webhook: &Webhook, file: &Path) -> Result<Vec<Source>, String> {
    let owned = file.to_owned();
    let loaded = tokio::task::spawn_blocking(move || Injector::load(&owned)).await;
    let config = loaded.map_err(|_| "internal error".to_owned())?.map_err(|problems| problems.to_string())?;
    let files = config.files.clone();
    for about in &config.warnings {
        tracing::warn!(%about, "the configuration is good, but mind this");
    }
    if webhook.reload(config).map_err(|error| format!("{error:#}"))? {
        tracing::warn!(
            "the configuration was reloaded, but for addresses, times and the way to certificates: those need a restart"
        );
    } else {
        tracing::info!("the configuration was reloaded");
    }
    Ok(files)
}

/// How soon a configuration that could not be put in force is tried again.
const RETRY: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);
