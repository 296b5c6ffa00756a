//! Why a path is ambiguous, in words. The verdict is that of [`pop`](crate::pop); here is only what in the
//! path gave rise to it, for whoever wonders.

use crate::pop::policy::Routes;
use matchit::Router;

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
pub(super) fn lookalike(routes: &Routes, path: &str) -> String {
    let mut by_form = Router::new();
    for route in routes.iter() {
        // Several routes of one form: the first stands for them.
        let _ = by_form.insert(form(&route.path), route.path.as_str());
    }
    let seen = form(path);
    let lenient = "a service that ignores case, encodings, `;parameters` or a slash at the end";
    match by_form.at(&seen) {
        Ok(other) => format!("{lenient} may see {seen}, which has the route {}", other.value),
        Err(_) => format!("{lenient} may see a path that has another route"),
    }
}

/// About what such a service makes of a path, or a pattern.
fn form(path: &str) -> String {
    let mut form = String::new();
    for segment in decoded(path).split('/').filter_map(|segment| segment.split(';').next()) {
        if !segment.is_empty() {
            form.push('/');
            form.push_str(&segment.to_ascii_lowercase());
        }
    }
    if form.is_empty() { "/".to_owned() } else { form }
}

/// With encoded printable ASCII decoded, but for what means something to the router.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte.filter(|byte| byte.is_ascii_graphic() && !b"/\\%{}".contains(byte)), part.get(2..)) {
            (Some(byte), Some(rest)) => {
                text.push(char::from(byte));
                text.push_str(rest);
            }
            (None, _) | (Some(_), None) => {
                text.push('%');
                text.push_str(part);
            }
        }
    }
    text
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
            routes.add(Route { path: path.to_owned(), methods: Vec::new(), access }).unwrap();
        }
        for (path, other) in [
            ("/admin/7", "/Admin/{id}"),
            ("/PAY", "/pay"),
            ("/pay/", "/pay"),
            ("/pay;x=1", "/pay"),
            ("/pay%3Bx", "/pay"),
        ] {
            let verdict = routes.find(&Method::GET, path).map(|route| route.path.as_str());
            assert_eq!(verdict, Err(Denial::PathAmbiguous), "{path}");
            let why = lookalike(&routes, path);
            assert!(why.ends_with(&format!("which has the route {other}")), "{path}: {why}");
        }
    }
}
