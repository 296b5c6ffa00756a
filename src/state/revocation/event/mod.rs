//! What comes from a feed, read: an [`Event`] that revokes, or the reason why it can't be acted on.
//!
//! Two forms come in: [`plain`] events, and Security Event Tokens. Whatever the form, an event ends as
//! [selectors](Selector): facts that must all hold of a token for it to be revoked. Every selector of an event is
//! applied or none is: to act on half of an event would leave something usable that somebody believes revoked.

pub(super) mod effects;
#[cfg(test)]
pub(super) mod forged;
pub mod plain;
pub(super) mod set;
pub(super) mod subject;

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
    /// When it was told, if it says so: what is revoked by a name or a key of its own may have been issued until then.
    pub told: Option<Timestamp>,
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
    /// `typ` is not `secevent+jwt`: an access token, an ID token, anything (SSF section 4.1.1).
    SetType, "type_invalid", "typ is not secevent+jwt";
    /// `crit` or `b64`: we understand no extension.
    SetCritical, "header_critical", "the header has an extension that is not understood";
    /// `iss` is none of the configured transmitters.
    Transmitter, "transmitter_unknown", "iss is not a configured transmitter";
    /// `alg` is not on the transmitter's list.
    Algorithm, "algorithm_refused", "alg is not one of the transmitter's algorithms";
    /// The transmitter publishes no such key, as a fetch made after the event arrived shows.
    KeyUnknown, "key_unknown", "the transmitter has no such key";
    /// None of the transmitter's keys made the signature.
    Signature, "signature_invalid", "the signature is not the transmitter's";
    /// `aud` is missing or names somebody else.
    Audience, "audience_refused", "aud does not name us";
    /// `sub` is there (SSF section 4.1.2).
    SubPresent, "sub_present", "a security event has no sub";
    /// `exp` is there (SSF section 4.1.7).
    ExpPresent, "exp_present", "a security event has no exp";
    /// `iat` is missing or no NumericDate.
    IssuedAt, "iat_invalid", "iat is missing or not a NumericDate";
    /// `iat` is in the future.
    Future, "iat_future", "iat is in the future";
    /// `jti` is missing or no text.
    TokenId, "jti_invalid", "jti is missing or not a string";
    /// `events` is no object with exactly one member that is an object (SSF section 4.2.1).
    Events, "events_invalid", "events must be an object with exactly one event";
    /// `event_timestamp` or `toe` is no NumericDate, or later than the event was told of.
    EventTime, "event_time_invalid", "the time of the event is not a NumericDate in seconds, or after iat";
    /// The event lacks what it must have, or has it in another type.
    Payload, "payload_invalid", "the event is not as its type demands";
    /// `change_type` is none of CAEP section 3.3.1.
    ChangeType, "change_type_unknown", "change_type is unknown";
    /// `credential_type` is neither one of CAEP section 3.3.1 nor one that was agreed upon.
    CredentialType, "credential_type_unknown", "credential_type is unknown";
    /// `sub_id` is missing or no object (SSF section 3.1).
    SubjectMissing, "subject_missing", "sub_id is missing or not an object";
    /// A subject identifier that is not as its format demands (RFC 9493 section 3).
    Subject, "subject_invalid", "the subject is not as its format demands";
    /// A subject of the drafts, with `subject_type` for `format`.
    SubjectObsolete, "subject_obsolete", "the subject has a subject_type instead of a format";
    /// A format that no token can be found by.
    SubjectUnsupported, "subject_unsupported", "the subject's format is not supported";
    /// The subject names nothing that tokens have.
    SubjectUnmatchable, "subject_unmatchable", "the subject names nothing that tokens have";
    /// The subject names a tenant and nobody in it.
    SubjectTooBroad, "subject_too_broad", "the subject names a whole tenant";
    /// The subject is of an issuer that the transmitter does not speak for.
    SubjectForeign, "subject_foreign", "the transmitter does not speak for the subject's issuer";
    /// `sub_id` and the event's own `subject` differ.
    SubjectContradicted, "subject_contradicted", "sub_id and the event's subject differ";
    /// A member of the subject that must not be passed over can't be processed (SSF section 3.6).
    CriticalMember, "critical_member", "a critical member of the subject is not understood";
    /// A verification event with another state than was asked for (SSF section 8.1.4.1).
    State, "state_invalid", "state is not the one that was asked for";
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
