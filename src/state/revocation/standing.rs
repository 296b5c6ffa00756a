//! What the feed is worth at this moment, and what was made of that for one request.
//!
//! A feed that fell silent leaves three choices (`on_stale`): refuse, ask the issuer about each token, or let requests
//! pass unchecked. Whatever passes without a word from the feed is marked: for the service, in the span and in the
//! log.

use super::FeedStatus;
use crate::config::OnStale;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What the feed is worth: asked once for a request, before its token is established, and held to until the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Belief(pub(super) Worth);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The index knows what is revoked.
    Sound,
    /// It may not, and nobody else is asked.
    Unsound,
    /// The issuer knows.
    Issuer,
    /// Nobody knows, and the operator said to go on.
    Nobody,
}

impl Belief {
    pub(super) fn of(status: &FeedStatus, on_stale: OnStale) -> Belief {
        Belief(match (status, on_stale) {
            (FeedStatus::Off | FeedStatus::Current | FeedStatus::Reconnecting, _) => Worth::Sound,
            // `on_stale` speaks of a feed that fell silent, not of events that we had and could not keep.
            (FeedStatus::CatchingUp | FeedStatus::Full, _) => Worth::Unsound,
            (FeedStatus::Stale, OnStale::Deny) => Worth::Unsound,
            (FeedStatus::Stale, OnStale::Introspect) => Worth::Issuer,
            (FeedStatus::Stale, OnStale::Allow) => Worth::Nobody,
        })
    }

    /// Whether the issuer is to be asked about the token (RFC 7662), whatever is known of it.
    pub fn asks_issuer(&self) -> bool {
        self.0 == Worth::Issuer
    }
}

/// Who said that a token is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The feed.
    Checked,
    /// The issuer, while the feed was silent.
    Introspected,
    /// Nobody: the feed was silent, and `on_stale: allow`.
    Unchecked,
}

impl Standing {
    /// How it is marked; nothing where the feed was there.
    pub fn mark(self) -> Option<&'static str> {
        match self {
            Standing::Checked => None,
            Standing::Introspected => Some("introspected"),
            Standing::Unchecked => Some("unchecked"),
        }
    }

    pub(in crate::state) fn write(self, headers: &mut HeaderMap) {
        if let Some(mark) = self.mark() {
            headers.insert(REVOCATION, HeaderValue::from_static(mark));
        }
    }
}

/// For the service; absent while the feed is there.
const REVOCATION: HeaderName = HeaderName::from_static("clinch-revocation");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_silence_is_the_operators_choice() {
        use FeedStatus::{CatchingUp, Current, Full, Off, Reconnecting, Stale};
        for on_stale in [OnStale::Deny, OnStale::Introspect, OnStale::Allow] {
            for status in [Off, Current, Reconnecting] {
                assert_eq!(Belief::of(&status, on_stale), Belief(Worth::Sound));
            }
            for status in [CatchingUp, Full] {
                assert_eq!(Belief::of(&status, on_stale), Belief(Worth::Unsound), "{status:?}");
            }
        }
        let stale = |on_stale| Belief::of(&Stale, on_stale).0;
        assert_eq!(stale(OnStale::Deny), Worth::Unsound);
        assert_eq!((stale(OnStale::Introspect), stale(OnStale::Allow)), (Worth::Issuer, Worth::Nobody));
    }

    #[test]
    fn what_nobody_vouched_for_is_marked() {
        let written = |standing: Standing| {
            let mut headers = HeaderMap::new();
            standing.write(&mut headers);
            headers.get("clinch-revocation").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(written(Standing::Checked), None);
        assert_eq!(written(Standing::Unchecked).as_deref(), Some("unchecked"));
        assert_eq!(written(Standing::Introspected).as_deref(), Some("introspected"));
    }
}
