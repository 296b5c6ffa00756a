//! How clinch gets into a pod: the patch that puts it there, and the webhook that Kubernetes asks for it.
//!
//! [`patch`] is pure: a pod, where it is, and the operator's template in; a JSON Patch (RFC 6902), nothing to do, or every
//! reason to refuse out. The webhook, `clinch inject` and the validating webhook all ask it. A pod that should be guarded and
//! can't be is refused: it never runs unguarded.
//!
//! [`webhook`] is the shell around it: HTTPS, AdmissionReview, certificates. [`authority`] makes those where nobody else
//! does, [`audit`] looks for pods that got past, and [`api`] is how both speak with the API server.

pub mod api;
pub mod audit;
pub mod authority;
pub mod patch;
pub mod webhook;
