//! What the operator demands: routes with their methods, kinds of proof and scopes.
//!
//! Paths are matched on the normalised path of the [target URI](super::target_uri), most specific
//! first (matchit's rules). A path may have several routes, one per set of methods. No route is
//! open by omission, and none is entered through another's spelling (`lookalike`).

use super::algorithm::Algorithm;
use super::metadata::Metadata;
use super::spiffe::SpiffePattern;
use super::{Denial, lookalike};
use http::Method;
use matchit::Router;
use std::sync::Arc;
use std::time::Duration;

/// Everything the pure core needs to know of the configuration.
#[derive(Debug)]
pub struct Policy {
    /// The routes.
    pub routes: Routes,
    /// The rules for DPoP proofs.
    pub dpop: DpopPolicy,
    /// What is published about the routes (RFC 9728); `None` where nothing is.
    pub metadata: Option<Metadata>,
    /// Whether a want of proof is recorded and waived (`mode: observe`; [`unproved`](super::unproved)).
    pub observes: bool,
}

/// The rules for DPoP proofs.
#[derive(Clone, Debug)]
pub struct DpopPolicy {
    /// Accepted algorithms, in the order announced in `algs`.
    pub algorithms: Vec<Algorithm>,
    /// How old `iat` may be.
    pub max_age: Duration,
    /// How far in the future `iat` may lie.
    pub max_future: Duration,
}

/// One route of the policy.
#[derive(Clone, Debug)]
pub struct Route {
    /// The path pattern as the operator wrote it; also the route's name in metrics, logs and spans.
    pub path: Arc<str>,
    /// The admitted methods; empty means every method.
    pub methods: Vec<Method>,
    /// What a caller must show.
    pub access: Access,
}

/// What a caller must show on a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// `danger_unprotected: true`: nothing at all.
    Unprotected,
    /// An access token.
    Protected(Requirements),
}

/// What the token and its binding must satisfy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The kinds of proof of possession that are admitted.
    pub proof: ProofRule,
    /// Only tokens of these issuers; empty means every configured one.
    pub issuers: Vec<String>,
    /// Only tokens of these clients; empty means every client.
    pub clients: Vec<String>,
    /// Only callers whose certificate has one of these SPIFFE IDs; empty means every caller.
    pub spiffe_ids: Vec<SpiffePattern>,
    /// All of these scopes.
    pub scopes: Vec<String>,
    /// One of these authentication context classes, best first (RFC 9470); empty means any.
    pub acr: Vec<String>,
    /// How long ago the user may have authenticated (RFC 9470): whole seconds.
    pub max_auth_age: Option<Duration>,
    /// CORS preflight requests for it pass without a token, which browsers never send with them.
    pub cors_preflight: bool,
    /// A response or stream may go on after its token has expired.
    pub outlive_token: bool,
}

/// Which kinds of proof a route admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofRule {
    /// A DPoP proof will do.
    pub dpop: bool,
    /// A certificate-bound token will do.
    pub mtls: bool,
    /// `{ all: [dpop, mtls] }`: both are needed.
    pub all: bool,
    /// `danger_bearer: true`: an unbound token will do.
    pub bearer: bool,
}

/// How the caller proved possession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofKind {
    /// A DPoP proof (RFC 9449).
    Dpop,
    /// The client certificate of the connection (RFC 8705).
    Mtls,
    /// Both.
    DpopAndMtls,
    /// Not at all: an unbound token.
    Bearer,
}

impl ProofKind {
    /// The value of `clinch-proof`, and the label everywhere else.
    pub fn as_str(self) -> &'static str {
        match self {
            ProofKind::Dpop => "dpop",
            ProofKind::Mtls => "mtls",
            ProofKind::DpopAndMtls => "dpop+mtls",
            ProofKind::Bearer => "bearer",
        }
    }
}

impl ProofRule {
    /// Whether the route admits a caller who proved possession in this way.
    pub fn admits(&self, kind: ProofKind) -> bool {
        match kind {
            ProofKind::Dpop => self.dpop && !self.all,
            ProofKind::Mtls => self.mtls && !self.all,
            ProofKind::DpopAndMtls => self.dpop || self.mtls,
            ProofKind::Bearer => self.bearer,
        }
    }
}

