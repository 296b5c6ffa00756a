//! What a request holds of what is limited: its share of all that are in flight, and its place with the service.
//!
//! Several parts of it are under way at a time, and none knows which one will be the last: the response, what is left of
//! the upload when the response has ended. Each has this, and what is held goes with the last of them (DS-010).

use super::upstream::Place;
use crate::state::shares::Share;
use std::sync::Arc;

/// What a request holds, given back when the last one of these is dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    share: Option<Arc<Share>>,
    place: Option<Place>,
}

impl Kept {
    /// It is admitted.
    pub(super) fn share(&mut self, share: Share) {
        self.share = Some(Arc::new(share));
    }
    /// It has a place with the service.
    pub(super) fn place(&mut self, place: Place) {
        self.place = Some(place);
    }
    /// Its share alone: for the response, which may be on its way for longer than its body.
    pub(super) fn share_only(&self) -> Kept {
        Kept { share: self.share.clone(), place: None }
    }
}
