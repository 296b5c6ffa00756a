//! Steps: the parts of a request, or of other work, that may take time, each a span of its own while it lasts.

use super::{Kind, LONGEST_TEXT, OpenSpan, SpanRef, cut};
use crate::pop::Denial;

/// Where steps are begun: within a span that is recorded, or nowhere. A pointer; nothing is done where there is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps<'a>(pub(super) Option<&'a OpenSpan>);

impl<'a> Steps<'a> {
    /// Of what is not recorded.
    pub const NONE: Steps<'static> = Steps(None);

    pub(in crate::telemetry) fn of(open: Option<&'a OpenSpan>) -> Steps<'a> {
        Steps(open)
    }

    /// A step of our own, which begins now.
    #[must_use]
    pub fn begin(self, name: &'static str) -> Step {
        Step(self.0.and_then(|open| open.child(Kind::Internal, name)).map(Box::new))
    }

    /// One in which somebody else is asked.
    #[must_use]
    pub fn ask(self, name: &'static str) -> Step {
        Step(self.0.and_then(|open| open.child(Kind::Client, name)).map(Box::new))
    }
}

/// A step under way. It ends when it is dropped; without [`Step::done`] or [`Step::failed`] before that, as cancelled.
#[derive(Debug, Default)]
pub struct Step(pub(in crate::telemetry) Option<Box<OpenSpan>>);

impl Step {
    /// Where its own steps are begun.
    pub fn steps(&self) -> Steps<'_> {
        Steps(self.0.as_deref())
    }

    /// Says something of it. Never a secret, never a subject.
    pub fn say(&mut self, key: &'static str, value: &str) {
        if let Some(open) = &mut self.0 {
            open.set(key, cut(value, LONGEST_TEXT));
        }
    }

    /// The same of a number.
    pub fn count(&mut self, key: &'static str, number: usize) {
        if let Some(open) = &mut self.0 {
            open.set(key, i64::try_from(number).unwrap_or(i64::MAX));
        }
    }

    /// What it has to do with another span.
    pub fn link(&mut self, to: Option<SpanRef>, why: &'static str) {
        if let (Some(open), Some(to)) = (&mut self.0, to) {
            open.link(to, why);
        }
    }

    /// Which span it is, while it is recorded.
    pub fn span(&self) -> Option<SpanRef> {
        self.0.as_ref().and_then(|open| open.of())
    }

    /// It ends, and ended well.
    pub fn done(mut self) {
        if let Some(open) = &mut self.0 {
            open.complete();
        }
    }

    /// It ends badly, for a reason of a closed set.
    pub fn failed(mut self, why: &'static str) {
        if let Some(open) = &mut self.0 {
            open.fail(why);
            open.complete();
        }
    }

    /// It ends with this verdict: a refusal is no failure, unless it is our own.
    pub fn ends<T>(mut self, verdict: &Result<T, Denial>) {
        if let Some(open) = &mut self.0
            && let Err(denial) = verdict
        {
            open.set("clinch.reason", denial.reason());
            if denial.is_ours() {
                open.fail(denial.reason());
            }
        }
        self.done();
    }
}
