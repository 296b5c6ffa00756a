//! One fetch of an issuer's keys: over TLS, within one deadline.

use super::discovery::{self, Metadata};
use crate::config::Issuer;
use crate::pop::jose::Json;
use crate::pop::key_set::KeySet;
use crate::state::https::{Fault, Https};
use http::Uri;
use rustls::RootCertStore;
use std::sync::Arc;
use std::time::Duration;

/// Fetches the keys of one issuer.
pub(super) struct Fetcher {
    issuer: Arc<str>,
    metadata: Metadata,
    jwks_uri: Option<Uri>,
    https: Https,
    limit: Duration,
}

impl Fetcher {
    /// Trusts the system's roots and the issuer's `ca`, for the name in the URL (DISC-04).
    pub(super) fn new(
        issuer: &Issuer,
        metadata: Metadata,
        roots: RootCertStore,
        limit: Duration,
    ) -> anyhow::Result<Fetcher> {
        // Minutes lie between two fetches: no connection is kept.
        let https = Https::new(&issuer.ca, roots, 0)?;
        let name = Arc::clone(&issuer.expected.issuer);
        Ok(Fetcher { issuer: name, metadata, jwks_uri: issuer.jwks_uri.clone(), https, limit })
    }

    /// The keys, at least one, within the limit. No redirect is followed.
    pub(super) async fn fetch(&self) -> Result<KeySet, Fault> {
        tokio::time::timeout(self.limit, self.keys()).await.unwrap_or(Err(Fault::Slow))
    }

    async fn keys(&self) -> Result<KeySet, Fault> {
        let uri = match &self.jwks_uri {
            Some(uri) => uri.clone(),
            // Asked again at every fetch, for issuers move their keys too.
            None => discovery::discover_in(&self.https, self.metadata, &self.issuer, "jwks_uri").await?,
        };
        let document = self.https.get(uri).await?;
        let keys = Json::parse(&document).and_then(|json| KeySet::parse(&json)).ok_or(Fault::Malformed)?;
        if keys.is_empty() { Err(Fault::NoKeys) } else { Ok(keys) }
    }
}
