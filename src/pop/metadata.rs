//! Protected resource metadata (RFC 9728), made from the policy: what a client needs to know to get a token
//! that will do here.
//!
//! The document of `https://host/path` is at `https://host/.well-known/oauth-protected-resource/path`, and
//! every challenge names it. Its members are written once; `resource` is put in for each request, because it
//! must be the very URL that the client called (section 3.3), which may have parameters in its path. The
//! query is no part of it: a challenge repeats nothing that may be secret.
//!
//! Not decided here: that an answer goes out (the gate), and with which fields (`serve`).

use super::algorithm::Algorithm;
use super::policy::{Access, Requirements, Routes};
use super::target_uri::Origin;
use super::{Denial, Request};
use http::Method;
use serde::Serialize;
use std::collections::HashMap;

/// Where the documents are (RFC 9728 section 3).
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of every protected resource.
#[derive(Debug)]
pub struct Metadata {
    /// The public origins, in their order, each with the URL of its document.
    origins: Vec<(Origin, String)>,
    /// Their indices, the longest prefix first.
    longest_first: Vec<usize>,
    /// The members besides `resource`, by the pattern of the path, and of all routes together.
    by_pattern: HashMap<String, String>,
    together: Option<String>,
}

impl Metadata {
    /// Of these routes. What a proof may be signed with is what is verified and what `algs` says (PRM-12).
    pub fn of<'i>(
        routes: &Routes,
        algorithms: &[Algorithm],
        issuers: impl Iterator<Item = &'i str>,
        origins: &[Origin],
    ) -> Metadata {
        let issuers: Vec<&str> = issuers.collect();
        let members = |path: Option<&str>| {
            let of_path = routes.iter().filter(|route| path.is_none_or(|path| &*route.path == path));
            let demands = of_path.filter_map(|route| match &route.access {
                Access::Protected(demands) => Some(demands),
                Access::Unprotected => None,
            });
            Members::of(&demands.collect::<Vec<_>>(), algorithms, &issuers).map(|members| members.written())
        };
        let of_pattern = |path: &str| Some((path.to_owned(), members(Some(path))?));
        let mut longest_first: Vec<usize> = (0..origins.len()).collect();
        longest_first.sort_by_key(|at| std::cmp::Reverse(origins[*at].prefix().len()));
        let url = |origin: &Origin| format!("{}{WELL_KNOWN}{}", origin.without_prefix(), origin.prefix());
        Metadata {
            origins: origins.iter().map(|origin| (origin.clone(), url(origin))).collect(),
            longest_first,
            by_pattern: routes.iter().filter_map(|route| of_pattern(&route.path)).collect(),
            together: members(None),
        }
    }

    /// The URL of the document for a path as it came, under one of the public origins (PRM-01, PRM-07). A
    /// path that would make the challenge long gets the origin's.
    pub fn url(&self, origin: usize, path: &str) -> String {
        let url = self.origins.get(origin).map_or("", |(_, url)| url);
        let path = if path.len() <= LONGEST_PATH { path } else { "" };
        [url, path].concat()
    }

    /// The document that a request is for, [`Denial::MetadataUnknown`] where no resource is protected under that
    /// path; `None` for any other request, and for those that an operator's route of its own takes.
    pub fn answer(&self, request: &Request<'_>, routes: &Routes) -> Option<Result<String, Denial>> {
        let path = request.target.path().strip_prefix(WELL_KNOWN)?;
        let own = |path: &str| routes.of_path(path).any(|route| route.path.starts_with("/.well-known/"));
        if !matches!(*request.method, Method::GET | Method::HEAD)
            || !(path.is_empty() || path.starts_with('/'))
            || own(request.target.path())
        {
            return None;
        }
        // As it came: the client compares it with what it called (PRM-03, PRM-08, PRM-09).
        let called = request.path.strip_prefix(WELL_KNOWN).unwrap_or(path);
        let host = self.origins.get(request.target.origin())?.0.without_prefix();
        let members = self.members(host, path, routes);
        Some(members.map(|m| format!(r#"{{"resource":"{host}{called}",{m}"#)).ok_or(Denial::MetadataUnknown))
    }

    fn members(&self, host: &str, path: &str, routes: &Routes) -> Option<&str> {
        let origins = self.longest_first.iter().map(|at| &self.origins[*at].0);
        let here = origins.filter(|origin| origin.without_prefix() == host);
        here.filter_map(|origin| origin.path_within(path)).find_map(|within| {
            if within.is_empty() {
                return self.together.as_deref();
            }
            let pattern = &routes.of_path(within).next()?.path;
            self.by_pattern.get(&**pattern).map(String::as_str)
        })
    }
}

/// The members besides `resource` (RFC 9728 section 2; PRM-04, MTLS-13); those without a value are left out
/// (PRM-05).
#[derive(Serialize)]
struct Members<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_servers: &'a [&'a str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dpop_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    dpop_bound_access_tokens_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_client_certificate_bound_access_tokens: bool,
}

impl<'a> Members<'a> {
    /// Of what all routes of a resource demand; `None` where none is protected. Only what every one of them
    /// demands is required, what one of them admits is supported.
    fn of(
        demands: &[&'a Requirements],
        algorithms: &[Algorithm],
        issuers: &'a [&'a str],
    ) -> Option<Members<'a>> {
        let mut scopes = Vec::new();
        for scope in demands.iter().flat_map(|d| &d.scopes) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope.as_str());
            }
        }
        let dpop_alone =
            |d: &&Requirements| d.proof.dpop && !d.proof.bearer && (d.proof.all || !d.proof.mtls);
        let dpop = demands.iter().any(|d| d.proof.dpop);
        (!demands.is_empty()).then(|| Members {
            authorization_servers: issuers,
            scopes_supported: scopes,
            bearer_methods_supported: ["header"],
            dpop_signing_alg_values_supported: algorithms.iter().filter(|_| dpop).map(|a| a.name()).collect(),
            dpop_bound_access_tokens_required: demands.iter().all(dpop_alone),
            tls_client_certificate_bound_access_tokens: demands.iter().any(|d| d.proof.mtls),
        })
    }

    /// What follows `resource`, with the brace at the end.
    fn written(&self) -> String {
        // Texts, lists and booleans: nothing in them can fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        text.strip_prefix('{').unwrap_or_default().to_owned()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Two challenges with it stay well below what a client takes as a header section.
const LONGEST_PATH: usize = 1024;

#[cfg(test)]
mod tests;
