//! JOSE in its strict reading: base64url, JSON, and the JWS in compact form.
//!
//! Parsers that disagree are how tokens get forged, so there is one reading and it refuses doubt:
//! base64url without padding and in canonical form (RFC 7515 section 2), JSON without duplicate
//! members (RFC 7515 section 4, RFC 7519 section 4), bounded in depth and width, three parts and no
//! more (RFC 7515 section 7.1). What the members mean is decided by the callers.

mod read;

use super::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use read::Level;
use serde::de::DeserializeSeed;
use std::borrow::Cow;
use std::fmt;

/// Decodes base64url without padding; `None` for anything that is not its canonical form (JWS-04).
pub fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes as base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A JWS in compact form, split but not yet decoded. It is a token or a proof, and prints nothing of itself
/// (SBCP-06).
#[derive(Clone, Copy)]
pub struct Compact<'a> {
    /// What is signed: header and payload with the dot between them.
    pub signing_input: &'a str,
    /// The signature, base64url.
    pub signature: &'a str,
    header: &'a str,
    payload: &'a str,
}

impl fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compact(…)") // a token or a proof: never printed
    }
}

impl<'a> Compact<'a> {
    /// Splits into exactly three non-empty parts, in one pass however many dots there are. What has five is
    /// encrypted, and nothing of ours (DPOP-03).
    pub fn split(jws: &'a str) -> Option<Self> {
        let (header, rest) = jws.split_once('.')?;
        let (payload, signature) = rest.split_once('.')?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || signature.contains('.') {
            return None;
        }
        let signing_input = &jws[..jws.len() - signature.len() - 1];
        Some(Compact { signing_input, signature, header, payload })
    }

    /// The decoded header: JSON text.
    pub fn header(&self) -> Option<Vec<u8>> {
        base64url_decode(self.header)
    }

    /// The decoded payload: JSON text.
    pub fn payload(&self) -> Option<Vec<u8>> {
        base64url_decode(self.payload)
    }
}

/// A JSON value, borrowed from its text where that has no escapes.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`, which is never the same as absent.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// A JSON object: members in the order they were written, no name twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl Json<'_> {
    /// About how many bytes of memory it takes besides itself.
    pub(super) fn weight(&self) -> usize {
        match self {
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(|item| size_of::<Json<'_>>() + item.weight()).sum(),
            Json::Object(object) => object.weight(),
        }
    }
}

impl Object<'_> {
    /// About how many bytes of memory its members take.
    pub(super) fn weight(&self) -> usize {
        let member = |(name, value): &(Cow<'_, str>, Json<'_>)| {
            size_of::<(Cow<'_, str>, Json<'_>)>() + name.len() + value.weight()
        };
        self.0.iter().map(member).sum()
    }
}

impl<'a> Json<'a> {
    /// Reads exactly one value. `None` for invalid UTF-8, a duplicate name at any depth, more than
    /// [`MAX_DEPTH`] levels, more than [`MAX_MEMBERS`] members, or anything after the value (JWS-01, JWS-02,
    /// BCP-06).
    pub fn parse(text: &'a [u8]) -> Option<Json<'a>> {
        let mut reader = serde_json::Deserializer::from_str(std::str::from_utf8(text).ok()?);
        let value = Level(0).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// Reads exactly one object.
    pub fn parse_object(text: &'a [u8]) -> Option<Object<'a>> {
        match Json::parse(text)? {
            Json::Object(object) => Some(object),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        if let Json::Array(items) = self { Some(items) } else { None }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        if let Json::Object(object) = self { Some(object) } else { None }
    }

    /// A NumericDate (RFC 7519 section 2): a finite number of seconds, whole or not, in the years
    /// 1970 to 9999; no strings (AT-12).
    pub fn as_numeric_date(&self) -> Option<Timestamp> {
        let Json::Number(number) = self else { return None };
        if let Some(seconds) = number.as_i64() {
            return (0..=MAX_SECONDS).contains(&seconds).then(|| Timestamp::from_secs(seconds));
        }
        let seconds = number.as_f64().filter(|s| (0.0..=MAX_SECONDS as f64).contains(s))?;
        Some(Timestamp::from_millis((seconds * 1000.0) as i64))
    }

    /// The same value with nothing borrowed.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Number(number) => Json::Number(number),
            Json::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Json::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Json::Object(object) => Json::Object(object.into_owned()),
        }
    }
}

impl<'a> Object<'a> {
    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Whether there is a member of this name, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The same object with nothing borrowed.
    pub fn into_owned(self) -> Object<'static> {
        let own =
            |(name, value): (Cow<'_, str>, Json<'_>)| (Cow::Owned(name.into_owned()), value.into_owned());
        Object(self.0.into_iter().map(own).collect())
    }
}

impl fmt::Display for Json<'_> {
    /// Compact JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(number) => write!(f, "{number}"),
            Json::String(text) => write!(f, "{}", serde_json::Value::from(text.as_ref())),
            Json::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { '[' } else { ',' })?;
                }
                f.write_str(if items.is_empty() { "[]" } else { "]" })
            }
            Json::Object(object) => {
                for (i, (name, value)) in object.iter().enumerate() {
                    let name = serde_json::Value::from(name);
                    write!(f, "{}{name}:{value}", if i == 0 { '{' } else { ',' })?;
                }
                f.write_str(if object.0.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

/// Levels of nesting that are read. Tokens in the field need four.
pub const MAX_DEPTH: usize = 16;
/// Members of an object and items of an array that are read.
pub const MAX_MEMBERS: usize = 512;
/// The last second of the year 9999.
const MAX_SECONDS: i64 = 253_402_300_799;

#[cfg(test)]
mod tests;
