//! Lists of signature algorithms (RFC 7518 section 3.1, RFC 8725 section 3.1).

use super::Checks;
use crate::config::tree::item;
use crate::config::words::{a_list, quoted};
use crate::pop::algorithm::Algorithm;

/// The algorithms of a list; `None` if one of them can't be used, above all `none` (BCP-01, BCP-03).
pub(super) fn check(c: &mut Checks<'_>, path: &str, written: &[String]) -> Option<Vec<Algorithm>> {
    let mut algorithms = Vec::new();
    for (at, name) in written.iter().enumerate() {
        let path = item(path, at);
        match Algorithm::from_name(name) {
            Some(algorithm) if algorithms.contains(&algorithm) => {
                c.fault(&path, "this algorithm is in the list twice")
                    .found(quoted(name))
                    .expected("each algorithm once");
            }
            Some(algorithm) => algorithms.push(algorithm),
            None => {
                c.fault(&path, why_not(name)).found(quoted(name)).expected(a_list(&names()));
            }
        }
    }
    (algorithms.len() == written.len()).then_some(algorithms)
}

fn names() -> Vec<&'static str> {
    Algorithm::ALL.iter().map(|a| a.name()).collect()
}

fn why_not(name: &str) -> String {
    match name {
        "none" => "`none` is no signature: anyone could write such a token".to_owned(),
        "HS256" | "HS384" | "HS512" => {
            format!("`{name}` is a shared secret: whoever can verify could also forge")
        }
        _ if LATER.contains(&name) => format!("`{name}` is not supported yet"),
        _ => "unknown signature algorithm".to_owned(),
    }
}

/// Asymmetric algorithms of the IANA registry that are not built yet.
const LATER: &[&str] = &["ES512", "ES256K", "RS384", "RS512", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"];
