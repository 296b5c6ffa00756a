//! The tests of the shipped binary and of the library's public face, in one program: linking once is quicker.

// In a program of tests `pub` says what one file offers to the others; there is no crate outside.
#![allow(unreachable_pub)]
// In a test an unwrap is an assertion, also in the support code that clippy does not know to be one.
#![allow(clippy::unwrap_used)]

mod attacks;
mod audit;
mod audit_cli;
mod balancers;
mod cgroups;
mod config;
mod conformance;
mod cors;
mod cut;
mod demo;
mod end_to_end;
mod faults;
mod framing;
mod h2;
mod identity;
mod inject;
mod inject_cli;
mod injector;
mod introspection;
mod journal;
mod kubernetes;
mod layering;
mod metadata;
mod metrics;
mod nonce;
mod observability;
mod observe;
mod operator;
mod packaging;
mod panic;
mod pods;
mod poll;
mod proof;
mod properties;
mod proxy;
mod push;
mod reload;
mod replay;
mod restart;
mod revocation;
mod revocation_redis;
mod revocation_under_load;
mod revoke;
mod stale;
mod step_up;
mod stops;
mod support;
mod thief;
mod tls;
mod traces;
mod transmitter;
mod upstream_faults;
mod vectors;
mod workload;
mod wycheproof;
