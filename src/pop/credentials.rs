//! Where the access token is (RFC 6750 section 2.1, RFC 9449 section 7.1).
use super::{Denial, Request};

/// The authentication scheme that came with the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750
    Bearer,
    /// RFC 9449
    Dpop,
}

/// The access token and the scheme it came under. Its Debug shows no token.
pub struct Credentials<'a> {
    /// The scheme.
    pub scheme: Scheme,
    token: &'a str,
}
impl Scheme {
    /// `Bearer` or `DPoP`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Bearer => "Bearer",
            Scheme::Dpop => "DPoP",
        }
    }
}
impl<'a> Credentials<'a> {
    /// Reads the one Authorization header.
    pub fn of(_request: &Request<'a>) -> Result<Self, Denial> {
        todo!()
    }
    /// The access token exactly as received. A secret: hash it, never print it.
    pub fn token(&self) -> &'a str {
        self.token
    }
}
