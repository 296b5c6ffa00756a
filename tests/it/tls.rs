//! Section TL of the attack catalogue, through the shipped binary: what a handshake, a certificate, a revocation list, a
//! ticket or a header with a certificate in it can and can't do.
//!
//! TL-021 (renegotiation, post-handshake authentication) has no test: rustls implements neither. TL-033 (a request
//! straight to the service) is the network's to prevent: see the README and SECURITY.

mod chain;
mod handshake;
mod hearsay;
mod possession;
mod resumption;
mod revocation;
