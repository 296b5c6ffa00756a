//! `issuers[].introspection`, checked.

use crate::pop::introspection::MissingAudience;
use std::fmt;
use std::time::Duration;

/// How one issuer is asked about tokens (RFC 7662).
#[derive(Clone, Debug, PartialEq)]
pub struct Introspection {
    /// Where; `None` means discovery (RFC 8414, then OpenID).
    pub endpoint: Option<http::Uri>,
    /// Who asks.
    pub client_id: String,
    /// And what proves it.
    pub client_secret: Secret,
    /// Whether JWTs are introspected too, after they were verified.
    pub always: bool,
    /// How long an answer is kept; zero keeps none.
    pub cache: Duration,
    /// How long an answer may take, from the wait for a place in the queue to its last byte.
    pub timeout: Duration,
    /// Whether answers must be signed (RFC 9701).
    pub signed_answers: bool,
    /// What an answer without `aud` means.
    pub missing_audience: MissingAudience,
}

/// A secret of ours; its Debug shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it out of sight.
    pub fn new(secret: String) -> Secret {
        Secret(secret)
    }
    /// For the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
