//! Why a path is ambiguous, in words. The verdict is that of [`pop`](crate::pop); here is only what in the
//! path gave rise to it, for whoever wonders.

use crate::pop::policy::Routes;

/// Of a path that is refused whatever the routes are.
pub(super) fn spelling(path: &str) -> String {
    let path = path.to_ascii_lowercase();
    let control = |code: &str| code.starts_with(['0', '1']) || code.starts_with("7f");
    let plain = path.replace("%2e", ".").replace("%3b", ";");
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let reasons = [
        (plain.split('/').any(dots), "a dot segment (`.` or `..`, also when encoded or followed by `;`)"),
        (path.contains("%2f") || path.contains("%5c"), "an encoded slash or backslash (`%2F`, `%5C`)"),
        (path.contains("//"), "an empty segment (`//`)"),
        (path.split('%').skip(1).any(control), "an encoded control character"),
    ];
    let found: Vec<&str> = reasons.iter().filter(|(there, _)| *there).map(|(_, reason)| *reason).collect();
    format!("it has {}: servers do not agree where that leads", found.join(" and "))
}

/// Of a path that has a route, but is another route's in the eyes of a lenient service.
pub(super) fn lookalike(routes: &Routes, path: &str) -> Option<String> {
    let (seen, mut others) = routes.lookalikes(path);
    let lenient = "a service that ignores case, encodings, `;parameters` or a slash at the end";
    // Several routes of one form: the first stands for them.
    others.next().map(|other| format!("{lenient} may see {seen}, which has the route {}", other.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::Denial;
    use crate::pop::policy::{Access, Requirements, Route};
    use http::Method;

    #[test]
    fn the_spelling_at_fault_is_named() {
        for (path, named) in [
            ("/a/../b", "dot segment"),
            ("/a/%2e%2E/b", "dot segment"),
            ("/a/..%3Bx/b", "dot segment"),
            ("/a%2fb", "encoded slash"),
            ("/a%5Cb", "encoded slash"),
            ("/a//b", "empty segment"),
            ("/a%0ab", "control character"),
            ("/a%7F", "control character"),
        ] {
            let why = spelling(path);
            assert!(why.contains(named) && why.matches(" and ").count() == 0, "{path}: {why}");
        }
        assert!(spelling("/a%2Fb/..//c").matches(" and ").count() == 2);
    }

    #[test]
    fn the_route_that_it_looks_like_is_named() {
        let mut routes = Routes::default();
        let protected = |scope: &str| {
            Access::Protected(Requirements { scopes: vec![scope.to_owned()], ..Requirements::default() })
        };
        for (path, access) in [
            ("/{*rest}", Access::Unprotected),
            ("/Admin/{id}", protected("admin")),
            ("/pay", protected("pay")),
        ] {
            routes.add(Route { path: path.into(), methods: Vec::new(), access }).unwrap();
        }
        for (path, other) in [
            ("/admin/7", "/Admin/{id}"),
            ("/PAY", "/pay"),
            ("/pay/", "/pay"),
            ("/pay;x=1", "/pay"),
            ("/pay%3Bx", "/pay"),
        ] {
            let verdict = routes.find(&Method::GET, path).map(|route| &*route.path);
            assert_eq!(verdict, Err(Denial::PathAmbiguous), "{path}");
            let why = lookalike(&routes, path).unwrap();
            assert!(why.ends_with(&format!("which has the route {other}")), "{path}: {why}");
        }
    }
}
