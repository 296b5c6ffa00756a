//! `routes`: every route says how callers prove possession; none is open by omission.

use super::Checks;
use crate::config::file::{ClientCertificate, Proof, ProofName, Route as Written, Span};
use crate::config::tree::{item, member};
use crate::config::words::quoted;
use crate::pop::policy::{Access, ProofRule, Requirements, Route, RouteConflict, Routes};
use crate::pop::spiffe::SpiffePattern;
use crate::pop::target_uri::{Origin, TargetUri};
use http::Method;
use std::time::Duration;

/// The routes. `asked`: whether clients are asked for certificates, if that is known.
pub(super) fn check(c: &mut Checks<'_>, written: &[Written], asked: Option<ClientCertificate>) -> Routes {
    let mut routes = Routes::default();
    for (at, one) in written.iter().enumerate() {
        let path = item("routes", at);
        let pattern = one.path.as_ref().filter(|p| is_pattern(c, &member(&path, "path"), p));
        let methods = methods(c, &member(&path, "methods"), &one.methods);
        let access = access(c, &path, one);
        reachable(c, &path, &access, asked);
        let Some(pattern) = pattern else { continue };
        let route = Route { path: pattern.as_str().into(), methods, access };
        match routes.add(route) {
            Ok(()) => {}
            Err(RouteConflict::Duplicate) => {
                c.fault(&member(&path, "path"), "another route has this path and one of these methods")
                    .found(quoted(pattern))
                    .expected("one route for each path and method");
            }
            Err(RouteConflict::Pattern(why)) => {
                c.fault(&member(&path, "path"), format!("this path can't be used: {why}"))
                    .found(quoted(pattern))
                    .expected("segments, {name} for one segment, {*name} at the end for the rest");
            }
        }
    }
    routes
}

/// A pattern that some request can match: what the pure core makes of such a request is asked of itself.
fn is_pattern(c: &mut Checks<'_>, path: &str, pattern: &str) -> bool {
    let why = if !pattern.starts_with('/') {
        "a path begins with /"
    } else if pattern.contains(['?', '#']) {
        "a path has no query and no fragment"
    } else {
        match normalised(&example(pattern)) {
            Some(normal) if normal == example(pattern) => return true,
            Some(_) => "a path is compared in its normal form (RFC 3986 section 6.2.2)",
            None if pattern.contains("//") => "a path has no empty segments",
            None if pattern.split('/').any(|s| s == "." || s == "..") => "a path has no dot segments",
            None => "a path has only the characters of a URI, and no encoded slashes",
        }
    };
    c.fault(path, format!("no request can match this path: {why}"))
        .found(quoted(pattern))
        .expected("a path such as /accounts/{id} or /accounts/{*rest}");
    false
}

/// A path that the pattern matches: every parameter is `x`. What is wrong with the braces says matchit.
fn example(pattern: &str) -> String {
    let mut example = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((literal, parameter)) = rest.split_once('{') {
        example.push_str(literal);
        example.push('x');
        rest = parameter.split_once('}').map_or("", |(_, rest)| rest);
    }
    example + rest
}

fn normalised(path: &str) -> Option<String> {
    let origin = Origin::parse("https://example.com").ok()?;
    let request = http::Request::get(path).header(http::header::HOST, origin.authority()).body(()).ok()?;
    let target = TargetUri::of(&request.into_parts().0, &[origin]).ok()?;
    Some(target.path().to_owned())
}

fn methods(c: &mut Checks<'_>, path: &str, written: &[String]) -> Vec<Method> {
    let mut methods = Vec::new();
    for (at, name) in written.iter().enumerate() {
        let path = item(path, at);
        let token = Method::from_bytes(name.as_bytes()).ok();
        let upper = !name.bytes().any(|b| b.is_ascii_lowercase());
        match token.filter(|_| upper) {
            Some(Method::CONNECT | Method::TRACE) => {
                c.fault(&path, "this method is never forwarded")
                    .found(quoted(name))
                    .expected("another method");
            }
            Some(method) if methods.contains(&method) => {
                c.fault(&path, "this method is in the list twice").found(quoted(name)).expected("each once");
            }
            Some(method) => methods.push(method),
            None => {
                c.fault(&path, "this is not a method (methods are case-sensitive)")
                    .found(quoted(name))
                    .expected("GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or another in upper case");
            }
        }
    }
    methods
}

