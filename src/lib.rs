//! clinch, a proof-of-possession sidecar: a stolen access token is worthless in front of your service.
//!
//! # The life of a request
//!
//! ```text
//! serve::listener    accept, within limits                  TLS, peer certificate, HTTP/1.1 or HTTP/2
//! pop::request       the neutral request                    is it beyond doubt what is asked for?
//! gate               one decision, recorded exactly once
//!   pop::metadata      is it our own metadata that is asked for? then that is the answer
//!   pop::policy        which route, what does it demand?
//!   pop::credentials   which token, under which scheme?
//!   state::tokens      is it genuine? (cache, signature with the issuer's keys, or the issuer's word)
//!   pop::verify        the caller holds its key? scopes, authentication?      -> Verified
//!   state::revocation  was it revoked?                                        -> Unrevoked
//!   state::rates       does its client ask for too much? (and before: has its address failed too often?)
//!   state::replay      was the proof used before? (the one write, so last)    -> Grant
//! serve::proxy       strip, then set the identity headers   only a Grant can
//! serve::upstream    the service on localhost, and its answer back
//! telemetry          one span, one log line, the metrics
//! ```
//!
//! A refusal is a [`pop::Denial`]: one closed table of status, OAuth error, reason and text, and
//! [`pop::challenge`] is the only writer of `WWW-Authenticate`. An error, a panic, a timeout or a
//! missing store never lets a request through.
//!
//! # The rings
//!
//! `pop` <- `state` <- `gate` <- `serve`, `cli`. Arrows point inward only, and a test holds them to it.
//! [`config`] and [`telemetry`] are leaves that know of `pop` alone.
//!
//! * [`pop`] is pure: no I/O, no clock. Every rule of RFC 9449, 8705, 9068, 7662, 7800, 6750, 9470 and 9728 that
//!   binds a resource server is checked there, against parameters.
//! * [`state`] is what is remembered or fetched: issuers' keys and their word on opaque tokens, verified tokens,
//!   the secrets of nonces, revocations, used proofs, here or in a store that replicas share. Each answer is
//!   evidence that the next step consumes, so that skipping one does not compile.
//! * [`gate`] puts them in order. Every shell asks the same gate.
//! * [`serve`] is the shell that there is now: a reverse proxy.
//! * [`inject`] stands alone: how clinch gets into a pod of Kubernetes.
//! * [`cli`] is the command line, with `clinch demo` to see it all.
//!
//! # What is not checked
//!
//! A proof covers method and URL, not the body nor other headers (RFC 9449 section 11.7). Whoever
//! reaches the service around clinch is not seen by it: bind the service to loopback.

pub mod cli;
pub mod config;
pub mod gate;
pub mod inject;
pub mod pop;
pub mod serve;
pub mod state;
pub mod telemetry;
