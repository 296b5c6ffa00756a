//! A request in flight: what it holds until its response has ended, and what is told then.
//!
//! Its share of all that are in flight it holds for longer, until the last of the response was sent, and what its upload
//! has of it until that is over ([`Kept`]).

use super::cut::Cuttable;
use super::kept::Kept;
use super::proxy::Peer;
use super::upload::Answer;
use super::upstream::Place;
use crate::state::revocation::Cut;
use crate::telemetry::Remainder;
use std::sync::Arc;

/// A request in flight, until its response's body has ended.
#[derive(Debug)]
pub(super) struct InFlight {
    peer: Arc<Peer>,
    /// Its place among all, once it is admitted, and with the service, once that has answered.
    pub(super) kept: Kept,
    /// What its upload is told of the response.
    upload: Option<Answer>,
    /// Its span, from the response's head on.
    pub(super) span: Remainder,
    /// Whether its response is to panic.
    #[cfg(feature = "panic-drill")]
    pub(super) drill: bool,
}

impl InFlight {
    /// Of a request whose head is there, and whose body may have to come.
    pub(super) fn begin(peer: &Arc<Peer>, has_body: bool) -> InFlight {
        peer.activity.request_began(has_body);
        InFlight {
            peer: Arc::clone(peer),
            kept: Kept::default(),
            upload: None,
            span: Remainder::default(),
            #[cfg(feature = "panic-drill")]
            drill: false,
        }
    }
    /// It has a body, which is told how far the response is.
    pub(super) fn uploads(&mut self, upload: Answer) {
        self.upload = Some(upload);
    }
    /// The response has begun.
    pub(super) fn answered(&self) {
        self.upload.iter().for_each(Answer::began);
    }
    /// The service has answered: the request keeps its place there to its end.
    pub(super) fn holds(&mut self, place: Place) {
        self.kept.place(place);
    }
    /// Its response ends before its end. An HTTP/1.1 connection has no other way to say so than to end, too; also
    /// when the client takes nothing, so that the body is not asked for.
    pub(super) fn cut(&mut self, why: Cut, cuttable: Option<&Cuttable>) {
        self.span.cut(why.reason());
        if let Some(cuttable) = cuttable {
            cuttable.tell(why, &self.peer);
        }
        self.peer.activity.cut_short();
    }
}
impl Drop for InFlight {
    fn drop(&mut self) {
        self.peer.activity.request_ended();
    }
}
