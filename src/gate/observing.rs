//! `mode: observe`: a want of proof is recorded and waived. Whatever else would refuse the request still does.

use super::undecided::Findings;
use super::{Admission, Gate};
use crate::pop::policy::Requirements;
use crate::pop::{Denial, Request, Timestamp, unproved};
use crate::state::revocation::Belief;

impl Gate {
    /// What a refusal comes to: itself, where it is enforced.
    #[cold]
    pub(super) fn observe(
        &self,
        want: Denial,
        (request, demands): (&Request<'_>, &Requirements),
        belief: &Belief,
        now: Timestamp,
        found: &mut Findings<'_>,
    ) -> Result<Admission, Denial> {
        let Some(token) = found.token.clone().filter(|_| self.policy.observes) else { return Err(want) };
        let unproved = unproved::observe(request, token, demands, now, want)?;
        let observed = self.revocations.observe(unproved, belief);
        let observed = observed.inspect_err(|denial| self.find_cause(*denial, found))?;
        found.revocation = observed.standing().mark();
        // Of whatever kind it was: it did not prove anything.
        found.proof = None;
        Ok(Admission::Observed(observed))
    }

    /// Which event revoked the token that is refused.
    pub(super) fn find_cause(&self, denial: Denial, found: &mut Findings<'_>) {
        if denial == Denial::TokenRevoked {
            found.revoked_by = found.token.as_ref().and_then(|token| self.revocations.cause(token));
        }
    }
}
