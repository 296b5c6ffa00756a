//! What is remembered or fetched. Each answer is evidence.
mod https;
pub mod introspection;
pub mod issuers;
pub mod nonces;
pub mod replay;
pub mod revocation;
pub mod tokens;
mod uniform;
