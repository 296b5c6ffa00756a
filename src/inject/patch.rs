//! The patch.

use crate::config::template::Template;
use serde_json::Value;

/// Where a pod is.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// Its namespace: of the request, for the pod itself may not say yet.
    pub namespace: &'a str,
    /// Whether that is opted in (`clinch.dev/inject: enabled`).
    pub opted_in: bool,
    /// The injector's own namespace.
    pub own: &'a str,
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// clinch is put into it, or what is missing of it.
    Patched {
        /// To be applied to the pod as it was given.
        patch: json_patch::Patch,
        /// For the pod's author.
        warnings: Vec<String>,
    },
    /// It has all it needs.
    Complete,
    /// It is none of ours: why, in words.
    Left(&'static str),
}

/// Everything that is wrong with a pod, in words that name the annotation or the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// At least one.
    pub faults: Vec<String>,
}

/// What is to be done to a pod.
///
/// # Errors
/// It should be guarded and can't be, or has something that passes for clinch and is not.
pub fn patch(_pod: &Value, _place: &Place<'_>, _template: &Template) -> Result<Outcome, Refusal> {
    Err(Refusal { faults: vec!["injection is not supported yet".to_owned()] })
}

/// Whether a pod has all it should have: there is nothing to patch.
///
/// # Errors
/// What is missing, or wrong.
pub fn verify(pod: &Value, place: &Place<'_>, template: &Template) -> Result<(), Refusal> {
    match patch(pod, place, template)? {
        Outcome::Complete | Outcome::Left(_) => Ok(()),
        Outcome::Patched { .. } => {
            Err(Refusal { faults: vec!["the pod is not guarded by clinch".to_owned()] })
        }
    }
}
