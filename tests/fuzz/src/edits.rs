//! Liberties a forger takes with a JSON object before it is signed.

use crate::forge::NOW;
use arbitrary::Arbitrary;
use serde_json::Value;

/// An object as it will be written: names and values are JSON text, so that a name can come twice or escaped.
#[derive(Clone)]
pub struct Draft(Vec<(String, Text)>);

#[derive(Clone)]
enum Text {
    Raw(String),
    Object(Draft),
}

impl Draft {
    /// Of an object.
    pub fn of(value: &Value) -> Draft {
        let members = value.as_object().into_iter().flatten();
        Draft(members.map(|(name, value)| (quoted(name), Text::of(value))).collect())
    }

    /// With all of these edits, one after the other.
    pub fn edited(mut self, edits: &[Edit]) -> Draft {
        edits.iter().for_each(|edit| self.apply(edit));
        self
    }

    /// As JSON text, or what an edit left of it.
    pub fn written(&self) -> String {
        let member = |(name, value): &(String, Text)| match value {
            Text::Raw(text) => format!("{name}:{text}"),
            Text::Object(draft) => format!("{name}:{}", draft.written()),
        };
        format!("{{{}}}", self.0.iter().map(member).collect::<Vec<_>>().join(","))
    }

    fn apply(&mut self, edit: &Edit) {
        let count = self.0.len();
        if count == 0 && !matches!(edit, Edit::Add(..)) {
            return;
        }
        let at = |index: &u8| usize::from(*index) % count;
        match edit {
            Edit::Remove(index) => drop(self.0.remove(at(index))),
            Edit::Replace(index, piece) => self.0[at(index)].1 = Text::Raw(piece.text(3)),
            Edit::Add(name, piece) => self.0.push((name.text(), Text::Raw(piece.text(3)))),
            Edit::Again(index, piece) => {
                let name = self.0[at(index)].0.clone();
                self.0.push((name, Text::Raw(piece.text(3))));
            }
            Edit::Rename(index, name) => self.0[at(index)].0 = name.text(),
            Edit::Swap(one, other) => self.0.swap(at(one), at(other)),
            Edit::EscapeName(index) => {
                let name = &mut self.0[at(index)].0;
                *name = escaped(name);
            }
            Edit::EscapeValue(index) => {
                if let Text::Raw(text) = &mut self.0[at(index)].1 {
                    *text = escaped(text);
                }
            }
            Edit::Bend(index, position, character) => {
                if let Text::Raw(text) = &mut self.0[at(index)].1 {
                    bend(text, usize::from(*position), *character);
                }
            }
            Edit::Within(index, edit) => {
                if let Text::Object(draft) = &mut self.0[at(index)].1 {
                    draft.apply(edit);
                }
            }
        }
    }
}

impl Text {
    fn of(value: &Value) -> Text {
        if value.is_object() { Text::Object(Draft::of(value)) } else { Text::Raw(value.to_string()) }
    }
}

/// One liberty. Indices wrap around.
#[derive(Arbitrary, Clone, Debug)]
pub enum Edit {
    /// A member is missing.
    Remove(u8),
    /// A member has another value.
    Replace(u8, Piece),
    /// There is one more member.
    Add(Name, Piece),
    /// A member comes a second time.
    Again(u8, Piece),
    /// A member has another name.
    Rename(u8, Name),
    /// Two members change places.
    Swap(u8, u8),
    /// A name is spelled with escapes.
    EscapeName(u8),
    /// A string is spelled with escapes.
    EscapeValue(u8),
    /// One character of a value is another one, inserted or in its place.
    Bend(u8, u8, char),
    /// Any of these in the object that is this member's value.
    Within(u8, Box<Edit>),
}

/// A member's name.
#[derive(Arbitrary, Clone, Debug)]
pub enum Name {
    /// One that means something.
    Known(u8),
    /// The same, spelled with escapes.
    Escaped(u8),
    /// Any at all.
    Any(String),
}

impl Name {
    fn text(&self) -> String {
        let known = |index: &u8| quoted(NAMES[usize::from(*index) % NAMES.len()]);
        match self {
            Name::Known(index) => known(index),
            Name::Escaped(index) => escaped(&known(index)),
            Name::Any(text) => quoted(text),
        }
    }
}

/// A value.
#[derive(Arbitrary, Clone, Debug)]
pub enum Piece {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A second near now.
    Near(i16),
    /// One of the seconds where something changes.
    Edge(u8),
    /// A number with a fraction, near now.
    Fraction(i16, u16),
    /// Any number, with an exponent.
    Number(i64, Option<i8>),
    /// A string that means something.
    Known(u8),
    /// The same, spelled with escapes.
    Escaped(u8),
    /// Any string.
    Text(String),
    /// A list.
    List(Vec<Piece>),
    /// An object.
    Object(Vec<(Name, Piece)>),
    /// Lists within lists.
    Deep(u8),
    /// Not JSON, most likely.
    Raw(String),
}

