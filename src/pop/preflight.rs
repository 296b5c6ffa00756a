//! CORS preflight requests (Fetch standard, section 4.8): the question that a browser asks before it sends
//! a token, and which can therefore never carry one.
//!
//! It passes only where the route of the method that is asked about says so (`cors_preflight`). Whatever
//! else is an OPTIONS request needs credentials like any other.

use super::{Request, credentials};
use http::{HeaderName, Method, header};

/// The method that a preflight asks about; `None` where the request is no preflight: one `Origin`, one
/// `Access-Control-Request-Method`, no credentials, be it in the query (BEAR-04), and no content (DG-027).
pub fn asked_about(request: &Request<'_>) -> Option<Method> {
    if request.method != Method::OPTIONS || request.has_content {
        return None;
    }
    let fields = [header::AUTHORIZATION, super::DPOP, header::COOKIE, header::PROXY_AUTHORIZATION];
    let in_fields = fields.iter().any(|name| request.headers.contains_key(name));
    if in_fields || request.query.is_some_and(credentials::has_access_token) {
        return None;
    }
    the_one(request, &header::ORIGIN)?;
    Method::from_bytes(the_one(request, &header::ACCESS_CONTROL_REQUEST_METHOD)?).ok()
}

fn the_one<'r>(request: &Request<'r>, name: &HeaderName) -> Option<&'r [u8]> {
    let mut values = request.headers.get_all(name).iter();
    let value = values.next()?.as_bytes();
    (values.next().is_none() && !value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::forge::{URL, parts};
    use super::super::target_uri::Origin;
    use super::*;

    const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
    const ASKED: (&str, &str) = ("access-control-request-method", "PUT");

    fn of(method: &str, fields: &[(&str, &str)]) -> Option<Method> {
        of_url(method, URL, fields)
    }

    fn of_url(method: &str, url: &str, fields: &[(&str, &str)]) -> Option<Method> {
        let parts = parts(method, url, fields);
        asked_about(&Request::of(&parts, None, &[Origin::parse("https://api.example.com").unwrap()]).unwrap())
    }

    /// DG-027
    #[test]
    fn a_preflight_is_options_with_both_fields_and_nothing_to_go_on() {
        assert_eq!(of("OPTIONS", &[ORIGIN, ASKED]), Some(Method::PUT));
        assert_eq!(of("OPTIONS", &[ORIGIN, ASKED, ("content-length", "0")]), Some(Method::PUT));
        for fields in [
            &[ORIGIN][..],
            &[ASKED],
            &[],
            &[ORIGIN, ORIGIN, ASKED],
            &[ORIGIN, ASKED, ASKED],
            &[ORIGIN, ("access-control-request-method", "P T")],
            &[ORIGIN, ("access-control-request-method", "")],
            &[ORIGIN, ASKED, ("authorization", "Bearer x")],
            &[ORIGIN, ASKED, ("dpop", "x")],
            &[ORIGIN, ASKED, ("cookie", "a=b")],
            &[ORIGIN, ASKED, ("content-length", "1")],
            &[ORIGIN, ASKED, ("transfer-encoding", "chunked")],
        ] {
            assert_eq!(of("OPTIONS", fields), None, "{fields:?}");
        }
        assert_eq!(of("GET", &[ORIGIN, ASKED]), None);
        assert_eq!(of("options", &[ORIGIN, ASKED]), None);
    }
    /// BEAR-04, DG-027
    #[test]
    fn a_preflight_has_no_token_in_its_query() {
        let with = |query: &str| of_url("OPTIONS", &format!("{URL}?{query}"), &[ORIGIN, ASKED]);
        assert_eq!(with("page=2"), Some(Method::PUT));
        for query in ["access_token=x", "page=2&access%5Ftoken=x"] {
            assert_eq!(with(query), None, "{query}");
        }
    }
}
