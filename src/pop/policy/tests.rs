//! Which route a path takes, and which it must not take.

use super::*;

fn protected(scope: &str) -> Access {
    let proof = ProofRule { dpop: true, ..ProofRule::default() };
    Access::Protected(Requirements { proof, scopes: vec![scope.to_owned()], ..Requirements::default() })
}

fn routes(written: &[(&str, &[Method], Access)]) -> Routes {
    let mut routes = Routes::default();
    for (path, methods, access) in written {
        let route = Route { path: (*path).into(), methods: methods.to_vec(), access: access.clone() };
        routes.add(route).unwrap();
    }
    routes
}

fn found(routes: &Routes, path: &str) -> Result<String, Denial> {
    routes.find(&Method::GET, path).map(|route| route.path.to_string())
}

#[test]
fn no_route_is_entered_through_anothers_spelling() {
    let routes = routes(&[
        ("/{*rest}", &[], Access::Unprotected),
        ("/admin", &[], protected("admin")),
        ("/admin/{*rest}", &[], protected("admin")),
        ("/Reports/{id}", &[], protected("reports")),
        ("/jobs/{id}:run", &[], protected("run")),
        ("/upload/", &[Method::PUT], protected("upload")),
    ]);
    for path in [
        "/ADMIN/users",
        "/admin;x/users",
        "/admin%3Bx/users",
        "/;x/admin/users",
        "/admin/",
        "/admin;",
        "/Admin",
        "/reports/7",
        "/jobs/7%3Arun",
        "/jobs/7:RUN",
        "/upload",
    ] {
        assert_eq!(found(&routes, path), Err(Denial::PathAmbiguous), "{path}");
    }
    for (path, route) in [
        ("/admin/Users;x/", "/admin/{*rest}"),
        ("/Reports/X;1", "/Reports/{id}"),
        ("/jobs/7:run", "/jobs/{id}:run"),
        ("/Index.html", "/{*rest}"),
        ("/administrator", "/{*rest}"),
        ("/Assets/", "/{*rest}"),
    ] {
        assert_eq!(found(&routes, path).as_deref(), Ok(route), "{path}");
    }
}

#[test]
fn another_spelling_is_no_matter_where_the_demands_are_the_same() {
    let routes = routes(&[
        ("/items/{id}", &[Method::GET], protected("read")),
        ("/items/me", &[], protected("read")),
        ("/items/all", &[], protected("admin")),
    ]);
    assert_eq!(found(&routes, "/items/Me").as_deref(), Ok("/items/{id}"));
    assert_eq!(found(&routes, "/items/All"), Err(Denial::PathAmbiguous));
}

#[test]
fn who_writes_both_spellings_means_both() {
    let routes = routes(&[
        ("/a", &[], protected("x")),
        ("/a/", &[], protected("y")),
        ("/A", &[], Access::Unprotected),
    ]);
    for path in ["/a", "/a/", "/A"] {
        assert_eq!(found(&routes, path).as_deref(), Ok(path));
    }
}

#[test]
fn names_of_parameters_do_not_make_a_conflict_of_forms() {
    let routes = routes(&[("/users/{id}", &[], protected("x")), ("/Users/{name}", &[], protected("x"))]);
    assert_eq!(found(&routes, "/USERS/7"), Err(Denial::RouteUnknown));
    assert_eq!(found(&routes, "/Users/7").as_deref(), Ok("/Users/{name}"));
}
