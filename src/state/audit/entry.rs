//! What waits to be written: owned, small, and quickly made, for a request makes it.

use super::position::Position;
use crate::pop::access_token::AccessToken;
use crate::pop::policy::ProofKind;
use crate::pop::{Denial, Timestamp};
use crate::telemetry::{Passed, Record, Reloaded, RequestId, RevokedBy, TraceId, cut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One record to come.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: SystemTime,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Decision(Decision),
    Event(Event),
}

/// What is kept besides decisions.
#[derive(Debug)]
pub enum Event {
    /// A configuration was put in force, or was not.
    Config {
        /// The one that is in force.
        generation: u64,
        /// How it ended.
        result: Reloaded,
        /// SHA-256 of the file's text, where it could be read.
        digest: Option<[u8; 32]>,
    },
    /// An issuer's or a transmitter's keys are others than before.
    Keys {
        /// What they sign.
        signer: Signer,
        /// Whose.
        name: Arc<str>,
        /// The names of those that came.
        added: Vec<String>,
        /// The names of those that went.
        removed: Vec<String>,
    },
    /// The revocation feed is in another state.
    Feed {
        /// As in `/ready`.
        state: &'static str,
    },
    /// Our own certificate is another one.
    Certificate {
        /// SHA-256 of it, in base64url.
        thumbprint: [u8; 43],
        /// Its end.
        not_after: Timestamp,
    },
    /// A client got no connection, for its certificate or for want of one.
    Handshake {
        /// Who asked for it.
        peer: SocketAddr,
        /// Why not, as a name of a closed set.
        reason: &'static str,
        /// SHA-256 of the certificate that it showed, in base64url.
        thumbprint: Option<[u8; 43]>,
        /// The configuration that refused it.
        generation: u64,
    },
    /// A request that was granted was ended before its end.
    Cut(Box<Cut>),
}

/// The end of a request that was granted: an access decision, too. Nothing in here is a secret.
#[derive(Debug)]
pub struct Cut {
    /// The request, as in its decision.
    pub request: RequestId,
    /// Its trace.
    pub trace: TraceId,
    /// Who asked.
    pub peer: SocketAddr,
    /// The route's path.
    pub route: Arc<str>,
    /// The token that it was granted for.
    pub token: Arc<AccessToken>,
    /// Why, as a name of a closed set.
    pub reason: &'static str,
    /// The event that revoked the token, while it is remembered.
    pub event: Option<Arc<RevokedBy>>,
    /// How long it had been open.
    pub open_for: Duration,
    /// The configuration that granted it.
    pub generation: u64,
    /// How far the revocation feed had been applied, at least.
    pub position: Option<Position>,
}

/// Whose keys these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Of access tokens.
    Issuer,
    /// Of security events (Shared Signals).
    Transmitter,
}

impl Signer {
    /// The member of a record that names it.
    pub(super) fn member(self) -> &'static str {
        match self {
            Signer::Issuer => "issuer",
            Signer::Transmitter => "transmitter",
        }
    }
}

/// One decision. Nothing in here is a secret: of the token only what it says.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) request: RequestId,
    pub(super) trace: TraceId,
    pub(super) peer: SocketAddr,
    words: Words,
    pub(super) scheme: Option<&'static str>,
    pub(super) proof: Option<ProofKind>,
    pub(super) token: Option<Arc<AccessToken>>,
    pub(super) verdict: Result<Passed, Denial>,
    pub(super) rule: Option<&'static str>,
    pub(super) revocation: Option<&'static str>,
    pub(super) generation: u64,
    pub(super) position: Option<Position>,
}

/// The texts of a decision, in one piece of memory. One that is empty is not there.
#[derive(Debug)]
struct Words {
    text: String,
    ends: [u16; WORDS],
}

const METHOD: usize = 0;
const TARGET: usize = 1;
const HOST: usize = 2;
const ROUTE: usize = 3;
const EXPECTED: usize = 4;
const FOUND: usize = 5;
const WORDS: usize = 6;

impl Entry {
    pub(super) fn of(decision: Decision) -> Entry {
        Entry { time: SystemTime::now(), what: What::Decision(decision) }
    }

    pub(super) fn of_event(event: Event) -> Entry {
        Entry { time: SystemTime::now(), what: What::Event(event) }
    }

