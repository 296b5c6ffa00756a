//! The target URI (RFC 9110 section 7.1), normalised (RFC 3986 section 6.2).
use super::Denial;
use http::{HeaderMap, Uri};

/// `https://host[:port]`, normalised: what clients call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
}
impl Origin {
    /// Reads an origin; the error says what is wrong with it.
    pub fn parse(_text: &str) -> Result<Origin, &'static str> {
        todo!()
    }
    /// `https://host[:port]`
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// `host[:port]`
    pub fn authority(&self) -> &str {
        todo!()
    }
}

/// The target URI of a request without its query.
#[derive(Clone, Debug)]
pub struct TargetUri {
    text: String,
    path_at: usize,
}
impl TargetUri {
    /// Of a request: the authority from the request target or Host, matched with the public origins.
    pub fn of(_uri: &Uri, _headers: &HeaderMap, _origins: &[Origin]) -> Result<TargetUri, Denial> {
        todo!()
    }
    /// The normalised path, for routing.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }
    /// `https://host[:port]/path`
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
