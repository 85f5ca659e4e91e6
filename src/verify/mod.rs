//! Verification of wrapped images against their records: undo the wrap, wrap again with the reaper found in the
//! image, and compare every byte.

mod check;
pub(crate) mod layer;
mod run;
mod source;

pub use check::VerifiedImage;
pub use run::{Verified, verify};
