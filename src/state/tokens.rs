//! The verified-token cache: a signature is checked once, everything else every time.
use super::issuers::Issuers;
use crate::pop::access_token::{AccessToken, TokenHash};
use crate::pop::{Denial, Timestamp};
use std::sync::Arc;

/// Access tokens that were verified and have not expired.
#[derive(Debug)]
pub struct Tokens {
    issuers: Arc<Issuers>,
}
impl Tokens {
    /// An empty cache in front of the issuers.
    pub fn new(issuers: Arc<Issuers>) -> Tokens {
        Tokens { issuers }
    }
    /// The token, from the cache or after its signature is verified; refetches keys once if its key is unknown.
    pub async fn establish(&self, _token: &str, _now: Timestamp) -> Result<Arc<AccessToken>, Denial> {
        let _ = (&self.issuers, TokenHash::of(""));
        todo!()
    }
}
