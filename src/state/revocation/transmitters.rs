//! Who signs security events, with which keys; and a SET read from first to last.
//!
//! Decides whether bytes are an event of a configured transmitter, and what it comes to. The keys are kept fresh as
//! those of issuers are. What to do while a key is not known is decided by the callers: the feed parks such an event,
//! whoever must answer at once asks for the keys and waits.

use super::event::Refusal;
use super::event::effects::{self, Message};
use super::event::set::{Doubt, Set, Unverified};
use crate::config::{self, Transmitter};
use crate::pop::Timestamp;
use crate::state::issuers::Issuers;
use crate::telemetry::Metrics;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// The transmitters of the config.
#[derive(Debug)]
pub(super) struct Transmitters {
    by_name: HashMap<Arc<str>, Transmitter>,
    pub(super) keys: Arc<Issuers>,
}

/// Why a SET has not become a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It can't be acted on.
    Refused(Refusal),
    /// The key that it names is not there. `asked`: when the keys were that are; `None` if there are none.
    NoKey { transmitter: Arc<str>, asked: Option<Instant> },
}

/// A SET that a transmitter signed for us and that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genuine {
    /// `jti`: the name of the event, unique for its transmitter.
    pub jti: String,
    /// `iss`
    pub iss: String,
}

/// Why a SET is not taken from its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No SET, or one that is not as its type demands.
    InvalidRequest,
    /// Not signed with a key and an algorithm of the transmitter's.
    InvalidKey,
    /// No transmitter of ours, or one that speaks for others.
    InvalidIssuer,
    /// For somebody else.
    InvalidAudience,
    /// The transmitter's keys can't be had now: to be tried again.
    KeysUnavailable,
    /// The feed can't be had now: to be tried again.
    FeedUnavailable,
}

impl SetError {
    /// The error code (RFC 8935 section 2.4; PUSH-03); `None` for what is no fault of the SET.
    pub fn code(self) -> Option<&'static str> {
        match self {
            SetError::InvalidRequest => Some("invalid_request"),
            SetError::InvalidKey => Some("invalid_key"),
            SetError::InvalidIssuer => Some("invalid_issuer"),
            SetError::InvalidAudience => Some("invalid_audience"),
            SetError::KeysUnavailable | SetError::FeedUnavailable => None,
        }
    }

    /// The code, or what else it is: a metric label.
    pub fn name(self) -> &'static str {
        match self {
            SetError::KeysUnavailable => "keys_unavailable",
            SetError::FeedUnavailable => "feed_unavailable",
            SetError::InvalidRequest
            | SetError::InvalidKey
            | SetError::InvalidIssuer
            | SetError::InvalidAudience => self.code().unwrap_or_default(),
        }
    }

    /// For who delivered it; nothing of what was delivered.
    pub fn description(self) -> &'static str {
        match self {
            SetError::InvalidRequest => "this is not a security event token that can be acted on",
            SetError::InvalidKey => {
                "the signature is not made with a key and an algorithm of the transmitter's"
            }
            SetError::InvalidIssuer => "iss is not a transmitter that may speak of this subject here",
            SetError::InvalidAudience => "aud does not name this receiver",
            SetError::KeysUnavailable => "the transmitter's keys can't be had at the moment",
            SetError::FeedUnavailable => "it can't be kept at the moment",
        }
    }
}

impl Transmitters {
    /// Begins to fetch their keys; needs a tokio runtime.
    pub(super) fn start(transmitters: &[Transmitter], metrics: &Metrics) -> anyhow::Result<Transmitters> {
        let signers: Vec<config::Issuer> = transmitters.iter().map(|one| one.signer.clone()).collect();
        Ok(Transmitters::with(transmitters, Issuers::start_transmitters(&signers, metrics)?))
    }

