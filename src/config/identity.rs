//! `identity`: what the service is told about the caller.

use crate::pop::assertion::Keys;
use http::HeaderName;
use std::path::PathBuf;
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
    /// Where its keys are, to be read again.
    pub key_file: PathBuf,
    /// What was read.
    pub keys: Arc<Keys>,
    /// SHA-256 of what was read.
    pub digest: [u8; 32],
    /// How long one is valid.
    pub lifetime: Duration,
    /// `aud`
    pub audience: String,
}
