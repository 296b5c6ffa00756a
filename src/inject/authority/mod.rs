//! A certificate authority of the injector's own, for clusters without cert-manager.
//!
//! All replicas share one Secret. It holds the authority that signs, the one that will sign next once every API server has
//! had time to hear of it, and the certificate that is served. Whoever comes first makes what is missing or due; optimistic
//! concurrency (`resourceVersion`) decides who that is, and the others take over what is there.
//!
//! ```text
//! issue     keys and certificates                          (rcgen)
//! state     what the Secret holds, read and written
//! due       what is due when, without I/O
//! webhooks  the caBundle of the webhook configurations
//! keeper    looks at all of it, again and again
//! ```
//!
//! No review fails while authorities change: the bundle that API servers trust has the new authority and the old one before
//! a certificate of the new one is served, and keeps the old one until that ends. Certificates are dated back for clocks
//! that lag. An API server that is down changes nothing: what is there is served on.

mod due;
mod issue;
mod keeper;
mod state;
mod webhooks;

pub use keeper::Keeper;

#[cfg(test)]
mod tests;
