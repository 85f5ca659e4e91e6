//! Whether a path of an image can take the reaper: what its layers hold there (OCI image
//! specification, "Image Layer Filesystem Changeset").
//!
//! An engine that unpacks a layer creates the parents it does not find in it, with a mode of its own
//! choosing, and on overlay file systems those hide the image's. So a reaper in a directory comes with
//! copies of its parents' entries, and only where they are directories.

use crate::error::{Error, Remedy, Result};
use crate::image::ImagePath;
use serde::{Deserialize, Serialize};

/// A directory above the reaper, as the image has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its path.
    pub path: ImagePath,
    /// Its mode, owner and time.
    pub attributes: Attributes,
}

/// What a layer says of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

impl Attributes {
    /// What engines give a directory that has no entry.
    pub const IMPLIED: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
}

/// What a member of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory(Attributes),
    /// A symbolic link, and where it points.
    Link(String),
    /// A file, a device.
    Other,
}

/// What stands at a path of an image, links not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Absent,
    /// A directory.
    Directory(Attributes),
    /// A symbolic link, and its target.
    Link(String),
    /// A file or a device.
    File,
}

/// Fails unless the reaper can go below `path`, a directory above it. Returns the directory's entry.
pub fn parent(path: &ImagePath, standing: Standing) -> Result<Directory> {
    let refused = |what: String, remedy: Remedy| {
        Err(Error::unsupported(format!("in the image {path} {what}")).hint(remedy))
    };
    match standing {
        Standing::Directory(attributes) => Ok(Directory { path: path.clone(), attributes }),
        Standing::Link(to) => refused(
            format!("is a symbolic link to {to:?}, which a file below it would replace"),
            Remedy::FollowLink,
        ),
        Standing::File => refused("is not a directory".into(), Remedy::ChoosePath),
        Standing::Absent => refused("does not exist".into(), Remedy::ChoosePathInDirectory),
    }
}

/// Fails unless the reaper can go to `path`. `replace`: a file in the way is replaced.
pub fn target(path: &ImagePath, standing: &Standing, replace: bool) -> Result<()> {
    match standing {
        Standing::Absent => Ok(()),
        Standing::Directory(_) => {
            Err(Error::unsupported(format!("in the image {path} is a directory")).hint(Remedy::ChoosePath))
        }
        Standing::Link(_) | Standing::File if replace => Ok(()),
        Standing::Link(_) | Standing::File => {
            Err(Error::unsupported(format!("the image has a file {path} already")).hint(Remedy::ReplaceFile))
        }
    }
}
