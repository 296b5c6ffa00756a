//! `dpop.replay`, checked.

use super::secrecy::without_passwords;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::time::Duration;

/// Where used proofs are remembered.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The bound of this process's own memory, in proofs.
    pub max_entries: usize,
    /// What replicas share; `None` if each has its own memory alone.
    pub shared: Option<SharedReplay>,
}

/// A memory that replicas share.
#[derive(Clone, Debug)]
pub struct SharedReplay {
    /// Which one.
    pub store: Store,
    /// The trust anchors for its TLS; the system's if there are none here.
    pub ca: Vec<CertificateDer<'static>>,
    /// How long a request may wait for it.
    pub timeout: Duration,
    /// What to do when it gives no answer.
    pub on_unavailable: OnUnavailable,
}

/// `dpop.replay.store`; its Debug shows no password.
#[derive(Clone)]
pub enum Store {
    /// Redis.
    Redis {
        /// `redis://` or `rediss://`.
        url: String,
    },
    /// A key-value bucket of NATS JetStream.
    Nats {
        /// `nats://` or `tls://`.
        url: String,
        /// The bucket.
        bucket: String,
    },
}

/// `dpop.replay.on_unavailable`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnavailable {
    /// Refuse with 503.
    Deny,
    /// Let this process's own memory decide alone.
    Allow,
}

impl Replay {
    /// A memory of this process alone.
    pub fn in_memory(max_entries: usize) -> Replay {
        Replay { max_entries, shared: None }
    }
}

impl Store {
    /// How it is called in the configuration and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Store::Redis { .. } => "redis",
            Store::Nats { .. } => "nats",
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Store::Redis { url } => f.debug_struct("Redis").field("url", &without_passwords(url)).finish(),
            Store::Nats { url, bucket } => {
                f.debug_struct("Nats").field("url", &without_passwords(url)).field("bucket", bucket).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for store in [
            Store::Redis { url: "rediss://clinch:s3cret@redis.example:6380/1".to_owned() },
            Store::Nats { url: "tls://clinch:s3cret@nats.example".to_owned(), bucket: "b".to_owned() },
        ] {
            let shown = format!("{store:?}");
            assert!(!shown.contains("s3cret") && shown.contains("example"), "{shown}");
        }
    }
}
