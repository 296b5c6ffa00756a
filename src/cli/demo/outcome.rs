//! What a step of the story should come to, and what it came to.

use crate::pop::Denial;
use http::StatusCode;
use std::fmt;

/// How a request ended. Expected and seen outcomes are compared by equality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It reached the service, which was told that this is the caller.
    Admitted {
        /// Every value of every header that the service could take for the subject.
        subject: String,
    },
    /// clinch refused it for this reason.
    Refused(Denial),
    /// Neither: an answer that is not of clinch's making, or none for this reason.
    Strange(StatusCode),
}

impl Outcome {
    pub(super) fn admitted(subject: &str) -> Outcome {
        Outcome::Admitted { subject: subject.to_owned() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Admitted { subject } => write!(f, "200 {subject}"),
            Outcome::Refused(denial) => write!(f, "{} {}", denial.status().as_u16(), denial.reason()),
            Outcome::Strange(status) => write!(f, "{} unexplained", status.as_u16()),
        }
    }
}
