//! Reading of images: manifests and configs, each once and within limits; the selection of platforms; files in
//! layers.

pub mod machine;
mod reader;
pub mod select;

pub use reader::{Limits, Reader, Tree, blob};
