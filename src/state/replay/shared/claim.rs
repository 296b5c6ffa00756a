//! What a shared store is asked, and what it answers.

use crate::pop::dpop::Proof;
use crate::pop::{Timestamp, sha256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::time::Duration;

/// One proof to be remembered, or found to be remembered already.
#[derive(Clone, Debug)]
pub(in crate::state::replay) struct Claim {
    /// What stands for (jkt, jti) in the store: 22 characters of base64url.
    pub(in crate::state::replay) key: String,
    /// The first moment at which the proof could be accepted.
    pub(in crate::state::replay) from: Timestamp,
    /// The last one.
    pub(in crate::state::replay) until: Timestamp,
}

impl Claim {
    pub(super) fn of(proof: &Proof) -> Claim {
        let key = key(proof.key().as_str(), proof.jti());
        Claim { key, from: proof.acceptable_from(), until: proof.acceptable_until() }
    }

    /// When the store may forget it.
    pub(in crate::state::replay) fn keep_until(&self) -> Timestamp {
        self.until.plus(SLACK)
    }
}

/// 128 bits of SHA-256 over jkt, a zero byte and `jti` (DPOP-42, RP-016): never the token, never the proof.
///
/// Not keyed: replicas share no secret. None is needed. To have a victim's proof refused, or to have two proofs
/// taken for one, someone would have to find a second preimage under the victim's own thumbprint, or a
/// collision under a key of his own, which harms nobody else. Whoever reads the store learns how many proofs
/// there are, and can test a guess of a (thumbprint, `jti`) pair that he knows already.
fn key(jkt: &str, jti: &str) -> String {
    let hash = sha256::of(&[jkt.as_bytes(), b"\0", jti.as_bytes()].concat());
    URL_SAFE_NO_PAD.encode(&hash[..16])
}

/// What the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state::replay) struct Answer {
    pub(in crate::state::replay) verdict: Verdict,
    /// Since when the store has its memory, by its own clock. It can't tell what was used before.
    pub(in crate::state::replay) since: Timestamp,
    /// What is surely made later than this, by the store's clock, was not used before. Earlier than `since` after
    /// the store's clock was set back.
    pub(in crate::state::replay) sure: Timestamp,
    /// What time it is by the store's clock.
    pub(in crate::state::replay) at: Timestamp,
    /// Whether `since` is the end of a memory before it, that this replica knew.
    pub(in crate::state::replay) lost: bool,
}

impl Answer {
    /// Of a store whose memory is whole since then.
    pub(in crate::state::replay) fn new(verdict: Verdict, since: Timestamp, at: Timestamp) -> Answer {
        Answer { verdict, since, sure: since, at, lost: false }
    }
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::state::replay) enum Verdict {
    /// Remembered now, for the first time.
    Fresh,
    /// Remembered already.
    Seen,
    /// By the store's clock the proof is over: the store would not keep it.
    Late,
    /// By the store's clock nobody may accept the proof yet.
    Early,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verdict::Fresh => "fresh",
            Verdict::Seen => "seen",
            Verdict::Late => "late",
            Verdict::Early => "early",
        }
    }
}

/// Why there is no answer. The texts name neither passwords nor proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state::replay) enum Trouble {
    /// No connection at the moment: the store was not even asked.
    Unreached,
    /// No answer in time.
    Slow,
    /// The connection broke, or the store refused.
    Failed(String),
}

impl Trouble {
    pub(in crate::state::replay) fn failed(error: impl fmt::Display) -> Trouble {
        Trouble::Failed(error.to_string())
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Trouble::Unreached => "unreached",
            Trouble::Slow => "timeout",
            Trouble::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unreached => f.write_str("there is no connection"),
            Trouble::Slow => f.write_str("no answer in time"),
            Trouble::Failed(why) => f.write_str(why),
        }
    }
}

/// What is learnt of a store when a connection to it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state::replay) struct Arrival {
    /// Which running store this is: another one may have lost the last writes of the one before.
    pub(in crate::state::replay) identity: String,
    /// Since when it has its memory.
    pub(in crate::state::replay) since: Timestamp,
    /// What time it is there.
    pub(in crate::state::replay) at: Timestamp,
    /// How many writes it counts, where it counts them: never fewer than before.
    pub(in crate::state::replay) writes: u64,
}

/// Beyond the last moment of a proof (RP-010).
const SLACK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_pairs_apart_and_names_neither() {
        let keys = [key("thumbprint", "jti"), key("thumbprin", "tjti"), key("thumbprint", "jti2")];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert_eq!(key("thumbprint", "jti"), keys[0]);
        assert!(keys.iter().all(|k| k.len() == 22 && !k.contains("jti")), "{keys:?}");
    }
}
