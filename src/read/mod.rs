//! Reads images: manifests and configs, each once and within limits; which platforms are meant; files in layers.

pub mod machine;
mod reader;
pub mod select;

pub use reader::{Limits, Reader, Tree, blob};
