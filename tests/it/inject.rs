//! Injection into pods: what is patched, what is refused, and that neither can be got round.

mod bounds;
mod forged;
mod golden;
mod order;
mod pods;
mod properties;
mod rules;