    pub(super) fn with(transmitters: &[Transmitter], keys: Arc<Issuers>) -> Transmitters {
        let named = |one: &Transmitter| (Arc::clone(&one.signer.expected.issuer), one.clone());
        Transmitters { by_name: transmitters.iter().map(named).collect(), keys }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.by_name.keys().cloned()
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Reads a SET, and what it does. The transmitter is found before any of its keys, and nobody else's keys count for
    /// it (SSF-04, JWKS-08; RV-010).
    pub(super) fn read(&self, bytes: &[u8], now: Timestamp) -> Result<Message, Unread> {
        let (set, transmitter) = self.verify(bytes, now)?;
        effects::read(&set, transmitter, ASKED).map_err(Unread::Refused)
    }

    /// The same for whoever hands on SETs and has to answer for each: a key that is not known is asked for, and waited
    /// for. What we don't act on as a matter of policy is genuine nevertheless (SSF-15).
    ///
    /// # Errors
    /// What the bearer should be told.
    pub(super) async fn verify_now(&self, bytes: &[u8], now: Timestamp) -> Result<Genuine, SetError> {
        let (set, transmitter) = match self.verify(bytes, now) {
            Err(Unread::NoKey { transmitter, .. }) => {
                let came = Instant::now();
                self.keys.refetch(&transmitter).await;
                self.verify(bytes, now).map_err(|unread| match unread {
                    Unread::Refused(refusal) => told(refusal).unwrap_or(SetError::InvalidRequest),
                    Unread::NoKey { asked: Some(asked), .. } if asked >= came => SetError::InvalidKey,
                    Unread::NoKey { .. } => SetError::KeysUnavailable,
                })?
            }
            Err(Unread::Refused(refusal)) => {
                return Err(told(refusal).unwrap_or(SetError::InvalidRequest));
            }
            Ok(verified) => verified,
        };
        match effects::read(&set, transmitter, ASKED).map_err(told) {
            Err(Some(error)) => Err(error),
            Ok(_) | Err(None) => Ok(Genuine { jti: set.id, iss: set.issuer }),
        }
    }

    fn verify(&self, bytes: &[u8], now: Timestamp) -> Result<(Set, &Transmitter), Unread> {
        let set = Unverified::parse(bytes).map_err(Unread::Refused)?;
        let issuer = set.issuer().map_err(Unread::Refused)?;
        let found = self.by_name.get_key_value(issuer).ok_or(Unread::Refused(Refusal::Transmitter))?;
        let (name, transmitter) = found;
        let unsigned = set.check(&transmitter.signer.expected, now).map_err(Unread::Refused)?;
        let no_key = |asked| Unread::NoKey { transmitter: Arc::clone(name), asked };
        let known = self.keys.find(name).map_err(|_| no_key(None))?;
        match unsigned.verify(&known.keys) {
            Ok(set) => Ok((set, transmitter)),
            Err(Doubt::KeyUnknown) => Err(no_key(Some(known.asked))),
            Err(Doubt::Wrong) => Err(Unread::Refused(Refusal::Signature)),
        }
    }
}

/// What a bearer is told of a refusal; nothing where the SET is in order and it is us who don't act on it.
fn told(refusal: Refusal) -> Option<SetError> {
    match refusal {
        Refusal::Transmitter | Refusal::SubjectForeign => Some(SetError::InvalidIssuer),
        Refusal::Audience => Some(SetError::InvalidAudience),
        Refusal::Algorithm | Refusal::KeyUnknown | Refusal::Signature => Some(SetError::InvalidKey),
        Refusal::SubjectUnsupported
        | Refusal::SubjectUnmatchable
        | Refusal::SubjectTooBroad
        | Refusal::CriticalMember
        | Refusal::CredentialType => None,
        Refusal::TooLong
        | Refusal::NotAnObject
        | Refusal::Id
        | Refusal::Issuer
        | Refusal::IssuerUnknown
        | Refusal::Revoke
        | Refusal::KindUnknown
        | Refusal::Value
        | Refusal::At
        | Refusal::Until
        | Refusal::Plain
        | Refusal::SetType
        | Refusal::SetCritical
        | Refusal::SubPresent
        | Refusal::ExpPresent
        | Refusal::IssuedAt
        | Refusal::Future
        | Refusal::TokenId
        | Refusal::Events
        | Refusal::EventTime
        | Refusal::Payload
        | Refusal::ChangeType
        | Refusal::SubjectMissing
        | Refusal::Subject
        | Refusal::SubjectObsolete
        | Refusal::SubjectContradicted
        | Refusal::Internal
        | Refusal::State => Some(SetError::InvalidRequest),
    }
}

/// The state of a verification that was asked for: nobody asks for one yet.
const ASKED: Option<&str> = None;

#[cfg(test)]
pub(super) mod tests;
