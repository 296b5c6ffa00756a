//! Spans: what is recorded of one thing that took time, until a collector has it.
//!
//! A span is begun by a [`Tracer`] (roots), by a request that is recorded, or by a [`Step`] within either, and goes to
//! the exporter's queue when it ends, in whatever way. `server` and `client` put HTTP's semantic conventions in words,
//! `attributes` and `encode` make OTLP's messages in the wire format of `protobuf`, `queue` holds what `export` sends.
//! Nothing in here waits, fails or is there at all where nothing is recorded.

mod attributes;
pub(super) mod client;
mod counts;
mod encode;
mod export;
mod open;
mod protobuf;
mod queue;
pub(super) mod server;
mod step;
mod tracer;

use attributes::{Attributes, Value, cut};
pub use client::Called;
pub(super) use counts::SpanCounts;
pub(super) use export::Exporter;
pub(super) use open::OpenSpan;
pub use step::{Step, Steps};
pub use tracer::{RevocationSpan, Tracer};

use http::HeaderValue;
use std::borrow::Cow;
use std::time::SystemTime;

/// Which span, for others to link to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRef {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

/// What is recorded.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) of: SpanRef,
    pub(super) parent: Option<Parent>,
    /// W3C trace flags.
    pub(super) flags: u8,
    pub(super) state: Option<HeaderValue>,
    pub(super) kind: Kind,
    pub(super) name: Cow<'static, str>,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    attributes: Attributes,
    pub(super) links: Vec<(SpanRef, &'static str)>,
    pub(super) failed: bool,
}

/// The span that this one is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) span: [u8; 8],
    /// Another process's.
    pub(super) remote: bool,
}

/// On which side of an exchange a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Internal,
    Server,
    Client,
    Consumer,
}

/// Bytes of a path, or of a name that nobody has bounded.
pub(super) const LONGEST_TEXT: usize = 1024;