    /// What it takes of the queue's room, in bytes, besides its own size. A token that the caches drop is kept by it.
    pub(super) fn weight(&self) -> usize {
        match &self.what {
            What::Decision(decision) => {
                let token = decision.token.as_ref().map_or(0, |token| token.weight());
                let position = decision.position.as_ref().map_or(0, Position::weight);
                decision.words.text.len() + token + position
            }
            What::Event(Event::Cut(cut)) => size_of::<Cut>() + cut.token.weight(),
            What::Event(
                Event::Config { .. }
                | Event::Keys { .. }
                | Event::Feed { .. }
                | Event::Certificate { .. }
                | Event::Handshake { .. },
            ) => 0,
        }
    }

    /// Whether strangers bring it about: it gets no room that others do not have.
    pub(super) fn is_of_strangers(&self) -> bool {
        matches!(self.what, What::Decision(_) | What::Event(Event::Handshake { .. }))
    }
}

impl Event {
    /// `kind` of its record.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Event::Config { .. } => "config",
            Event::Keys { .. } => "keys",
            Event::Feed { .. } => "feed",
            Event::Certificate { .. } => "certificate",
            Event::Handshake { .. } => "handshake",
            Event::Cut(_) => "cut",
        }
    }
}

impl Decision {
    pub(super) fn of(record: &Record<'_>, trace: TraceId, position: Option<&Position>) -> Decision {
        let because = record.because;
        let words = Words::of([
            Some(record.method),
            record.target,
            record.host,
            record.route,
            because.and_then(|because| because.expected.as_deref()),
            because.and_then(|because| because.found.as_deref()),
        ]);
        Decision {
            request: record.request,
            trace,
            peer: record.peer,
            words,
            scheme: record.scheme,
            proof: record.proof,
            token: record.token.cloned(),
            verdict: record.verdict,
            rule: because.map(|because| because.rule),
            revocation: record.revocation,
            generation: record.generation,
            position: position.cloned(),
        }
    }

    pub(super) fn method(&self) -> &str {
        self.words.get(METHOD)
    }
    pub(super) fn target(&self) -> &str {
        self.words.get(TARGET)
    }
    pub(super) fn host(&self) -> &str {
        self.words.get(HOST)
    }
    pub(super) fn route(&self) -> &str {
        self.words.get(ROUTE)
    }
    pub(super) fn expected(&self) -> &str {
        self.words.get(EXPECTED)
    }
    pub(super) fn found(&self) -> &str {
        self.words.get(FOUND)
    }

    /// The thumbprint of the key that the token is bound to.
    pub(super) fn key(&self) -> Option<&str> {
        self.token.as_ref()?.confirmation().thumbprint()
    }
}

impl Words {
    /// The beginning of each: a caller chooses the length of a path.
    fn of(words: [Option<&str>; WORDS]) -> Words {
        let words = words.map(|word| cut(word.unwrap_or("")));
        let mut text = String::with_capacity(words.iter().map(|word| word.len()).sum());
        let ends = words.map(|word| {
            text.push_str(word);
            // Six times what `cut` leaves is far less.
            u16::try_from(text.len()).unwrap_or(u16::MAX)
        });
        Words { text, ends }
    }

    fn get(&self, index: usize) -> &str {
        let from = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(usize::from(from)..usize::from(self.ends[index])).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::forge;
    use crate::state::audit::tests::Said;

    #[test]
    fn a_token_is_weighed_with_its_claims() {
        let weight = |claim: &str| {
            let token = forge::token(|_, claims| claims["more"] = serde_json::json!([{ "claim": claim }]));
            let mut said = Said::default();
            said.token = Arc::new(forge::establish(&token).unwrap());
            Entry::of(said.decision(Ok(Passed::Request))).weight()
        };
        let (small, large) = (weight(""), weight(&"x".repeat(10_000)));
        assert!(
            small >= size_of::<AccessToken>() && (small + 10_000..small + 20_100).contains(&large),
            "{small} {large}"
        );
    }

    #[test]
    fn words_are_kept_apart_and_short() {
        let long = "é".repeat(5000);
        let words = Words::of([Some("GET"), Some(&long), None, Some(""), Some("a"), Some(&long)]);
        let got: [&str; WORDS] = std::array::from_fn(|index| words.get(index));
        assert_eq!((got[METHOD], got[HOST], got[ROUTE], got[EXPECTED]), ("GET", "", "", "a"));
        assert!(got[TARGET].len() == 2048 && long.starts_with(got[TARGET]) && got[TARGET] == got[FOUND]);
        assert_eq!(words.text.len(), words.text.capacity(), "one piece of memory, of the right size");
    }
}
