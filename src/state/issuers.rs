//! The issuers' keys: discovered, fetched over TLS, kept fresh in the background.
use crate::config::Issuer;
use crate::pop::Denial;
use crate::pop::access_token::Expected;
use crate::pop::key_set::KeySet;
use std::sync::Arc;

/// All issuers of the config.
#[derive(Debug)]
pub struct Issuers;
/// What is known of one issuer right now.
#[derive(Debug)]
pub struct Known {
    /// What is expected of its tokens.
    pub expected: Arc<Expected>,
    /// The last good keys.
    pub keys: Arc<KeySet>,
}
impl Issuers {
    /// Starts the background refresh of every issuer.
    pub fn start(_issuers: &[Issuer]) -> anyhow::Result<Arc<Issuers>> {
        todo!()
    }
    /// The issuer of this name: `TokenIssuer` if not listed, `KeysUnavailable` if never fetched or beyond `max_stale`.
    pub fn find(&self, _issuer: &str) -> Result<Known, Denial> {
        todo!()
    }
    /// After `TokenKeyUnknown`: waits for at most one fetch per cooldown; true if the keys may have changed.
    pub async fn refetch(&self, _issuer: &str) -> bool {
        todo!()
    }
    /// For `/ready`: every issuer whose keys are not usable.
    pub fn unready(&self) -> Vec<String> {
        todo!()
    }
}
