//! What the fuzz targets share: forged tokens and proofs, edits to them, and naive readers.
//!
//! A target does not only ask that nothing panics. It holds clinch's verdict against a second opinion
//! that was written from the RFCs alone ([`naive`]), on inputs that are signed after they were bent
//! ([`edits`], [`forge`]): unsigned noise would never get past the first check.

pub mod edits;
pub mod forge;
pub mod naive;
