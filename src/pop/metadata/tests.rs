//! The documents, their places and their names.

use super::super::policy::{ProofRule, Route};
use super::*;
use serde_json::{Value, json};

fn protected(proof: ProofRule, scopes: &[&str]) -> Access {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Access::Protected(Requirements { proof, scopes, ..Requirements::default() })
}

const DPOP: ProofRule = ProofRule { dpop: true, mtls: false, all: false, bearer: false };
const MTLS: ProofRule = ProofRule { dpop: false, mtls: true, all: false, bearer: false };
const BOTH: ProofRule = ProofRule { dpop: true, mtls: true, all: true, bearer: false };
const EITHER: ProofRule = ProofRule { dpop: true, mtls: true, all: false, bearer: false };
const BEARER_TOO: ProofRule = ProofRule { dpop: true, mtls: false, all: false, bearer: true };

struct World {
    origins: Vec<Origin>,
    routes: Routes,
    metadata: Metadata,
}

fn world(origins: &[&str], written: &[(&str, &[Method], Access)]) -> World {
    let mut routes = Routes::default();
    for (path, methods, access) in written {
        let route = Route { path: (*path).into(), methods: methods.to_vec(), access: access.clone() };
        routes.add(route).unwrap();
    }
    let origins: Vec<Origin> = origins.iter().map(|text| Origin::parse(text).unwrap()).collect();
    let issuers = ["https://as.example.com", "https://other.example"];
    let algorithms = [Algorithm::Es256, Algorithm::EdDsa];
    let metadata = Metadata::of(&routes, &algorithms, issuers.into_iter(), &origins);
    World { origins, routes, metadata }
}

impl World {
    fn ask(&self, method: &str, host: &str, path: &str) -> Option<Result<Value, Denial>> {
        let request =
            http::Request::builder().method(method).uri(path).header("host", host).body(()).unwrap();
        let parts = request.into_parts().0;
        let request = Request::of(&parts, None, &self.origins).unwrap();
        let answer = self.metadata.answer(&request, &self.routes)?;
        Some(answer.map(|text| serde_json::from_str(&text).unwrap()))
    }
    fn get(&self, path: &str) -> Option<Result<Value, Denial>> {
        self.ask("GET", "api.example.com", path)
    }
    fn resource(&self, path: &str) -> String {
        self.get(path).unwrap().unwrap()["resource"].as_str().unwrap().to_owned()
    }
}

fn shop() -> World {
    world(
        &["https://api.example.com", "https://b.example:8443"],
        &[
            ("/open", &[], Access::Unprotected),
            ("/orders/{id}", &[Method::GET], protected(DPOP, &["orders.read"])),
            ("/orders/{id}", &[Method::PUT], protected(BOTH, &["orders.read", "orders.write"])),
            ("/files/{*rest}", &[], protected(EITHER, &[])),
            ("/certified", &[], protected(MTLS, &[])),
            ("/legacy", &[], protected(BEARER_TOO, &["old"])),
            ("/", &[], protected(DPOP, &[])),
        ],
    )
}

/// PRM-03, PRM-04, PRM-05, PRM-12, MTLS-13
#[test]
fn the_members_are_those_of_all_methods_of_the_path() {
    let shop = shop();
    let servers = json!(["https://as.example.com", "https://other.example"]);
    let of = |path: &str| shop.get(&format!("{WELL_KNOWN}{path}")).unwrap().unwrap();
    assert_eq!(
        of("/orders/7"),
        json!({
            "resource": "https://api.example.com/orders/7",
            "authorization_servers": servers,
            "scopes_supported": ["orders.read", "orders.write"],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
            "dpop_bound_access_tokens_required": true,
            "tls_client_certificate_bound_access_tokens": true,
        })
    );
    assert_eq!(
        of("/certified"),
        json!({
            "resource": "https://api.example.com/certified",
            "authorization_servers": servers,
            "bearer_methods_supported": ["header"],
            "tls_client_certificate_bound_access_tokens": true,
        })
    );
    assert!(of("/files/a/b").get("dpop_bound_access_tokens_required").is_none(), "a certificate will do");
    assert!(of("/legacy").get("dpop_bound_access_tokens_required").is_none(), "no binding will do");
    let origin = of("");
    assert_eq!(origin["scopes_supported"], json!(["orders.read", "orders.write", "old"]));
    assert!(origin.get("dpop_bound_access_tokens_required").is_none());
}

