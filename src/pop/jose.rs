//! JOSE in its strict reading: base64url without padding, JSON without duplicate members, JWS in compact form.
use super::Timestamp;
use std::borrow::Cow;

/// A JSON value, borrowed from its text where it has no escapes. Objects keep their order and have no duplicates.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number
    Number(serde_json::Number),
    /// A string
    String(Cow<'a, str>),
    /// An array
    Array(Vec<Json<'a>>),
    /// An object
    Object(Object<'a>),
}

/// A JSON object without duplicate members.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Json<'a> {
    /// Reads exactly one value: UTF-8, no duplicates at any depth, bounded depth, nothing after it.
    pub fn parse(_text: &'a [u8]) -> Option<Json<'a>> {
        todo!()
    }
    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        todo!()
    }
    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        todo!()
    }
    /// A NumericDate (RFC 7519 section 2): a finite JSON number in the years 1970 to 9999.
    pub fn as_numeric_date(&self) -> Option<Timestamp> {
        todo!()
    }
    /// The same value with everything owned.
    pub fn into_owned(self) -> Json<'static> {
        todo!()
    }
}
impl<'a> Object<'a> {
    /// The member of this name.
    pub fn get(&self, _name: &str) -> Option<&Json<'a>> {
        todo!()
    }
    /// The members in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v))
    }
}
