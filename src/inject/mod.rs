//! How clinch gets into a pod: the patch that puts it there, and the webhook that Kubernetes asks for it.
//!
//! [`patch`] is pure: a pod, where it is, and the operator's template in; a JSON Patch (RFC 6902), nothing to do, or every
//! reason to refuse out. The webhook, `clinch inject` and the validating webhook all ask it. A pod that should be guarded and
//! can't be is refused: it never runs unguarded.
//!
//! ```text
//! wanted        is this pod ours to guard?
//! seen          the pod, read: containers by kind, a mesh that is there or will be
//! annotations   what its author chose, within the operator's template
//! risks         could something in it get round clinch, or read its memory?
//! ports         which port is guarded, which stay open
//! question      what the kubelet asks a container
//! probes        which of it is sent through clinch
//! low_port      a port that not everybody may bind
//! token         the end of a hook's path
//! told          what the application is told: to listen at loopback
//! sidecar       the container, its volumes
//! init          the init container, in mode redirect
//! others        webhooks that touch every container
//! present       what of ours is there already: is it ours indeed?
//! ```
//!
//! [`manifest`] does to a text of YAML what the patch does to a pod.
//! [`webhook`] is the shell around it: HTTPS, AdmissionReview, certificates. [`authority`] makes those where nobody else
//! does, [`audit`] looks for pods that got past, and [`api`] is how both speak with the API server.

mod annotations;
pub mod api;
pub mod audit;
pub mod authority;
mod init;
mod low_port;
pub mod manifest;
mod names;
mod operations;
mod others;
pub mod patch;
mod ports;
mod present;
mod probes;
mod quantity;
mod question;
pub mod redirect;
mod risks;
mod said;
mod seen;
mod sidecar;
pub mod token;
mod told;
mod wanted;
pub mod webhook;
