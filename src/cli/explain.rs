//! `clinch explain`: which route a request takes, and in words what its caller must show.
//!
//! Asks the same code that judges requests, so the answer can't differ from what happens.

mod ambiguous;

use super::check;
use crate::config::Config;
use crate::pop::policy::{Access, ProofRule, Requirements, Route};
use crate::pop::target_uri::Origin;
use crate::pop::{Denial, Request};
use crate::serve::metadata;
use clap::builder::NonEmptyStringValueParser;
use http::{Method, Uri};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `clinch explain`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
    /// The request method; methods are case-sensitive
    #[arg(value_parser = |text: &str| Method::from_bytes(text.as_bytes()))]
    method: Method,
    /// The URL as the client calls it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    url: String,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let config = match check::load(&arguments.config, arguments.json) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let answer = explain(&config, &arguments.method, &arguments.url);
    check::print(&if arguments.json { format!("{:#}\n", answer.to_json()) } else { answer.to_text() })
}

/// What becomes of a request.
enum Answer<'c> {
    Refused { denial: Denial, detail: Option<String>, config: &'c Config },
    Taken { route: &'c Route, htu: String, config: &'c Config },
    Published { document: String },
}

fn explain<'c>(config: &'c Config, method: &Method, url: &str) -> Answer<'c> {
    let refused = |denial| Answer::Refused { denial, detail: None, config };
    let ambiguous = |denial, why: &dyn Fn() -> Option<String>| {
        let detail = if denial == Denial::PathAmbiguous { why() } else { None };
        Answer::Refused { denial, detail, config }
    };
    let url = url.split('#').next().unwrap_or_default();
    let Ok(uri) = url.parse::<Uri>() else { return refused(Denial::RequestMalformed) };
    let Some(authority) = uri.authority().map(|a| a.as_str().to_owned()) else {
        return refused(Denial::RequestMalformed);
    };
    match published(config, method, &uri) {
        Some(Ok(document)) => return Answer::Published { document },
        Some(Err(denial)) => return refused(denial),
        None => {}
    }
    let origins = &config.listen.public_origins;
    let (uri, origins) = match as_it_comes_in(&uri, origins) {
        Some((uri, origin)) => (uri, std::slice::from_ref(origin)),
        None if origins.iter().any(|origin| is_of(&uri, origin)) => return refused(Denial::HostUnknown),
        None => (uri, origins.as_slice()),
    };
    let request = http::Request::builder().method(method).uri(uri).header(http::header::HOST, authority);
    let Ok(request) = request.body(()) else { return refused(Denial::RequestMalformed) };
    let (parts, ()) = request.into_parts();
    let request = match Request::of(&parts, None, origins) {
        Ok(request) => request,
        Err(denial) => return ambiguous(denial, &|| Some(ambiguous::spelling(parts.uri.path()))),
    };
    match config.routes.find(request.method, request.target.path()) {
        Ok(route) => Answer::Taken { route, htu: request.target.as_str().to_owned(), config },
        Err(denial) => ambiguous(denial, &|| ambiguous::lookalike(&config.routes, request.target.path())),
    }
}

/// What clinch itself answers to a question for the metadata of a resource. No load balancer strips a prefix
/// off these: it stands behind the well-known part (RFC 9728 section 3.1).
fn published(config: &Config, method: &Method, uri: &Uri) -> Option<Result<String, Denial>> {
    let host = uri.authority()?.as_str();
    let request = http::Request::builder().method(method).uri(uri).header(http::header::HOST, host);
    let (parts, ()) = request.body(()).ok()?.into_parts();
    let request = Request::of(&parts, None, &config.listen.public_origins).ok()?;
    metadata(config)?.answer(&request, &config.routes)
}

/// The public origin that a URL is below, the one with the longest prefix, and the URL without the prefix: so
/// it comes in behind the load balancer.
fn as_it_comes_in<'o>(uri: &Uri, origins: &'o [Origin]) -> Option<(Uri, &'o Origin)> {
    let below = |origin: &'o Origin| Some((origin.path_within(uri.path())?, origin));
    let here = origins.iter().filter(|origin| is_of(uri, origin));
    let (path, origin) = here.filter_map(below).min_by_key(|(path, _)| path.len())?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let slash = if path.is_empty() { "/" } else { "" };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{slash}{path}{query}").parse().ok()?);
    Some((Uri::from_parts(parts).ok()?, origin))
}

