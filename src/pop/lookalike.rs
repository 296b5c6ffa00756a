//! The form in which a lenient service sees a path.
//!
//! Routes are matched on the path as RFC 3986 normalises it. Many services go further: they cut
//! `;parameters` off, drop empty segments and the slash at the end, decode whatever is encoded, or ignore
//! case. Two paths of one form may be one resource to the service. What follows from that is decided in
//! [`policy`](super::policy): no route may be entered through another one's spelling.

use super::percent;

/// The form of a normalised path.
pub(super) fn form_of_path(path: &str) -> String {
    form(path.split('/').map(|segment| form_of_literal(segment.as_bytes())))
}

/// The form of a pattern: its literals in their form, its parameters without their names.
pub(super) fn form_of_pattern(pattern: &str) -> String {
    let mut parameters = 0..;
    form(pattern.split('/').map(|segment| {
        let (mut text, mut rest) = (String::new(), segment);
        while let Some((literal, parameter)) = rest.split_once('{') {
            let (name, after) = parameter.split_once('}').unwrap_or((parameter, ""));
            let star = if name.starts_with('*') { "*" } else { "" };
            text.push_str(&form_of_literal(literal.as_bytes()));
            text.push_str(&format!("{{{star}p{}}}", parameters.next().unwrap_or(0)));
            rest = after;
        }
        text + &form_of_literal(rest.as_bytes())
    }))
}

/// Whether every normalised path like this is its own form, to be told at a glance.
pub(super) fn is_plain(path: &str) -> bool {
    let odd = |b: u8| b.is_ascii_uppercase() || b == b'%' || b == b';';
    !path.bytes().any(odd) && (path == "/" || !path.ends_with('/'))
}

fn form(segments: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for segment in segments.filter(|segment| !segment.is_empty()) {
        text.push('/');
        text.push_str(&segment);
    }
    if text.is_empty() { "/".to_owned() } else { text }
}

fn form_of_literal(mut rest: &[u8]) -> String {
    let mut text = String::with_capacity(rest.len());
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match decoded(rest) {
            Some(byte) => (byte, &rest[3..]),
            None => (*byte, tail),
        };
        if byte == b';' {
            break;
        }
        text.push(char::from(byte.to_ascii_lowercase()));
        rest = tail;
    }
    text
}

/// What `%XX` at the head stands for, if that is ASCII with no meaning to the router.
fn decoded(bytes: &[u8]) -> Option<u8> {
    percent::octet(bytes).filter(|byte| matches!(byte, b' '..=b'~') && !b"/\\%{}".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_services_fold_have_one_form() {
        for path in [
            "/a/b:c",
            "/A/b:C",
            "/a/b:c/",
            "/a;x=1/b:c",
            "/;x/a/b:c;",
            "/a/b%3Ac",
            "/a%3Bx/b:c",
            "/a/b%3ac/;x",
        ] {
            assert_eq!(form_of_path(path), "/a/b:c", "{path}");
            assert_eq!(is_plain(path), path == "/a/b:c", "{path}");
        }
        assert_eq!(form_of_path("/"), "/");
        assert_eq!(form_of_path("/;x"), "/");
        assert_eq!(form_of_path("/%C3%A9%7B%25"), "/%c3%a9%7b%25");
    }

    #[test]
    fn patterns_lose_their_names_and_keep_their_parameters() {
        assert_eq!(form_of_pattern("/Users/{Id}/{*Rest}"), "/users/{p0}/{*p1}");
        assert_eq!(form_of_pattern("/a/"), "/a");
        assert_eq!(form_of_pattern("/jobs/{id}:Run"), "/jobs/{p0}:run");
    }
}
