//! What is remembered or fetched. Each answer is evidence that the next step consumes.
//!
//! In the order of a request: [`tokens`] are genuine by the keys of [`issuers`] or by their word
//! ([`introspection`]); [`nonces`] say when a proof was made; [`revocation`] says what was taken back; [`replay`]
//! is the one write. What is granted is told on in [`assertions`], and what was decided is kept in [`audit`].

pub mod assertions;
pub mod audit;
mod https;
pub mod introspection;
pub mod issuers;
pub mod nonces;
pub mod rates;
mod redis;
pub mod replay;
pub mod revocation;
pub mod shares;
pub mod tokens;
mod uniform;
