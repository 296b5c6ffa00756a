//! One plain revocation event, read strictly (DESIGN section 8) and written the same way.
//!
//! `{"id":"…","iss":"https://as…","revoke":{"sub":"…"},"at":1732147200,"until":1732150800}`
//!
//! Decides whether bytes are an event that can be acted on. `revoke` has exactly one member, one of
//! [`MEMBERS`]. Unknown members beside it are ignored, so that publishers may add their own. Does not decide who
//! may publish: the bus is trusted for plain events (`accept_plain`).

use super::{Event, Fact, MAX_BYTES, Refusal, Selector};
use crate::pop::Timestamp;
use crate::pop::jose::{Json, Object};

/// A plain event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// `id`
    pub id: String,
    /// `iss`: whose tokens.
    pub issuer: String,
    /// By what; `None` for all tokens of the issuer (`"revoke":{"all":true}`).
    pub fact: Option<Fact>,
    /// The value of that claim; empty for all.
    pub value: String,
    /// Tokens issued then or before are revoked.
    pub at: Timestamp,
    /// The entry may be forgotten then.
    pub until: Option<Timestamp>,
    /// When this was told, which may be later than `at`. A text that is no NumericDate is somebody else's member.
    pub iat: Option<Timestamp>,
}

impl Plain {
    /// Reads an event.
    ///
    /// # Errors
    /// The first reason, in the order of the members, why it can't be acted on.
    pub fn parse(bytes: &[u8]) -> Result<Plain, Refusal> {
        if bytes.len() > MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        let json = Json::parse(bytes).ok_or(Refusal::NotAnObject)?;
        let event = json.as_object().ok_or(Refusal::NotAnObject)?;
        let text = |name| event.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let id = text("id").ok_or(Refusal::Id)?.to_owned();
        let issuer = text("iss").ok_or(Refusal::Issuer)?.to_owned();
        let revoke = event.get("revoke").and_then(Json::as_object).ok_or(Refusal::Revoke)?;
        let (fact, value) = target(revoke)?;
        let at = event.get("at").and_then(Json::as_numeric_date).ok_or(Refusal::At)?;
        let until = match event.get("until") {
            Some(until) => Some(until.as_numeric_date().ok_or(Refusal::Until)?),
            None => None,
        };
        let iat = event.get("iat").and_then(Json::as_numeric_date);
        Ok(Plain { id, issuer, fact, value, at, until, iat })
    }

    /// The event as one line of JSON, without the newline.
    pub fn to_json(&self) -> String {
        let mut revoke = serde_json::Map::new();
        match self.fact {
            Some(fact) => revoke.insert(fact.name().to_owned(), self.value.as_str().into()),
            None => revoke.insert(ALL.to_owned(), true.into()),
        };
        let mut event = serde_json::json!({
            "id": self.id, "iss": self.issuer, "revoke": revoke, "at": self.at.as_secs(),
        });
        if let Some(until) = self.until {
            event["until"] = until.as_secs().into();
        }
        if let Some(iat) = self.iat {
            event["iat"] = iat.as_secs().into();
        }
        event.to_string()
    }
}

impl From<Plain> for Event {
    fn from(plain: Plain) -> Event {
        let Plain { id, issuer, fact, value, at, until, iat: told } = plain;
        let facts = fact.map(|fact| (fact, value)).into_iter().collect();
        Event { id, at, until, told, revokes: vec![Selector { issuer, facts }] }
    }
}

fn target(revoke: &Object<'_>) -> Result<(Option<Fact>, String), Refusal> {
    let mut members = revoke.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(Refusal::Revoke);
    };
    if name == ALL {
        return if matches!(value, Json::Bool(true)) {
            Ok((None, String::new()))
        } else {
            Err(Refusal::Value)
        };
    }
    let fact = MEMBERS.iter().copied().find(|fact| fact.name() == name).ok_or(Refusal::KindUnknown)?;
    let value = value.as_str().filter(|value| !value.is_empty()).ok_or(Refusal::Value)?;
    Ok((Some(fact), value.to_owned()))
}

