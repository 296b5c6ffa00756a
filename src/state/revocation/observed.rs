//! `mode: observe`: what was not proved must not be revoked either.

use super::Revocations;
use super::open::OpenRequest;
use super::standing::{Belief, Standing};
use crate::pop::Denial;
use crate::pop::unproved::Unproved;
use http::HeaderMap;

/// Unproved, let in because the operator only observes, and not revoked as far as anybody tells who was asked.
#[derive(Debug)]
pub struct Observed {
    unproved: Unproved,
    standing: Standing,
    open: OpenRequest,
}

impl Observed {
    /// What was waived.
    pub fn unproved(&self) -> &Unproved {
        &self.unproved
    }
    /// Who said that it is not revoked.
    pub fn standing(&self) -> Standing {
        self.standing
    }
    /// The request as one that may be ended while it is open.
    pub fn into_open(self) -> OpenRequest {
        self.open
    }
    /// Tells the service that this is nobody who is known.
    pub fn write(&self, headers: &mut HeaderMap) {
        self.unproved.write(headers);
        self.standing.write(headers);
    }
}

impl Revocations {
    /// The same where the operator only observes: a revoked token is refused all the same.
    ///
    /// # Errors
    /// As [`check`](Revocations::check) has them.
    pub fn observe(&self, unproved: Unproved, belief: &Belief) -> Result<Observed, Denial> {
        let open = self.open.enter(unproved.token());
        let standing = self.admits(&self.presented(unproved.token()), belief)?;
        Ok(Observed { unproved, standing, open })
    }
}