/// PRM-01, PRM-03, PRM-08, PRM-09
#[test]
fn the_resource_is_what_the_url_was_built_from() {
    let shop = shop();
    for path in ["", "/", "/orders/7", "/orders/%37", "/files/a;v=1/%C3%A9:@!$&'()*+,=~", "/files/%c3%a9/"] {
        let resource = format!("https://api.example.com{path}");
        assert_eq!(shop.resource(&format!("{WELL_KNOWN}{path}")), resource);
        if !path.is_empty() {
            let url = shop.metadata.url(0, path);
            assert_eq!(url, format!("https://api.example.com{WELL_KNOWN}{path}"));
        }
    }
    let elsewhere = shop.ask("HEAD", "B.example:8443", &format!("{WELL_KNOWN}/orders/7")).unwrap().unwrap();
    assert_eq!(elsewhere["resource"], "https://b.example:8443/orders/7");
    assert_eq!(shop.metadata.url(1, "/orders/7"), format!("https://b.example:8443{WELL_KNOWN}/orders/7"));
}

#[test]
fn what_is_not_protected_has_no_metadata() {
    let shop = shop();
    for path in ["/open", "/nowhere", "/orders", "/orders/7/8"] {
        assert_eq!(shop.get(&format!("{WELL_KNOWN}{path}")), Some(Err(Denial::MetadataUnknown)), "{path}");
    }
    let open = world(&["https://api.example.com"], &[("/{*rest}", &[], Access::Unprotected)]);
    assert_eq!(open.get(WELL_KNOWN), Some(Err(Denial::MetadataUnknown)));
    for path in [
        "/orders/7",
        "/.well-known/oauth-protected-resources",
        "/.well-known",
        "/a/.well-known/oauth-protected-resource",
    ] {
        assert_eq!(shop.get(path), None, "{path}");
    }
    for method in ["POST", "OPTIONS", "DELETE", "get"] {
        assert_eq!(shop.ask(method, "api.example.com", WELL_KNOWN), None, "{method}");
    }
}

#[test]
fn a_route_of_the_operators_own_for_the_path_wins_and_a_catch_all_is_none() {
    let all = ("/{*rest}", &[][..], protected(DPOP, &[]));
    let catch_all = world(&["https://api.example.com"], std::slice::from_ref(&all));
    assert_eq!(catch_all.resource(&format!("{WELL_KNOWN}/x")), "https://api.example.com/x");
    let own = world(&["https://api.example.com"], &[all, ("/.well-known/{*rest}", &[], Access::Unprotected)]);
    assert_eq!(own.get(&format!("{WELL_KNOWN}/x")), None);
    assert_eq!(own.get(WELL_KNOWN), None);
}

/// CL-032, PRM-03
#[test]
fn behind_a_prefix_the_public_form_is_the_resource() {
    let orders = ("/orders/{id}", &[][..], protected(DPOP, &[]));
    let one = world(&["https://api.example.com/svc2"], std::slice::from_ref(&orders));
    assert_eq!(
        one.metadata.url(0, "/orders/7"),
        format!("https://api.example.com{WELL_KNOWN}/svc2/orders/7")
    );
    assert_eq!(one.resource(&format!("{WELL_KNOWN}/svc2/orders/7")), "https://api.example.com/svc2/orders/7");
    assert_eq!(one.resource(&format!("{WELL_KNOWN}/svc2")), "https://api.example.com/svc2");
    for path in ["", "/", "/orders/7", "/svc2x/orders/7", "/svc2/svc2/orders/7"] {
        assert_eq!(one.get(&format!("{WELL_KNOWN}{path}")), Some(Err(Denial::MetadataUnknown)), "{path}");
    }
    let two = world(&["https://api.example.com", "https://api.example.com/svc2"], &[orders]);
    for path in ["/orders/7", "/svc2/orders/7", "", "/svc2"] {
        assert_eq!(two.resource(&format!("{WELL_KNOWN}{path}")), format!("https://api.example.com{path}"));
    }
}

/// Attackers choose the path: it must not make the answer longer than a client takes.
#[test]
fn a_long_path_gets_the_document_of_the_origin() {
    let shop = shop();
    let path = format!("/files/{}", "x".repeat(2000));
    assert_eq!(shop.metadata.url(0, &path), format!("https://api.example.com{WELL_KNOWN}"));
    let prefixed = world(&["https://api.example.com/svc2"], &[("/{*rest}", &[], protected(DPOP, &[]))]);
    assert_eq!(prefixed.metadata.url(0, &path), format!("https://api.example.com{WELL_KNOWN}/svc2"));
}