/// No route is open by omission: unbound tokens and no tokens at all pass where the operator says so (FAPI-05,
/// SBCP-01).
fn access(c: &mut Checks<'_>, path: &str, written: &Written) -> Access {
    let keys = ["proof", "danger_bearer", "danger_unprotected"];
    let unsound = keys.iter().any(|key| c.is_unsound(&member(path, key)));
    if written.danger_unprotected {
        for (key, there) in [
            ("proof", written.proof.is_some()),
            ("danger_bearer", written.danger_bearer),
            ("issuers", !written.issuers.is_empty()),
            ("clients", !written.clients.is_empty()),
            ("spiffe_ids", !written.spiffe_ids.is_empty()),
            ("scopes", !written.scopes.is_empty()),
            ("acr", !written.acr.is_empty()),
            ("max_auth_age", written.max_auth_age.is_some()),
            ("cors_preflight", written.cors_preflight),
            ("outlive_token", written.outlive_token),
        ] {
            if there {
                c.fault(&member(path, key), format!("`{key}` on a route that is open to everyone"))
                    .found("`danger_unprotected: true`")
                    .expected("one of the two");
            }
        }
        c.warn(path, "danger_unprotected: everyone is let through, without a token");
        return Access::Unprotected;
    }
    if written.proof.is_none() && !written.danger_bearer && !unsound {
        c.fault(path, "this route does not say how callers prove possession")
            .expected("`proof: [dpop]`, `proof: [dpop, mtls]` or `proof: { all: [dpop, mtls] }`");
    }
    if written.danger_bearer {
        c.warn(path, "danger_bearer: unbound tokens are let through, stolen ones too");
    }
    for (at, client) in written.clients.iter().enumerate().filter(|(_, client)| client.is_empty()) {
        c.fault(&item(&member(path, "clients"), at), "this is empty")
            .found(quoted(client))
            .expected("a `client_id`");
    }
    words(c, &member(path, "scopes"), &written.scopes, "scope");
    words(c, &member(path, "acr"), &written.acr, "authentication context class");
    Access::Protected(Requirements {
        proof: rule(c, path, written),
        issuers: written.issuers.clone(),
        clients: written.clients.clone(),
        spiffe_ids: workloads(c, &member(path, "spiffe_ids"), &written.spiffe_ids),
        scopes: written.scopes.clone(),
        acr: written.acr.clone(),
        max_auth_age: written
            .max_auth_age
            .and_then(|age| max_auth_age(c, &member(path, "max_auth_age"), age)),
        cors_preflight: written.cors_preflight,
        outlive_token: written.outlive_token,
    })
}

/// Each read as it is written; what is at fault is reported.
fn workloads(c: &mut Checks<'_>, path: &str, written: &[String]) -> Vec<SpiffePattern> {
    let mut patterns = Vec::new();
    for (at, text) in written.iter().enumerate() {
        match text.parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => {
                c.fault(&item(path, at), format!("this is not a SPIFFE ID: {why}"))
                    .found(quoted(text))
                    .expected("spiffe://trust.domain/path, or spiffe://trust.domain/path/* for all below it");
            }
        }
    }
    patterns
}

/// A challenge says it in whole seconds (RFC 9470 section 3). Nobody can have authenticated 0 seconds ago.
fn max_auth_age(c: &mut Checks<'_>, path: &str, age: Span) -> Option<Duration> {
    let second = Duration::from_secs(1);
    let age = c.within(path, age, second, 365 * 86_400 * second)?;
    if age.subsec_nanos() != 0 {
        c.fault(path, "clients are told whole seconds")
            .found(quoted(&Span(age).to_string()))
            .expected("such as 5m");
    }
    Some(age)
}

fn rule(c: &mut Checks<'_>, path: &str, written: &Written) -> ProofRule {
    let (names, all): (&[ProofName], bool) = match &written.proof {
        None => (&[], false),
        Some(Proof::Any(names)) => (names, false),
        Some(Proof::All(all)) => (all.all.as_deref().unwrap_or_default(), true),
    };
    let has = |name| names.contains(&name);
    let (dpop, mtls) = (has(ProofName::Dpop), has(ProofName::Mtls));
    if all && written.danger_bearer {
        c.fault(&member(path, "danger_bearer"), "both kinds of proof are demanded, and none at all will do")
            .expected("one of the two");
    }
    if names.len() > usize::from(dpop) + usize::from(mtls) {
        c.fault(&member(path, "proof"), "a kind of proof is in the list twice").expected("each kind once");
    }
    ProofRule { dpop, mtls, all: all && dpop && mtls, bearer: written.danger_bearer }
}

/// What a challenge names in a list with spaces: scopes (RFC 6749 section 3.3), classes (RFC 9470 section 3).
fn words(c: &mut Checks<'_>, path: &str, written: &[String], what: &str) {
    for (at, word) in written.iter().enumerate() {
        let sound = |ch: char| ch.is_ascii_graphic() && ch != '"' && ch != '\\';
        if word.is_empty() || !word.chars().all(sound) {
            c.fault(&item(path, at), format!("this is not one {what}"))
                .found(quoted(word))
                .expected(format!("one {what} an item"));
        }
    }
}

/// A token of an issuer that is not configured is never looked at.
pub(super) fn issuers_exist(c: &mut Checks<'_>, routes: &[Written], issuers: &[&str]) {
    for (at, route) in routes.iter().enumerate() {
        let path = member(&item("routes", at), "issuers");
        for (at, name) in
            route.issuers.iter().enumerate().filter(|(_, name)| !issuers.contains(&name.as_str()))
        {
            c.fault(&item(&path, at), "no issuer of this name is configured")
                .found(quoted(name))
                .expected("the `issuer` of an entry of `issuers`");
        }
    }
}

/// A certificate can't be shown where none is asked for.
fn reachable(c: &mut Checks<'_>, path: &str, access: &Access, asked: Option<ClientCertificate>) {
    let Access::Protected(demands) = access else { return };
    if !demands.spiffe_ids.is_empty() && asked == Some(ClientCertificate::Off) {
        c.fault(&member(path, "spiffe_ids"), "no client is asked for a certificate")
            .found("`listen.tls.client_certificate: off`")
            .expected("`client_certificate: optional` or `required`, or a route without `spiffe_ids`");
    }
    if demands.proof.mtls && asked == Some(ClientCertificate::Off) {
        c.fault(&member(path, "proof"), "no client is asked for a certificate")
            .found("`listen.tls.client_certificate: off`")
            .expected("`client_certificate: optional` or `required`, or a proof without mtls");
    }
}
