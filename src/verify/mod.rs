//! Is a wrapped image what its record says? The strongest answer there is: undo the wrap, wrap again with
//! the reaper found in the image, and compare every byte.

mod check;
pub(crate) mod layer;
mod run;
mod source;

pub use check::VerifiedImage;
pub use run::{Verified, verify};
