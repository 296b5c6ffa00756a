//! `identity.headers`: what the service may be told under names that mean nothing else already.

mod assertion;

use super::Checks;
use crate::config::Identity;
use crate::config::file::Identity as Written;
use crate::config::tree::member;
use crate::config::words::quoted;
use http::HeaderName;

/// The identity headers.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Identity {
    let mut headers: Vec<(HeaderName, String)> = Vec::new();
    for (name, claim) in &written.headers {
        let path = member("identity.headers", name);
        if claim.is_empty() {
            c.fault(&path, "this names no claim").found(quoted(claim)).expected("the name of a token claim");
        }
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            c.fault(&path, "this is not a header name")
                .found(quoted(name))
                .expected("a name such as x-tenant");
            continue;
        };
        let folded = fold(header.as_str());
        if let Some(why) = taken(&folded) {
            c.fault(&path, why).found(quoted(name)).expected("a name of your own, such as x-tenant");
        } else if headers.iter().any(|(other, _)| fold(other.as_str()) == folded) {
            let twice = "this header is there twice (names ignore case, and some services `_` and `.`)";
            c.fault(&path, twice).found(quoted(name));
        } else {
            headers.push((header, claim.clone()));
        }
    }
    if written.forward_authorization {
        c.warn("identity.forward_authorization", "the service sees access tokens");
    }
    let assertion = assertion::check(c, &written.assertion);
    Identity { headers, assertion, forward_authorization: written.forward_authorization }
}

/// As CGI-like services read a name.
fn fold(name: &str) -> String {
    name.replace(['_', '.'], "-")
}

fn taken(name: &str) -> Option<&'static str> {
    if name.starts_with("clinch-") {
        return Some("clinch sets headers of this name itself");
    }
    if HOP_BY_HOP.contains(&name) {
        return Some("this header belongs to the connection (RFC 9110 section 7.6.1)");
    }
    let reserved =
        RESERVED.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("content-");
    reserved.then_some("this header has a meaning of its own")
}

const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const RESERVED: &[&str] = &[
    "authorization",
    "cookie",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "traceparent",
    "tracestate",
    "via",
];
