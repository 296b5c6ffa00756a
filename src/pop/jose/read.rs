//! JSON read into our own values: no member twice, neither too deep nor too wide.
//!
//! serde_json knows the grammar, this the bounds. Strings without escapes are borrowed from the text.

use super::{Json, MAX_DEPTH, MAX_MEMBERS, Object};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads a value that stands at this depth.
#[derive(Clone, Copy)]
pub(super) struct Level(pub(super) usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Json<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not finite"))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            if array.len() == MAX_MEMBERS {
                return Err(de::Error::custom("too many items"));
            }
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut object: Vec<(Cow<'de, str>, Json<'de>)> = Vec::with_capacity(8);
        while let Some(Name(name)) = members.next_key()? {
            if object.len() == MAX_MEMBERS {
                return Err(de::Error::custom("too many members"));
            }
            object.push((name, members.next_value_seed(below)?));
        }
        let unique = !has_duplicates(&object);
        unique.then_some(Json::Object(Object(object))).ok_or_else(|| de::Error::custom("duplicate member"))
    }
}

/// By sorting where they are many: a caller chooses how many members there are.
fn has_duplicates(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if members.len() <= FEW_MEMBERS {
        return members
            .iter()
            .enumerate()
            .any(|(at, (name, _))| members[..at].iter().any(|(n, _)| n == name));
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

impl Level {
    fn below<E: de::Error>(self) -> Result<Level, E> {
        if self.0 < MAX_DEPTH { Ok(Level(self.0 + 1)) } else { Err(E::custom("too deep")) }
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Level(0).deserialize(deserializer)? {
            Json::String(name) => Ok(Name(name)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                Err(de::Error::custom("a name is a string"))
            }
        }
    }
}

/// So many are compared in less time than they are sorted.
const FEW_MEMBERS: usize = 12;
