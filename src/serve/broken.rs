//! Why a response that has begun does not come to its end, and what HTTP/2 says of it.

use super::upstream::BrokenOff;
use crate::state::revocation::Cut;
use std::fmt;

/// Why a response ends before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The service broke off.
    Service(BrokenOff),
    /// The client took nothing.
    Stalled,
    /// The token was revoked, or has expired; and the code that HTTP/2 resets the stream with.
    Cut(Cut, h2::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Service(error) => error.fmt(f),
            Broken::Stalled => f.write_str("the client took nothing of the response"),
            Broken::Cut(why, _) => write!(f, "the token is {} since the request was granted", why.reason()),
        }
    }
}

/// hyper looks for the code in here.
impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Broken::Service(_) | Broken::Stalled => None,
            Broken::Cut(_, code) => Some(code),
        }
    }
}
