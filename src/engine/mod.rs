//! The engine: one run from a source to a destination, and the moving of blobs, each once.

pub mod copy;
mod plan;
mod provenance;
mod push;
pub mod report;
mod run;
mod task;
mod tree;

pub use run::Job;
pub use task::{Attestations, Task, Wrap};
