//! What comes from a feed, read: an [`Event`] that revokes, or the reason why it can't be acted on.
//!
//! Two forms come in: [`plain`] events, and Security Event Tokens. Whatever the form, an event ends as
//! [selectors](Selector): facts that must all hold of a token for it to be revoked. Every selector of an event is
//! applied or none is: to act on half of an event would leave something usable that somebody believes revoked.

pub mod plain;

use crate::pop::Timestamp;
use crate::pop::jose::{Compact, Json};

/// Something that events say of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fact {
    /// `jti`: this one token.
    TokenId,
    /// `sub`
    Subject,
    /// `sid`
    Session,
    /// `client_id`
    Client,
    /// `cnf.jkt`: bound to this key.
    Key,
    /// `cnf.x5t#S256`: bound to this certificate.
    Certificate,
    /// `kid`: signed with this key of the issuer's.
    SigningKey,
    /// The claim `email`.
    Email,
    /// The claim `phone_number`.
    Phone,
    /// The claim that the operator says is the tenant.
    Tenant,
    /// The claim that the operator says is the device.
    Device,
}

impl Fact {
    /// Every fact.
    pub const ALL: &'static [Fact] = &[
        Fact::TokenId,
        Fact::Subject,
        Fact::Session,
        Fact::Client,
        Fact::Key,
        Fact::Certificate,
        Fact::SigningKey,
        Fact::Email,
        Fact::Phone,
        Fact::Tenant,
        Fact::Device,
    ];

    /// The member of a plain event, and what it is called for people.
    pub fn name(self) -> &'static str {
        match self {
            Fact::TokenId => "jti",
            Fact::Subject => "sub",
            Fact::Session => "sid",
            Fact::Client => "client_id",
            Fact::Key => "jkt",
            Fact::Certificate => "x5t#S256",
            Fact::SigningKey => "kid",
            Fact::Email => "email",
            Fact::Phone => "phone_number",
            Fact::Tenant => "tenant",
            Fact::Device => "device",
        }
    }

    /// Whether it is the same for ever: what names a token, or a key somebody holds, is revoked whenever the token
    /// was issued.
    pub fn is_for_ever(self) -> bool {
        match self {
            Fact::TokenId | Fact::Key | Fact::Certificate => true,
            Fact::Subject
            | Fact::Session
            | Fact::Client
            | Fact::SigningKey
            | Fact::Email
            | Fact::Phone
            | Fact::Tenant
            | Fact::Device => false,
        }
    }
}

/// Tokens of one issuer of which every fact holds; without facts, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// `iss`
    pub issuer: String,
    /// Each fact at most once, in the order of [`Fact`].
    pub facts: Vec<(Fact, String)>,
}

/// An event that can be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name: `id` or `jti`. For people and logs; two events with one name are two events.
    pub id: String,
    /// Tokens issued then or before are revoked.
    pub at: Timestamp,
    /// It may be forgotten then; by default when the last of these tokens has expired.
    pub until: Option<Timestamp>,
    /// What is revoked: the tokens that fit any of these. Empty for an event about which there is nothing to do.
    pub revokes: Vec<Selector>,
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
    /// Neither one JSON object without duplicate members nor a compact JWS.
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
    /// The value to revoke is no string or empty.
    Value, "value_invalid", "the value to revoke is not a string or is empty";
    /// `at` is missing or no NumericDate.
    At, "at_invalid", "at is missing or not a NumericDate";
    /// `until` is no NumericDate.
    Until, "until_invalid", "until is not a NumericDate";
    /// A plain event where only signed ones are accepted.
    Plain, "plain_not_accepted", "plain events are not accepted";
    /// It made us panic: a fault of ours.
    Internal, "internal", "clinch failed on it";
}

/// What an event that can't be acted on calls itself, if it says so: `id`, or the `jti` of a Security Event Token.
pub(super) fn name(bytes: &[u8]) -> Option<String> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let text = |json: &[u8], name| Json::parse_object(json)?.get(name)?.as_str().map(str::to_owned);
    text(bytes, "id").or_else(|| text(&Compact::split(std::str::from_utf8(bytes).ok()?)?.payload()?, "jti"))
}

/// No event needs more; a journal line without an end must not fill the memory.
pub const MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_labels_and_differ() {
        let reasons: std::collections::HashSet<&str> = Refusal::ALL.iter().map(|r| r.reason()).collect();
        assert_eq!(reasons.len(), Refusal::ALL.len());
        let snake = |reason: &&&str| reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert_eq!(reasons.iter().filter(snake).count(), reasons.len(), "{reasons:?}");
    }

    #[test]
    fn facts_are_listed_in_their_order() {
        assert!(Fact::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Fact::ALL.iter().enumerate().all(|(at, fact)| *fact as usize == at));
    }
}
