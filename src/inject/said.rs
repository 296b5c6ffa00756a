//! What is said to the author of a pod: every fault at once, and warnings, in words of bounded length.

use super::patch::Refusal;
use crate::config::words::quoted;

/// Faults and warnings, in the order they were found.
#[derive(Debug, Default)]
pub(super) struct Said {
    faults: Vec<String>,
    warnings: Vec<String>,
    unsaid: usize,
}

impl Said {
    /// The pod is refused.
    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        if self.faults.len() < MOST {
            self.faults.push(cut(fault.into()));
        } else {
            self.unsaid += 1;
        }
    }

    /// A value is not what it has to be.
    pub(super) fn wrong(&mut self, what: &str, found: &str, expected: &str) {
        self.fault(format!("{what}: found {}, expected {expected}", quoted(found)));
    }

    /// The author should know.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        if self.warnings.len() < MOST {
            self.warnings.push(cut(warning.into()));
        }
    }

    /// The refusal, if there is a fault; else the warnings.
    pub(super) fn outcome(mut self) -> Result<Vec<String>, Refusal> {
        if self.unsaid > 0 {
            self.faults.push(format!("and {} more", self.unsaid));
        }
        if self.faults.is_empty() { Ok(self.warnings) } else { Err(Refusal { faults: self.faults }) }
    }
}

impl Refusal {
    /// One fault.
    pub(super) fn of(fault: impl Into<String>) -> Refusal {
        Refusal { faults: vec![cut(fault.into())] }
    }
}

/// A pod's words may be of any length.
fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Characters of a fault.
const LONGEST: usize = 400;
/// Faults that are told, and warnings: a pod with a thousand containers may have thousands, an answer has little room.
const MOST: usize = 32;
