//! What becomes of a review, and how that is said: to the API server, in the log, in metrics.

use crate::inject::patch::{Outcome, Refusal};
use json_patch::Patch;
use kube_core::Status;

/// What becomes of a review.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The pod gets clinch.
    Patched { patch: Patch, warnings: Option<Vec<String>> },
    /// It has all it needs.
    Complete,
    /// It is none of ours.
    Left(&'static str),
    /// It may not run.
    Refused(Refusal),
    /// The review itself can't be answered.
    Malformed(&'static str),
    /// A fault of our own, which lets nothing pass.
    Panicked,
}

impl Verdict {
    /// Of the mutating webhooks.
    pub(super) fn of_patch(outcome: Result<Outcome, Refusal>) -> Verdict {
        match outcome {
            Ok(Outcome::Patched { patch, warnings }) => {
                Verdict::Patched { patch, warnings: bounded(warnings) }
            }
            Ok(Outcome::Complete) => Verdict::Complete,
            Ok(Outcome::Left(why)) => Verdict::Left(why),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// Of the validating webhooks.
    pub(super) fn of_verification(verified: Result<(), Refusal>) -> Verdict {
        verified.map_or_else(Verdict::Refused, |()| Verdict::Complete)
    }

    /// Whether the pod may go on.
    pub(super) fn allows(&self) -> bool {
        match self {
            Verdict::Patched { .. } | Verdict::Complete | Verdict::Left(_) => true,
            Verdict::Refused(_) | Verdict::Malformed(_) | Verdict::Panicked => false,
        }
    }

    /// The label of metrics, and the audit annotation.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Verdict::Patched { .. } => "patched",
            Verdict::Complete => "complete",
            Verdict::Left(_) => "left",
            Verdict::Refused(_) => "refused",
            Verdict::Malformed(_) => "malformed",
            Verdict::Panicked => "panicked",
        }
    }

    /// In words; empty where there is nothing to say.
    pub(super) fn reason(&self) -> String {
        match self {
            Verdict::Patched { .. } | Verdict::Complete => String::new(),
            Verdict::Left(why) | Verdict::Malformed(why) => (*why).to_owned(),
            Verdict::Refused(refusal) => cut(&refusal.faults.join("; "), LONGEST_REASON),
            Verdict::Panicked => "internal error".to_owned(),
        }
    }

    /// For whoever created the pod.
    pub(super) fn status(&self) -> Status {
        let (code, reason) = match self {
            Verdict::Patched { .. } | Verdict::Complete | Verdict::Left(_) => return Status::success(),
            Verdict::Refused(_) => (403, "Forbidden"),
            Verdict::Malformed(_) => (400, "BadRequest"),
            Verdict::Panicked => (500, "InternalError"),
        };
        Status::failure(&format!("clinch: {}", self.reason()), reason).with_code(code)
    }
}

/// As many and as long as the API server hands on without cutting them itself.
fn bounded(warnings: Vec<String>) -> Option<Vec<String>> {
    let bounded: Vec<String> =
        warnings.iter().take(MOST_WARNINGS).map(|warning| cut(warning, LONGEST_WARNING)).collect();
    (!bounded.is_empty()).then_some(bounded)
}

/// No longer than so many bytes, `…` in place of what is cut off.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or(""))
}

/// In bytes: Kubernetes cuts longer ones, and drops what is over 4096 in all.
const LONGEST_WARNING: usize = 256;
const MOST_WARNINGS: usize = 16;
/// In bytes: what a pod says of itself may stand in it.
const LONGEST_REASON: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_bounded_and_cut_between_characters() {
        assert_eq!(cut("short", 256), "short");
        let long = cut(&"é".repeat(300), 256);
        assert!(long.len() <= 256 && long.ends_with("é…"), "{long}");
        let warnings = bounded(vec!["w".repeat(1000); 100]).unwrap_or_default();
        assert_eq!(warnings.len(), 16);
        assert!(warnings.iter().all(|warning| warning.len() <= 256));
        assert_eq!(bounded(Vec::new()), None);
        let refusal = Refusal { faults: vec!["f".repeat(3000); 3] };
        assert!(Verdict::Refused(refusal).reason().len() <= 4096);
    }
}