fn is_of(uri: &Uri, origin: &Origin) -> bool {
    let called = uri.authority().and_then(|authority| Origin::parse(&format!("https://{authority}")).ok());
    called.is_some_and(|called| called.authority() == origin.authority())
}

impl Answer<'_> {
    fn to_text(&self) -> String {
        let lines = match self {
            Answer::Refused { denial, detail, config } => {
                let mut lines = refusal_in_words(*denial, config);
                lines.extend(detail.clone());
                lines
            }
            Answer::Taken { route, htu, config } => match &route.access {
                Access::Unprotected => vec![
                    format!("route {}", route.path),
                    "open to everyone, without a token (danger_unprotected)".to_owned(),
                ],
                Access::Protected(demands) => rules_in_words(route, demands, htu, config),
            },
            Answer::Published { document } => vec![
                "answered by clinch itself: what clients need here (RFC 9728), for everyone".to_owned(),
                document.clone(),
            ],
        };
        lines.join("\n  ") + "\n"
    }

    fn to_json(&self) -> Value {
        match self {
            Answer::Refused { denial, detail, .. } => json!({
                "route": null,
                "status": denial.status().as_u16(),
                "reason": denial.reason(),
                "description": denial.description(),
                "detail": detail,
            }),
            Answer::Published { document } => json!({
                "route": null,
                "status": 200,
                "metadata": document,
            }),
            Answer::Taken { route, htu, config } => {
                let open = Requirements::default();
                let (proof, demands) = match &route.access {
                    Access::Unprotected => (None, &open),
                    Access::Protected(demands) => (Some(kinds(demands.proof)), demands),
                };
                json!({
                    "route": &*route.path,
                    "methods": route.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
                    "protected": proof.is_some(),
                    "proof": proof,
                    "route_issuers": demands.issuers,
                    "clients": demands.clients,
                    "spiffe_ids": demands.spiffe_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "scopes": demands.scopes,
                    "acr": demands.acr,
                    "max_auth_age_seconds": demands.max_auth_age.map(|age| age.as_secs()),
                    "cors_preflight": demands.cors_preflight,
                    "outlive_token": demands.outlive_token,
                    "htu": htu,
                    "issuers": issuers_json(config),
                    "dpop": {
                        "algorithms": algorithms(config),
                        "max_age_seconds": config.dpop.max_age.as_secs(),
                        "max_future_seconds": config.dpop.max_future.as_secs(),
                        "nonce": config.nonces.required,
                    },
                })
            }
        }
    }
}

fn issuers_json(config: &Config) -> Value {
    let one = |issuer: &crate::config::Issuer| json!({ "issuer": issuer.expected.issuer.as_ref(), "audiences": issuer.expected.audiences });
    config.issuers.iter().map(one).collect()
}

/// The bindings that are admitted, each a list of what the token must be bound to.
fn kinds(rule: ProofRule) -> Vec<&'static str> {
    let all = [
        (rule.dpop && !rule.all, "dpop"),
        (rule.mtls && !rule.all, "mtls"),
        (rule.all, "dpop+mtls"),
        (rule.bearer, "bearer"),
    ];
    all.iter().filter(|(admitted, _)| *admitted).map(|(_, kind)| *kind).collect()
}

fn refusal_in_words(denial: Denial, config: &Config) -> Vec<String> {
    let status = denial.status();
    let mut lines = vec![format!("refused with {status} ({}): {}", denial.reason(), denial.description())];
    if denial == Denial::HostUnknown {
        let origins = config.listen.public_origins.iter().map(|o| o.as_str()).collect::<Vec<_>>();
        lines.push(format!("clinch answers for {}", origins.join(", ")));
    } else if denial == Denial::RequestMalformed {
        lines.push("a URL is https://HOST/PATH, as the client calls it".to_owned());
    } else if denial == Denial::RouteUnknown || denial == Denial::MethodNotAllowed {
        let what = if denial == Denial::RouteUnknown {
            "no path is open by omission"
        } else {
            "the path has a route, but not for this method (methods are case-sensitive)"
        };
        lines.push(format!("{what}; these are the routes:"));
        lines.extend(config.routes.iter().map(|route| format!("  {} {}", methods(route), route.path)));
    }
    lines
}