/// The routes, by path and method.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// By their paths: indices into `all`.
    by_path: Router<Vec<usize>>,
    /// By the form of their paths: the same.
    by_form: Router<Vec<usize>>,
    /// The forms of `all`.
    forms: Vec<String>,
    /// Whether some pattern is not its own form.
    odd: bool,
    all: Vec<Route>,
}

impl Route {
    fn admits(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}

/// Why a route can't be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteConflict {
    /// The pattern is not matchit syntax, or collides with another; the text says how.
    Pattern(String),
    /// Another route has this path and one of these methods.
    Duplicate,
}

impl Routes {
    /// Adds a route.
    pub fn add(&mut self, route: Route) -> Result<(), RouteConflict> {
        let overlaps = |other: &Route| {
            other.methods.is_empty()
                || route.methods.is_empty()
                || other.methods.iter().any(|m| route.methods.contains(m))
        };
        if self.all.iter().any(|other| other.path == route.path && overlaps(other)) {
            return Err(RouteConflict::Duplicate);
        }
        let at = self.all.len();
        let same_path = (0..at).filter(|other| self.all[*other].path == route.path).chain([at]).collect();
        enter(&mut self.by_path, &route.path, same_path)?;
        let form = lookalike::form_of_pattern(&route.path);
        let same_form = (0..at).filter(|other| self.forms[*other] == form).chain([at]).collect();
        self.odd |= !lookalike::is_plain(&route.path);
        self.forms.push(form.clone());
        self.all.push(route);
        enter(&mut self.by_form, &form, same_form)
    }

    /// The route for a method and a normalised path.
    ///
    /// # Errors
    /// [`Denial::RouteUnknown`], [`Denial::MethodNotAllowed`]; [`Denial::PathAmbiguous`] where a lenient
    /// service would see a path that has another route with other demands.
    pub fn find(&self, method: &Method, path: &str) -> Result<&Route, Denial> {
        let group = self.by_path.at(path).map_err(|_| Denial::RouteUnknown)?.value;
        let mut routes = group.iter().map(|at| &self.all[*at]);
        let route = routes.find(|r| r.admits(method)).ok_or(Denial::MethodNotAllowed)?;
        if self.is_spelling_of_another(route, method, path) { Err(Denial::PathAmbiguous) } else { Ok(route) }
    }

    /// The routes of a normalised path, whatever their methods; none where it has none.
    pub fn of_path(&self, path: &str) -> impl Iterator<Item = &Route> {
        let group: &[usize] = self.by_path.at(path).map_or(&[], |found| found.value);
        group.iter().map(|at| &self.all[*at])
    }

    fn is_spelling_of_another(&self, route: &Route, method: &Method, path: &str) -> bool {
        if !self.odd && lookalike::is_plain(path) {
            return false;
        }
        let (_, others) = self.lookalikes(path);
        if others.clone().next().is_none() || others.clone().any(|other| other.path == route.path) {
            return false; // nobody's, or its own by whatever spelling
        }
        let mut admitting = others.filter(|other| other.admits(method)).peekable();
        admitting.peek().is_none() || admitting.any(|other| other.access != route.access)
    }

    /// What a lenient service makes of a normalised path, and the routes that are there to its eyes.
    pub fn lookalikes(&self, path: &str) -> (String, impl Iterator<Item = &Route> + Clone) {
        let form = lookalike::form_of_path(path);
        let group: &[usize] = self.by_form.at(&form).map_or(&[], |found| found.value);
        (form, group.iter().map(|at| &self.all[*at]))
    }

    /// The routes in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.all.iter()
    }
}

/// Puts a group under its pattern, in place of the smaller one that may be there.
fn enter(router: &mut Router<Vec<usize>>, pattern: &str, group: Vec<usize>) -> Result<(), RouteConflict> {
    router.remove(pattern);
    router.insert(pattern, group).map_err(|e| RouteConflict::Pattern(e.to_string()))
}

#[cfg(test)]
mod tests;
