//! How clinch gets into a pod: the patch that puts it there, and the webhook that Kubernetes asks for it.
//!
//! [`patch`] is pure: a pod, where it is, and the operator's template in; a JSON Patch (RFC 6902), nothing to do, or every
//! reason to refuse out. The webhook, `clinch inject` and the validating webhook all ask it. A pod that should be guarded and
//! can't be is refused: it never runs unguarded.

pub mod manifest;
pub mod patch;
