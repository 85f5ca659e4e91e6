//! Checks whether the reaper can be placed at a path, given the image's files there (OCI image specification, "Image
//! Layer Filesystem Changeset").
//!
//! An engine that unpacks a layer creates missing parent directories with default attributes, which on overlay file
//! systems hide those of the image. Therefore a reaper below a directory comes with copies of its parents' entries,
//! and each parent must be a directory.

use crate::error::{Error, Remedy, Result};
use crate::image::ImagePath;
use serde::{Deserialize, Serialize};

/// A directory of the image above the reaper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The path.
    pub path: ImagePath,
    /// The mode, owner and time.
    pub attributes: Attributes,
}

/// The attributes of a directory's entry in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The permission bits.
    pub mode: u32,
    /// The owner's user id.
    pub uid: u64,
    /// The owner's group id.
    pub gid: u64,
    /// The modification time, in seconds since 1970.
    pub mtime: u64,
}

impl Attributes {
    /// The attributes that engines give to a directory without an entry.
    pub const IMPLIED: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
}

/// The type of an entry in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory(Attributes),
    /// A symbolic link, with its target.
    Link(String),
    /// A regular file, a device, or any other entry.
    Other,
}

/// The state of a path in an image, without following links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathState {
    /// The path does not exist.
    Absent,
    /// A directory.
    Directory(Attributes),
    /// A symbolic link, with its target.
    Link(String),
    /// A regular file, a device, or any other entry.
    File,
}

/// Checks that the reaper can be placed below `path` and returns that directory's entry.
pub fn parent(path: &ImagePath, state: PathState) -> Result<Directory> {
    let refused = |what: String, remedy: Remedy| {
        Err(Error::unsupported(format!("{path} {what} in the image")).hint(remedy))
    };
    match state {
        PathState::Directory(attributes) => Ok(Directory { path: path.clone(), attributes }),
        PathState::Link(to) => refused(
            format!("is a symbolic link to {to:?}, which a file below it would replace"),
            Remedy::FollowLink,
        ),
        PathState::File => refused("is not a directory".into(), Remedy::ChoosePath),
        PathState::Absent => refused("does not exist".into(), Remedy::ChoosePathInDirectory),
    }
}

/// Returns an error unless the reaper can be placed at `path`. `replace` allows it to replace a file.
pub fn target(path: &ImagePath, state: &PathState, replace: bool) -> Result<()> {
    match state {
        PathState::Absent => Ok(()),
        PathState::Directory(_) => {
            Err(Error::unsupported(format!("{path} is a directory in the image")).hint(Remedy::ChoosePath))
        }
        PathState::Link(_) | PathState::File if replace => Ok(()),
        PathState::Link(_) | PathState::File => {
            Err(Error::unsupported(format!("the image already has a file {path}")).hint(Remedy::ReplaceFile))
        }
    }
}