fn rules_in_words(route: &Route, demands: &Requirements, htu: &str, config: &Config) -> Vec<String> {
    let mut lines = vec![format!("route {} ({})", route.path, methods(route))];
    let admitted = |name: &str| demands.issuers.is_empty() || demands.issuers.iter().any(|one| one == name);
    for issuer in config.issuers.iter().filter(|issuer| admitted(&issuer.expected.issuer)) {
        let expected = &issuer.expected;
        let audiences = expected.audiences.join(" or ");
        lines.push(format!("token     from {} for the audience {audiences}", expected.issuer));
    }
    let rule = demands.proof;
    lines.extend(
        kinds(rule).iter().enumerate().map(|(at, kind)| {
            format!("{:<9} {}", if at == 0 { "bound" } else { "or" }, binding_in_words(kind))
        }),
    );
    if rule.dpop {
        let (age, future) = (config.dpop.max_age.as_secs(), config.dpop.max_future.as_secs());
        lines.push(format!("proof     htu {htu}"));
        lines.push(format!("          signed with {}, used once", algorithms(config).join(" or ")));
        lines.push(format!(
            "          made at most {age} seconds ago and at most {future} seconds ahead of our clock"
        ));
        if config.nonces.required {
            let lifetime = config.nonces.lifetime.as_secs();
            lines.push(format!("          with a nonce of ours, at most {lifetime} seconds old"));
        }
    }
    if !demands.clients.is_empty() {
        lines.push(format!("client    {}", demands.clients.join(" or ")));
    }
    if !demands.spiffe_ids.is_empty() {
        let ids: Vec<_> = demands.spiffe_ids.iter().map(ToString::to_string).collect();
        lines.push(format!("workload  {}", ids.join(" or ")));
    }
    if !demands.scopes.is_empty() {
        lines.push(format!("scopes    {}", demands.scopes.join(" and ")));
    }
    if !demands.acr.is_empty() {
        lines.push(format!("acr       {}", demands.acr.join(" or ")));
    }
    if let Some(age) = demands.max_auth_age {
        lines.push(format!("auth_time at most {} seconds ago", age.as_secs()));
    }
    if demands.cors_preflight {
        lines.push("preflight passes without a token (cors_preflight)".to_owned());
    }
    if demands.outlive_token {
        lines.push("streams   may go on after their token has expired (outlive_token)".to_owned());
    }
    lines
}

fn binding_in_words(kind: &str) -> &'static str {
    match kind {
        "dpop" => "to a DPoP key (cnf.jkt): each request carries a proof signed with it (RFC 9449)",
        "mtls" => "to a client certificate (cnf.x5t#S256): the connection shows it (RFC 8705)",
        "dpop+mtls" => "to a DPoP key and to a client certificate: both must be shown",
        _ => "to no key: whoever has the token may use it (danger_bearer)",
    }
}

fn algorithms(config: &Config) -> Vec<&'static str> {
    config.dpop.algorithms.iter().map(|a| a.name()).collect()
}

fn methods(route: &Route) -> String {
    if route.methods.is_empty() {
        return "every method".to_owned();
    }
    route.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

const AFTER_HELP: &str = "\
With --json, one object. For a request that a route takes: route (its path), methods (none: every method), \
protected, proof (the bindings that are admitted: dpop, mtls, dpop+mtls, bearer; null if not protected), \
route_issuers, clients and spiffe_ids (one of them; none: any), scopes (all of them), acr (one of them; none: any), \
max_auth_age_seconds (or null), cors_preflight, outlive_token, htu (what a proof must name), \
issuers (issuer, audiences), dpop (algorithms, max_age_seconds, max_future_seconds, nonce: whether each proof needs \
one). For one that clinch answers itself: route (null), status, metadata (the document, as text). For any other: route \
(null), status, reason, description, detail (why a path is ambiguous, or null). The exit code is 0 for all.";
