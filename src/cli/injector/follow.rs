//! When the injector's configuration is read again: at SIGHUP, and when one of its files has changed.

use crate::cli::run::reload::keep_in_step;
use crate::config::{Injector, Source};
use crate::inject::webhook::Webhook;
use std::convert::Infallible;
use std::path::Path;
use tokio::signal::unix::Signal;

/// Keeps the webhook's configuration in step with its files, for ever.
pub(super) async fn follow(webhook: &Webhook, file: &Path, files: Vec<Source>, hangup: Signal) -> Infallible {
    keep_in_step(files, hangup, async || read(webhook, file).await).await
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
