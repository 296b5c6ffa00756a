//! clinch: a proof-of-possession sidecar.
pub mod cli;
pub mod config;
pub mod gate;
pub mod pop;
pub mod serve;
pub mod state;
pub mod telemetry;
