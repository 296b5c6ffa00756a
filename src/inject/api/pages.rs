//! A list, page by page (`limit` and `continue`).

use super::{Api, Trouble};
use serde_json::Value;

/// The pages of one list.
#[derive(Debug)]
pub struct Pages<'a> {
    api: &'a Api,
    path: String,
    next: Option<String>,
}

impl<'a> Pages<'a> {
    /// Of the list at a path, with its query.
    #[must_use]
    pub fn of(api: &'a Api, path: &str) -> Pages<'a> {
        Pages { api, path: path.to_owned(), next: Some(String::new()) }
    }

    /// The items of the next page; `None` after the last one.
    ///
    /// # Errors
    /// [`Trouble::Expired`] if the rest is not kept any longer: the list must be begun anew.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, Trouble> {
        let Some(token) = self.next.take() else { return Ok(None) };
        let mut path =
            format!("{}{}limit={PAGE}", self.path, if self.path.contains('?') { '&' } else { '?' });
        if !token.is_empty() {
            path.push_str("&continue=");
            path.push_str(&encoded(&token));
        }
        let mut list = self.api.get(&path).await?;
        let token = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
        self.next = (!token.is_empty()).then(|| token.to_owned());
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(Some(items)),
            // Go writes an empty list as null.
            Some(Value::Null) => Ok(Some(Vec::new())),
            _ => Err(Trouble::Unreachable("the answer is no list".to_owned())),
        }
    }
}

/// As part of a query (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Large pods have 100 KB.
const PAGE: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_continues_a_list_is_encoded() {
        assert_eq!(encoded("eyJ2IjoibWV0YS5rOHMuaW8ifQ=="), "eyJ2IjoibWV0YS5rOHMuaW8ifQ%3D%3D");
        assert_eq!(encoded("a+b/c&limit=1"), "a%2Bb%2Fc%26limit%3D1");
    }
}
