//! One plain revocation event, read strictly (DESIGN section 8) and written the same way.
//!
//! `{"id":"…","iss":"https://as…","revoke":{"sub":"…"},"at":1732147200,"until":1732150800}`
//!
//! Decides whether bytes are an event that can be acted on. `revoke` must have exactly one member and
//! one that we understand: to act on half of an event would leave something usable that somebody
//! believes revoked. Unknown members beside it are ignored, so that publishers may add their own.
//! Does not decide who may publish: the bus is trusted for plain events (`accept_plain`).

use crate::pop::Timestamp;
use crate::pop::jose::{Json, Object};

/// What an event revokes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `jti`: one token, whenever it was issued.
    Token,
    /// `sub`: the tokens of a subject that were issued at `at` or before.
    Subject,
    /// `sid`
    Session,
    /// `client_id`
    Client,
    /// `jkt`
    Key,
    /// `x5t#S256`
    Certificate,
}

impl Kind {
    /// Every kind of the contract.
    pub const ALL: &'static [Kind] =
        &[Kind::Token, Kind::Subject, Kind::Session, Kind::Client, Kind::Key, Kind::Certificate];

    /// The member of `revoke`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Token => "jti",
            Kind::Subject => "sub",
            Kind::Session => "sid",
            Kind::Client => "client_id",
            Kind::Key => "jkt",
            Kind::Certificate => "x5t#S256",
        }
    }

    /// Whether events of this kind can be acted on yet.
    pub fn is_supported(self) -> bool {
        match self {
            Kind::Token | Kind::Subject => true,
            Kind::Session | Kind::Client | Kind::Key | Kind::Certificate => false,
        }
    }

    fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// An event that can be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `id`: only for people and logs; two events with one id are two events.
    pub id: String,
    /// `iss`: whose tokens.
    pub issuer: String,
    /// By what.
    pub kind: Kind,
    /// The value of that claim.
    pub value: String,
    /// Tokens issued then or before are revoked.
    pub at: Timestamp,
    /// The entry may be forgotten then.
    pub until: Option<Timestamp>,
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $variant:ident, $reason:literal, $description:literal;)+) => {
        /// Why an event is not acted on: a closed list, fit for a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[doc = $doc])+ $variant,)+ }

        impl Refusal {
            /// Every reason there is.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$variant,)+];

            /// The stable reason: metric label and log field.
            pub fn reason(self) -> &'static str {
                match self { $(Refusal::$variant => $reason,)+ }
            }

            /// The reason in words, for people who read logs.
            pub fn description(self) -> &'static str {
                match self { $(Refusal::$variant => $description,)+ }
            }
        }
    };
}

