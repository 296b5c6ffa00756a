//! Where `clinch revoke` publishes: a feed by its URL, or the feed of a replica's configuration.

use crate::config::{Config, Login, Secret};
use crate::state::revocation::feed::publish::Publisher;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// The options that say where.
#[derive(clap::Args)]
pub(super) struct Where {
    /// Where to publish: a journal's path, file:/PATH, or nats://HOST:PORT[?stream=NAME&subject=NAME]
    #[arg(long, value_name = "URL", required_unless_present = "config", conflicts_with = "config")]
    feed: Option<String>,
    /// Publish to the feed of this configuration, as a replica of it reads it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The authorities that a tls: feed is trusted by, in PEM, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    ca: Option<PathBuf>,
    /// Log in to NATS with a .creds file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "nkey"])]
    credentials: Option<PathBuf>,
    /// Log in to NATS with the seed of a user's nkey in this file
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    nkey: Option<PathBuf>,
}

impl Where {
    /// Reads the files that are named.
    pub(super) fn publisher(&self) -> Result<Publisher, String> {
        match (&self.feed, &self.config) {
            (Some(url), _) => self.with_access(Publisher::of_url(url)?),
            (None, Some(file)) => of_config(file),
            (None, None) => Err("--feed or --config is needed".to_owned()),
        }
    }

    fn with_access(&self, publisher: Publisher) -> Result<Publisher, String> {
        if self.ca.is_none() && self.credentials.is_none() && self.nkey.is_none() {
            return Ok(publisher);
        }
        let Publisher::Nats(mut nats) = publisher else {
            return Err("--ca, --credentials and --nkey are for a feed on NATS".to_owned());
        };
        if let Some(file) = &self.ca {
            if !nats.url.starts_with("tls://") {
                return Err("--ca means nothing without TLS: use tls://".to_owned());
            }
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(read(file)?.as_bytes()).collect();
            let found = read.ok().filter(|found| !found.is_empty());
            nats.ca = found.ok_or_else(|| format!("{} holds no PEM certificates", file.display()))?;
        }
        if let Some(file) = &self.credentials {
            let text = read(file)?;
            if !Login::are_credentials(&text) {
                return Err(format!("{} holds no NATS credentials", file.display()));
            }
            nats.login = Some(Login::Credentials(Secret::new(text)));
        }
        if let Some(file) = &self.nkey {
            let seed = read(file)?.trim().to_owned();
            if !Login::is_seed(&seed) {
                return Err(format!("{} holds no seed of a user's nkey", file.display()));
            }
            nats.login = Some(Login::Nkey(Secret::new(seed)));
        }
        Ok(Publisher::Nats(nats))
    }
}

fn of_config(file: &Path) -> Result<Publisher, String> {
    let config = Config::load(file).map_err(|problems| problems.to_string())?;
    let revocation = config.revocation.ok_or_else(|| format!("{} has no `revocation`", file.display()))?;
    Ok(Publisher::of_config(&revocation.feed))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))
}
