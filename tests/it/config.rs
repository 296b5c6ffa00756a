//! The configuration: every example loads, every bad file gives exactly the message beside it.
//!
//! `BLESS=1` rewrites the messages and the schema; read the difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod bad;
mod command;
mod examples;
mod fixture;
mod injector;
mod mutation;
mod schema;
