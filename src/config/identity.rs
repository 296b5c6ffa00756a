//! `identity`: what the service is told about the caller.

use crate::pop::assertion::Keys;
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// `identity`
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Extra headers and the claims they carry.
    pub headers: Vec<(HeaderName, String)>,
    /// The assertion; `None` where none is sent.
    pub assertion: Option<Assertion>,
    /// Whether Authorization and DPoP reach the service.
    pub forward_authorization: bool,
}

/// `identity.assertion`
#[derive(Clone, Debug)]
pub struct Assertion {
    /// The keys of its file.
    pub keys: Arc<Keys>,
    /// How long one is valid.
    pub lifetime: Duration,
    /// `aud`
    pub audience: String,
}
