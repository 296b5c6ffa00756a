//! A public origin: what clients call, and what a load balancer on the way takes away from it.

use super::normal_form::{HTTPS, normalise_authority, push_request_path, strip_https};
use std::fmt;

/// `https://host[:port]`, normalised: lower case, no default port. Behind a load balancer that strips a
/// path prefix it has that prefix: clients sign `https://host/prefix/path`, and `/path` comes in (CL-032).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    prefix_at: usize,
}

impl Origin {
    /// Reads an origin; the error says what is wrong with it.
    ///
    /// # Errors
    /// Anything but `https://host[:port][/prefix]` with a prefix in its normal form, without a slash at the end.
    pub fn parse(text: &str) -> Result<Origin, &'static str> {
        let rest = strip_https(text).ok_or("an origin begins with https://")?;
        if rest.contains(['?', '#']) {
            return Err("an origin has no query and no fragment");
        }
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority =
            normalise_authority(authority).ok_or("an origin is https://host or https://host:port")?;
        if prefix.ends_with('/') {
            return Err("an origin has no slash at the end");
        }
        let mut normal = String::new();
        if !prefix.is_empty() && (push_request_path(prefix, &mut normal).is_err() || normal != prefix) {
            return Err("a prefix is a path in its normal form (RFC 3986 section 6.2.2)");
        }
        let text = format!("{HTTPS}{authority}{prefix}");
        Ok(Origin { prefix_at: text.len() - prefix.len(), text })
    }

    /// `https://host[:port][/prefix]`
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `https://host[:port]`
    pub fn without_prefix(&self) -> &str {
        &self.text[..self.prefix_at]
    }

    /// `host[:port]`
    pub fn authority(&self) -> &str {
        &self.text[HTTPS.len()..self.prefix_at]
    }

    /// `/prefix`, or nothing.
    pub fn prefix(&self) -> &str {
        &self.text[self.prefix_at..]
    }

    /// The path that comes in when clients call this one: without the prefix, which ends where a segment
    /// ends. `None` where the path is not below it.
    pub fn path_within<'p>(&self, public: &'p str) -> Option<&'p str> {
        let path = public.strip_prefix(self.prefix())?;
        (path.is_empty() || path.starts_with('/')).then_some(path)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
