//! The rewrite: bytes in, bytes out. No I/O, no clock, no environment (contract C2).
//!
//! [`decide`](decide::decide) says what wrap does to an image, and [`Decision::build`] does it; [`unwrap`] is the
//! inverse. Both work on one image; [`index`] carries the results into the index above.

pub mod build;
pub mod decide;
pub mod format;
pub mod image;
pub mod index;
pub mod known_inits;
pub mod layer;
pub mod outcome;
pub mod paths;
pub mod policy;
pub mod record;
pub mod repeat;
pub mod target;
pub mod undo;

pub use build::Plan;
pub use decide::{Decision, decide};
pub use format::Format;
pub use image::{Image, Read, argv, artifact};
pub use outcome::{New, Outcome};
pub use policy::{DEFAULT_PATH, IfInit, Policy};
pub use target::Target;
pub use undo::unwrap;

#[cfg(test)]
mod tests;
