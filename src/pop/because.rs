//! Why a request was refused, in more words than the caller gets: what was expected, what was found, and the rule.
//!
//! For whoever runs clinch: the log and the audit log. Values are safe: what is secret, or stands for a secret, is
//! not among them, and nothing of it is longer than a line.

use super::Denial;

/// The reason of one refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The rule, such as `RFC 9449 section 4.3, check 9`.
    pub rule: &'static str,
    /// What would have passed, where that can be told.
    pub expected: Option<String>,
    /// What came instead: unverified, unless the rule comes after the signature.
    pub found: Option<String>,
}

impl Because {
    /// What the refusal alone tells.
    #[must_use]
    pub fn of(denial: Denial) -> Because {
        Because { rule: denial.description(), expected: None, found: None }
    }
}
