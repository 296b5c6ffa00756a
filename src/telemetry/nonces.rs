//! `clinch_nonce_challenges_total{kind}`: how often a caller was asked for a nonce (RFC 9449 section 9), and why.

use super::Passed;
use super::metrics::Label;
use crate::pop::Denial;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// All at zero from the start.
#[derive(Clone, Debug)]
pub(super) struct NonceChallenges(Family<Label, Counter>);

impl Default for NonceChallenges {
    fn default() -> NonceChallenges {
        let family = Family::default();
        for (_, kind) in KINDS {
            drop::<Counter>(family.get_or_create_owned(&[("kind", kind)]));
        }
        NonceChallenges(family)
    }
}

impl NonceChallenges {
    /// What the registry renders.
    pub(super) fn family(&self) -> Family<Label, Counter> {
        self.0.clone()
    }

    /// A request was decided so.
    pub(super) fn decided(&self, verdict: Result<Passed, Denial>) {
        let asked = KINDS.iter().find(|(denial, _)| verdict == Err(*denial));
        if let Some((_, kind)) = asked {
            self.0.get_or_create(&[("kind", *kind)]).inc();
        }
    }
}

const KINDS: [(Denial, &str); 4] = [
    (Denial::NonceMissing, "missing"),
    (Denial::NonceUnknown, "unknown"),
    (Denial::NonceExpired, "expired"),
    (Denial::ProofBeforeStart, "before_start"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::denial::OAuthError;

    #[test]
    fn every_refusal_that_asks_for_a_nonce_has_its_kind() {
        let challenges = NonceChallenges::default();
        Denial::ALL.iter().for_each(|denial| challenges.decided(Err(*denial)));
        challenges.decided(Ok(Passed::Request));
        let asking = Denial::ALL.iter().filter(|denial| denial.error() == OAuthError::UseDpopNonce).count();
        assert_eq!(asking, KINDS.len());
        for (_, kind) in KINDS {
            assert_eq!(challenges.0.get_or_create(&[("kind", kind)]).get(), 1, "{kind}");
        }
    }
}
