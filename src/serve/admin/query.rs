//! A query string, read strictly: each parameter is known, has a value, and comes once.

use std::collections::BTreeMap;

/// Reads `name=value&…` with percent-encoding; `+` is a plus. The names are those that are known.
///
/// # Errors
/// In words what is wrong with it, without what it holds.
pub(super) fn read(
    query: &str,
    known: &[&'static str],
) -> Result<BTreeMap<&'static str, String>, &'static str> {
    let mut parameters = BTreeMap::new();
    if query.len() > LONGEST {
        return Err("the query is too long");
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or("a parameter has no value")?;
        let name = decoded(name).ok_or("a parameter is not percent-encoded UTF-8")?;
        let name = known.iter().find(|known| **known == name).ok_or("a parameter is not known")?;
        let value = decoded(value).ok_or("a parameter is not percent-encoded UTF-8")?;
        if value.is_empty() {
            return Err("a parameter has no value");
        }
        if parameters.insert(*name, value).is_some() {
            return Err("a parameter comes twice");
        }
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

const LONGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_what_is_in_doubt_is_refused() {
        let known = ["issuer", "x5t#S256"];
        let read = |query| read(query, &known);
        let parameters = read("issuer=https%3A%2F%2Fas&x5t%23S256=a+b%c3%a9").unwrap();
        assert_eq!(parameters[&"issuer"], "https://as");
        assert_eq!(parameters[&"x5t#S256"], "a+bé");
        assert!(read("").unwrap().is_empty());
        for wrong in [
            "issuer",
            "issuer=",
            "other=1",
            "issuer=1&issuer=1",
            "issuer=%",
            "issuer=%4",
            "issuer=%zz",
            "issuer=%ff",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&format!("issuer={}", "x".repeat(LONGEST))).is_err());
    }
}