impl Piece {
    /// As JSON, at most so many levels deep.
    pub fn text(&self, depth: usize) -> String {
        let known = |index: &u8| quoted(STRINGS[usize::from(*index) % STRINGS.len()]);
        match self {
            Piece::Null => "null".to_owned(),
            Piece::Bool(value) => value.to_string(),
            Piece::Near(offset) => (NOW + i64::from(*offset)).to_string(),
            Piece::Edge(index) => (NOW + EDGES[usize::from(*index) % EDGES.len()]).to_string(),
            Piece::Fraction(offset, fraction) => format!("{}.{fraction}", NOW + i64::from(*offset)),
            Piece::Number(number, None) => number.to_string(),
            Piece::Number(number, Some(exponent)) => format!("{number}e{exponent}"),
            Piece::Known(index) => known(index),
            Piece::Escaped(index) => escaped(&known(index)),
            Piece::Text(text) => quoted(text),
            Piece::List(_) | Piece::Object(_) if depth == 0 => "0".to_owned(),
            Piece::List(items) => {
                format!("[{}]", items.iter().map(|i| i.text(depth - 1)).collect::<Vec<_>>().join(","))
            }
            Piece::Object(members) => {
                let member =
                    |(name, value): &(Name, Piece)| format!("{}:{}", name.text(), value.text(depth - 1));
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
            Piece::Deep(levels) => {
                let levels = usize::from(*levels) % 40;
                format!("{}{}", "[".repeat(levels), "]".repeat(levels)).replace("[]", "[0]")
            }
            Piece::Raw(text) => text.clone(),
        }
    }
}

/// One character of a text replaced or, at an odd position, pushed in.
pub fn bend(text: &mut String, position: usize, character: char) {
    let Some((at, old)) = text.char_indices().nth(position / 2 % text.chars().count().max(1)) else { return };
    let end = if position % 2 == 0 { at + old.len_utf8() } else { at };
    text.replace_range(at..end, character.encode_utf8(&mut [0; 4]));
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A JSON string with its letters as `\u` escapes, every other one in capital hex.
fn escaped(json: &str) -> String {
    let escape = |(at, c): (usize, char)| match c {
        'a'..='z' | 'A'..='Z' if at % 2 == 0 => format!("\\u{:04X}", u32::from(c)),
        'a'..='z' | 'A'..='Z' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    if json.starts_with('"') && !json.contains('\\') {
        json.chars().enumerate().map(escape).collect()
    } else {
        json.to_owned()
    }
}

const NAMES: &[&str] = &[
    "alg",
    "typ",
    "kid",
    "jwk",
    "crit",
    "b64",
    "cty",
    "x5c",
    "jku",
    "kty",
    "crv",
    "x",
    "y",
    "n",
    "e",
    "d",
    "p",
    "q",
    "dp",
    "dq",
    "qi",
    "oth",
    "k",
    "priv",
    "use",
    "key_ops",
    "jti",
    "htm",
    "htu",
    "iat",
    "exp",
    "nbf",
    "ath",
    "nonce",
    "iss",
    "aud",
    "sub",
    "client_id",
    "azp",
    "scope",
    "cnf",
    "jkt",
    "x5t#S256",
    "at_hash",
    "c_hash",
];
const STRINGS: &[&str] = &[
    "",
    "ES256",
    "EdDSA",
    "Ed25519",
    "ES384",
    "PS256",
    "none",
    "HS256",
    "dpop+jwt",
    "DPoP+jwt",
    "at+jwt",
    "application/at+jwt",
    "AT+JWT",
    "JWT",
    "application/jwt",
    "sig",
    "enc",
    "verify",
    "sign",
    "EC",
    "OKP",
    "RSA",
    "oct",
    "P-256",
    "P-384",
    "X25519",
    "GET",
    "POST",
    "get",
    "k1",
    "k2",
    "k3",
    "https://as.example.com",
    "https://as.example.com/",
    "https://api.example.com",
    "second",
    "third",
    "https://api.example.com/orders/7",
    "HTTPS://API.EXAMPLE.COM:443/orders/7?q#f",
    "https://api.example.com/x/../orders/%37",
    "https://api.example.com/orders/7/",
    "https://api.example.com:8443/orders/7",
    "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4J",
    "AQAB",
    "AQ",
    "a b",
    "b64",
    "alice",
    "1700000000",
];
/// Seconds from now at which a rule changes its mind, and those beside them.
const EDGES: &[i64] = &[
    -3601,
    -3600,
    -3595,
    -61,
    -60,
    -59,
    -11,
    -10,
    -1,
    0,
    1,
    4,
    5,
    6,
    60,
    300,
    3590,
    3591,
    3600,
    3601,
    -NOW,
    253_402_300_799 - NOW,
    253_402_300_800 - NOW,
];
