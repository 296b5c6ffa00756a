//! The target URI of a request (RFC 9110 section 7.1) and what an `htu` is compared with.
//!
//! The scheme and the authority come from the configured public origins; a request only chooses
//! among them, and they say which path prefix a load balancer took away. Both sides of the comparison are
//! normalised after RFC 3986 section 6.2.2 and 6.2.3. A request path that could mean two things is refused
//! before anything looks at it: the policy, the proof and the service must all see one resource (the service
//! gets the bytes as they came).

mod normal_form;
mod origin;

pub use origin::Origin;

use super::Denial;
use http::request::Parts;
use http::{Version, header};
use normal_form::{normalise_authority, normalise_htu, push_request_path};
use std::borrow::Cow;

/// The target URI of a request without its query, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUri {
    text: String,
    path_at: usize,
    origin: usize,
    /// The other public origins of this authority, which differ by their prefix.
    others: Vec<Origin>,
}

impl TargetUri {
    /// Of a request. The authority is that of the request target, else of the one Host header
    /// (RFC 9112 section 3.2, RFC 9113 section 8.3.1). One that is not served here is misdirected (HTTP-06, H2-10).
    ///
    /// # Errors
    /// [`Denial::RequestMalformed`], [`Denial::HostUnknown`], [`Denial::PathAmbiguous`].
    pub fn of(parts: &Parts, origins: &[Origin]) -> Result<TargetUri, Denial> {
        let spelled = authority_of(parts)?;
        // An origin's authority is its own normal form, and most spell it so.
        let authority = match origins.iter().find(|origin| origin.authority() == spelled) {
            Some(_) => Cow::Borrowed(spelled),
            None => Cow::Owned(normalise_authority(spelled).ok_or(Denial::RequestMalformed)?),
        };
        let mut served = origins.iter().enumerate().filter(|(_, origin)| origin.authority() == authority);
        let (index, origin) = served.next().ok_or(Denial::HostUnknown)?;
        let mut text = String::with_capacity(origin.as_str().len() + parts.uri.path().len().max(1));
        text.push_str(origin.as_str());
        let path_at = text.len();
        push_request_path(parts.uri.path(), &mut text)?;
        Ok(TargetUri {
            text,
            path_at,
            origin: index,
            others: served.map(|(_, origin)| origin.clone()).collect(),
        })
    }

    /// The normalised path as it came in: what routes are matched with.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// Which of the public origins it has: the first one of its authority.
    pub fn origin(&self) -> usize {
        self.origin
    }

    /// `https://host[:port][/prefix]/path`, as clients call it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an `htu` names this URI. Its query and fragment are ignored (RFC 9449 section 4.3,
    /// check 9; DPOP-10, DPOP-11); whatever is not an absolute https URI is another URI. Where prefixes are
    /// configured, one of them is in it, and nothing but the configuration says which these are (CL-032).
    pub fn is_named_by(&self, htu: &str) -> bool {
        htu == self.text
            || normalise_htu(htu).is_some_and(|htu| {
                self.has_form(&htu, &self.text[..self.path_at])
                    || self.others.iter().any(|origin| self.has_form(&htu, origin.as_str()))
            })
    }

    /// Below a prefix, nothing and `/` are one path: the load balancer leaves the same of both.
    fn has_form(&self, htu: &str, origin: &str) -> bool {
        htu.strip_prefix(origin)
            .is_some_and(|path| if path.is_empty() { "/" == self.path() } else { path == self.path() })
    }
}

/// Who is asked: beyond doubt, or nobody (HTTP-01, HTTP-02, HTTP-03, HTTP-05, HTTP-31, H2-01, H2-02, H2-03).
fn authority_of(parts: &Parts) -> Result<&str, Denial> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| Denial::RequestMalformed)?),
    };
    if hosts.next().is_some() {
        return Err(Denial::RequestMalformed);
    }
    // The scheme is ours to say: a target that claims plain http came over TLS all the same.
    if parts.uri.scheme().is_some_and(|scheme| *scheme != http::uri::Scheme::HTTPS) {
        return Err(Denial::RequestMalformed);
    }
    // A host without a scheme is the form of CONNECT alone (RFC 9112 section 3.2.3).
    if parts.uri.authority().is_some() && parts.uri.scheme().is_none() {
        return Err(Denial::RequestMalformed);
    }
    match (parts.uri.authority(), host) {
        (Some(target), Some(host)) if parts.version == Version::HTTP_2 => {
            // Two names for one target are malformed (RFC 9113 section 8.3.1).
            let same = normalise_authority(target.as_str()) == normalise_authority(host);
            if same { Ok(target.as_str()) } else { Err(Denial::RequestMalformed) }
        }
        // In HTTP/1.1 the absolute form wins and says more than Host (RFC 9112 section 3.2.2), which must be
        // there all the same, and be one.
        (Some(target), Some(host)) if normalise_authority(host).is_some() => Ok(target.as_str()),
        (Some(target), None) if parts.version == Version::HTTP_2 => Ok(target.as_str()),
        (None, Some(host)) => Ok(host),
        (_, None) | (Some(_), Some(_)) => Err(Denial::RequestMalformed),
    }
}

#[cfg(test)]
mod tests;