/// What `revoke` may have, besides `all`.
pub const MEMBERS: &[Fact] = &[
    Fact::TokenId,
    Fact::Subject,
    Fact::Session,
    Fact::Client,
    Fact::Key,
    Fact::Certificate,
    Fact::SigningKey,
];
/// `"all": true`: all tokens of the issuer.
const ALL: &str = "all";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Plain, Refusal> {
        Plain::parse(text.as_bytes())
    }

    #[test]
    fn the_example_of_the_contract_is_read() {
        let event = parse(
            r#"{"id":"e1","iss":"https://as","revoke":{"sub":"alice"},"at":1732147200,"until":1732150800}"#,
        );
        let expected = Plain {
            id: "e1".into(),
            issuer: "https://as".into(),
            fact: Some(Fact::Subject),
            value: "alice".into(),
            at: Timestamp::from_secs(1_732_147_200),
            until: Some(Timestamp::from_secs(1_732_150_800)),
            iat: None,
        };
        assert_eq!(event, Ok(expected));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for until in [None, Some(Timestamp::from_secs(9))] {
            let event = Plain {
                id: "1".into(),
                issuer: "https://as".into(),
                fact: Some(Fact::TokenId),
                value: "quote \" newline \n é".into(),
                at: Timestamp::from_secs(7),
                until,
                iat: until,
            };
            assert!(!event.to_json().contains('\n'));
            assert_eq!(parse(&event.to_json()), Ok(event));
        }
    }

    #[test]
    fn unknown_members_beside_revoke_are_ignored_and_in_it_refused() {
        let with = |revoke: &str| {
            parse(&format!(r#"{{"id":"e","iss":"i","note":{{"by":"ops"}},"revoke":{revoke},"at":1}}"#))
        };
        assert!(with(r#"{"jti":"t"}"#).is_ok());
        assert_eq!(with(r#"{"JTI":"t"}"#), Err(Refusal::KindUnknown));
        assert_eq!(with(r#"{"jti":"t","tenant":"x"}"#), Err(Refusal::Revoke));
        assert_eq!(with(r#"{"jti":"t","sub":"x"}"#), Err(Refusal::Revoke));
        assert_eq!(with("{}"), Err(Refusal::Revoke));
        assert_eq!(with(r#"["jti"]"#), Err(Refusal::Revoke));
        assert_eq!(with(r#"{"sub":""}"#), Err(Refusal::Value));
        assert_eq!(with(r#"{"sub":7}"#), Err(Refusal::Value));
        assert_eq!(with(r#"{"sub":null}"#), Err(Refusal::Value));
        assert_eq!(with(r#"{"all":false}"#), Err(Refusal::Value));
        assert_eq!(with(r#"{"email":"a@b"}"#), Err(Refusal::KindUnknown));
    }

    #[test]
    fn every_member_of_the_contract_is_read_and_so_is_all() {
        for name in ["jti", "sub", "sid", "client_id", "jkt", "x5t#S256", "kid"] {
            let text = format!(r#"{{"id":"e","iss":"i","revoke":{{"{name}":"v"}},"at":1}}"#);
            let event = Event::from(parse(&text).unwrap());
            let [selector] = &event.revokes[..] else { panic!("{event:?}") };
            assert_eq!((selector.facts[0].0.name(), selector.facts[0].1.as_str()), (name, "v"));
        }
        let all = parse(r#"{"id":"e","iss":"i","revoke":{"all":true},"at":1}"#).unwrap();
        assert_eq!(parse(&all.to_json()).as_ref(), Ok(&all));
        assert_eq!(Event::from(all).revokes, [Selector { issuer: "i".into(), facts: Vec::new() }]);
    }

    #[test]
    fn each_fault_has_its_reason() {
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MAX_BYTES));
        for (text, refusal) in [
            ("", Refusal::NotAnObject),
            ("[]", Refusal::NotAnObject),
            ("{", Refusal::NotAnObject),
            (long.as_str(), Refusal::TooLong),
            (r#"{"id":"a","id":"b"}"#, Refusal::NotAnObject),
            (r#"{"id":1,"iss":"i","revoke":{"jti":"t"},"at":1}"#, Refusal::Id),
            (r#"{"id":"e","iss":[],"revoke":{"jti":"t"},"at":1}"#, Refusal::Issuer),
            (r#"{"id":"e","iss":"i","at":1}"#, Refusal::Revoke),
            (r#"{"id":"e","iss":"i","revoke":{"jti":"t"}}"#, Refusal::At),
            (r#"{"id":"e","iss":"i","revoke":{"jti":"t"},"at":"now"}"#, Refusal::At),
            (r#"{"id":"e","iss":"i","revoke":{"jti":"t"},"at":1732147200000}"#, Refusal::At),
            (r#"{"id":"e","iss":"i","revoke":{"jti":"t"},"at":1,"until":null}"#, Refusal::Until),
        ] {
            assert_eq!(parse(text), Err(refusal), "{text:.60}");
        }
        assert_eq!(Plain::parse(b"{\"id\":\"\xff\"}"), Err(Refusal::NotAnObject));
    }
}
