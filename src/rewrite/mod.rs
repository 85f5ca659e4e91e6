//! The rewrite of images: a pure function from bytes to bytes, without I/O, clock or environment.
//!
//! [`decide`](decide::decide) determines what wrap does to an image, and [`Decision::build`] does it; [`unwrap`] is
//! the inverse. Both work on one image; [`index`] updates the index that lists it.

pub mod build;
pub mod decide;
mod embedded;
pub mod format;
pub mod image;
pub mod index;
pub mod known_inits;
pub mod layer;
pub mod list;
pub mod outcome;
pub mod paths;
pub mod policy;
pub mod record;
pub mod repeat;
mod script;
pub mod target;
pub mod undo;

pub use build::{Plan, relabel, with_list};
pub use decide::{Decision, decide};
pub use format::Format;
pub use image::{Image, ImageOrArtifact, argv, artifact};
pub use outcome::{New, Outcome};
pub use policy::{DEFAULT_PATH, IfInit, Policy};
pub use target::Target;
pub use undo::unwrap;

#[cfg(test)]
mod tests;
