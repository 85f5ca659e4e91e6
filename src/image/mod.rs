//! The data model of images: names, digests, platforms, manifests and configs. Nothing here does I/O.
//!
//! Manifests and configs keep their original bytes; views read only the fields that are needed.

pub mod authored;
pub mod config;
mod convert;
pub mod digest;
pub mod json;
pub mod manifest;
pub mod media_type;

pub mod location;
mod opaque;
pub mod path;
pub mod platform;
pub mod reference;

pub use config::ImageConfig;
pub use digest::Digest;
pub use location::{Choice, Location};
pub use manifest::{Content, Descriptor, Manifest};
pub use media_type::MediaType;
pub use path::ImagePath;
pub use platform::{Platform, StatedPlatform};
pub use reference::Reference;

/// The largest size of a manifest that is read, as the OCI distribution specification recommends.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// The largest size of a config that is read.
pub const MAX_CONFIG: u64 = 8 << 20;
/// The largest number of manifests below an index. A manifest counts as often as it is listed, because a few small
/// indexes that list each other a thousand times would otherwise never end.
pub const MAX_MANIFESTS: usize = 1024;
