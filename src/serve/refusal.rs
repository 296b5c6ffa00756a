//! A refusal as an answer: what is wrong with the credentials, where to read what would do, and which methods
//! there are instead.
//!
//! That the request is refused, and why, was decided by the gate.

use super::body::ResponseBody;
use super::proxy::{self, Peer};
use super::response;
use crate::gate::Decision;
use crate::pop::challenge::{self, Asked};
use crate::pop::credentials::Scheme;
use crate::pop::policy::{Access, Route};
use crate::pop::{DPOP_NONCE, Denial};
use http::request::Parts;
use http::{HeaderValue, Method, Response, header};
use hyper::body::{Body as _, Incoming};

/// The answer to a request that was refused; `origin` is the public one it was sent to.
pub(super) fn refuse(
    peer: &Peer,
    denial: Denial,
    decision: &Decision<'_>,
    parts: &Parts,
    body: &Incoming,
    origin: usize,
) -> Response<ResponseBody> {
    let asked = (decision.route, decision.scheme);
    let challenges = challenges(peer, denial, asked, parts.uri.path(), origin);
    let allow = (denial == Denial::MethodNotAllowed).then(|| allowed(peer, parts, body)).flatten();
    let mut response = response::refusal(denial, challenges, allow);
    if let Some(wait) = decision.wait {
        response.headers_mut().insert(header::RETRY_AFTER, response::retry_after(wait));
    }
    if let Some(nonce) = peer.proxy.gate.nonces.demanded_by(denial, proxy::now()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    // Whoever disagrees with us about the path may disagree about where the request ends (ATTACKS CL-017,
    // CL-018); and what is not read must not be the next request: HTTP-14.
    let doubtful = matches!(denial, Denial::RequestMalformed | Denial::PathAmbiguous);
    if doubtful || !body.is_end_stream() {
        peer.close_after(parts.version, &mut response);
    }
    response
}

/// The answer to a request that was granted and is refused after all, because its token was revoked while it waited
/// for the service.
pub(super) fn revoked(
    peer: &Peer,
    (route, scheme): (Option<&Route>, Option<Scheme>),
    path: &str,
    origin: usize,
) -> Response<ResponseBody> {
    let denial = Denial::TokenRevoked;
    response::refusal(denial, challenges(peer, denial, (route, scheme), path, origin), None)
}

fn challenges(
    peer: &Peer,
    denial: Denial,
    (route, scheme): (Option<&Route>, Option<Scheme>),
    path: &str,
    origin: usize,
) -> Vec<HeaderValue> {
    let policy = &peer.proxy.gate.policy;
    let demands = route.and_then(|route| match &route.access {
        Access::Protected(demands) => Some(demands),
        Access::Unprotected => None,
    });
    let url = policy.metadata.as_ref().filter(|_| challenge::is_about_credentials(denial));
    let url = url.map(|metadata| metadata.url(origin, path));
    let asked = Asked {
        attempted: scheme,
        demands,
        algorithms: &policy.dpop.algorithms,
        resource_metadata: url.as_deref(),
    };
    challenge::challenges(denial, &asked)
}

/// The methods that the path does have, of those that its routes or HTTP name.
fn allowed(peer: &Peer, parts: &Parts, body: &Incoming) -> Option<HeaderValue> {
    let routes = &peer.proxy.gate.policy.routes;
    let path = proxy::neutral(peer, parts, body, &Ok(None)).ok()?.target;
    let common = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let mut methods: Vec<Method> = Vec::from(common);
    methods.extend(routes.iter().flat_map(|route| route.methods.iter().cloned()));
    let mut names: Vec<String> = Vec::new();
    for method in methods {
        if routes.find(&method, path.path()).is_ok() && !names.iter().any(|name| name == method.as_str()) {
            names.push(method.to_string());
        }
    }
    HeaderValue::try_from(names.join(", ")).ok()
}