refusals! {
    /// Longer than [`MAX_BYTES`].
    TooLong, "too_long", "too long";
    /// Not one JSON object without duplicate members.
    NotAnObject, "not_an_object", "not a JSON object";
    /// `id` is missing or no string.
    Id, "id_invalid", "id is missing or not a string";
    /// `iss` is missing or no string.
    Issuer, "issuer_invalid", "iss is missing or not a string";
    /// `iss` is none of the configured issuers.
    IssuerUnknown, "issuer_unknown", "iss is not a configured issuer";
    /// `revoke` is missing, no object, or has not exactly one member.
    Revoke, "revoke_invalid", "revoke must be an object with exactly one member";
    /// The member of `revoke` is none of the contract.
    KindUnknown, "kind_unknown", "revoke has an unknown member";
    /// The member of `revoke` is of the contract but does not work yet.
    KindUnsupported, "kind_unsupported", "revoking by this member is not supported yet";
    /// The value to revoke is no string or empty.
    Value, "value_invalid", "the value to revoke is not a string or is empty";
    /// `at` is missing or no NumericDate.
    At, "at_invalid", "at is missing or not a NumericDate";
    /// `until` is no NumericDate.
    Until, "until_invalid", "until is not a NumericDate";
    /// A plain event where only signed ones are accepted.
    Plain, "plain_not_accepted", "plain events are not accepted";
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// The first reason, in the order of the members, why it can't be acted on.
    pub fn parse(bytes: &[u8]) -> Result<Event, Refusal> {
        if bytes.len() > MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        let json = Json::parse(bytes).ok_or(Refusal::NotAnObject)?;
        let event = json.as_object().ok_or(Refusal::NotAnObject)?;
        let text = |name| event.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let id = text("id").ok_or(Refusal::Id)?.to_owned();
        let issuer = text("iss").ok_or(Refusal::Issuer)?.to_owned();
        let revoke = event.get("revoke").and_then(Json::as_object).ok_or(Refusal::Revoke)?;
        let (kind, value) = target(revoke)?;
        let at = event.get("at").and_then(Json::as_numeric_date).ok_or(Refusal::At)?;
        let until = match event.get("until") {
            Some(until) => Some(until.as_numeric_date().ok_or(Refusal::Until)?),
            None => None,
        };
        Ok(Event { id, issuer, kind, value, at, until })
    }

    /// The event as one line of JSON, without the newline.
    pub fn to_json(&self) -> String {
        let mut revoke = serde_json::Map::new();
        revoke.insert(self.kind.name().to_owned(), self.value.as_str().into());
        let mut event = serde_json::json!({
            "id": self.id, "iss": self.issuer, "revoke": revoke, "at": self.at.as_secs(),
        });
        if let Some(until) = self.until {
            event["until"] = until.as_secs().into();
        }
        event.to_string()
    }
}

fn target(revoke: &Object<'_>) -> Result<(Kind, String), Refusal> {
    let mut members = revoke.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(Refusal::Revoke);
    };
    let kind = Kind::from_name(name).ok_or(Refusal::KindUnknown)?;
    if !kind.is_supported() {
        return Err(Refusal::KindUnsupported);
    }
    let value = value.as_str().filter(|value| !value.is_empty()).ok_or(Refusal::Value)?;
    Ok((kind, value.to_owned()))
}

/// No event needs more; a journal line without an end must not fill the memory.
pub const MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Event, Refusal> {
        Event::parse(text.as_bytes())
    }

    #[test]
    fn the_example_of_the_contract_is_read() {
        let event = parse(
            r#"{"id":"e1","iss":"https://as","revoke":{"sub":"alice"},"at":1732147200,"until":1732150800}"#,
        );
        let expected = Event {
            id: "e1".into(),
            issuer: "https://as".into(),
            kind: Kind::Subject,
            value: "alice".into(),
            at: Timestamp::from_secs(1_732_147_200),
            until: Some(Timestamp::from_secs(1_732_150_800)),
        };
        assert_eq!(event, Ok(expected));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for until in [None, Some(Timestamp::from_secs(9))] {
            let event = Event {
                id: "1".into(),
                issuer: "https://as".into(),
                kind: Kind::Token,
                value: "quote \" newline \n é".into(),
                at: Timestamp::from_secs(7),
                until,
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
    }

    #[test]
    fn kinds_that_do_not_work_yet_say_so() {
        for kind in Kind::ALL.iter().filter(|kind| !kind.is_supported()) {
            let text = format!(r#"{{"id":"e","iss":"i","revoke":{{"{}":"v"}},"at":1}}"#, kind.name());
            let refusal = parse(&text).unwrap_err();
            assert!(refusal.description().contains("not supported yet"));
        }
    }

    #[test]
    fn reasons_are_labels_and_differ() {
        let reasons: std::collections::HashSet<&str> = Refusal::ALL.iter().map(|r| r.reason()).collect();
        assert_eq!(reasons.len(), Refusal::ALL.len());
        let snake = |reason: &&&str| reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert_eq!(reasons.iter().filter(snake).count(), reasons.len(), "{reasons:?}");
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
        assert_eq!(Event::parse(b"{\"id\":\"\xff\"}"), Err(Refusal::NotAnObject));
    }
}
