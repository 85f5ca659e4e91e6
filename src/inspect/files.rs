//! What the judge asks about files, and the answers that somebody else reads from the layers.

pub use crate::layers::marks::{Mark, Marks};
use std::sync::Arc;

/// How many bytes of a file's beginning [`FileFacts::head`] holds.
pub const HEAD: usize = 256 * 1024;

/// The files of an image, as far as they have been read.
pub trait Files: Sync {
    /// Looks up an absolute path through symbolic links.
    fn find(&self, path: &str) -> Found;
}

/// The answer to a look-up.
#[derive(Debug, Clone)]
pub enum Found {
    /// The layers have not been searched for the path yet.
    Unread,
    /// The path cannot be looked up at all.
    Unknown,
    /// No layer has the path.
    Absent,
    /// The path is a directory.
    Directory,
    /// The path is a file.
    File(FileFacts),
}

/// What is known of a file.
#[derive(Debug, Clone)]
pub struct FileFacts {
    /// The path behind symbolic links.
    pub path: String,
    /// The index of the layer that holds the file, counted from the base.
    pub layer: Option<usize>,
    /// Whether anybody may execute it.
    pub is_executable: bool,
    /// The size in bytes; 0 if it is not known.
    pub size: u64,
    /// Whether the content has been read. If not, the file is there, and no more is known of it.
    pub is_read: bool,
    /// The first [`HEAD`] bytes.
    pub head: Arc<[u8]>,
    /// The markers in the whole file.
    pub marks: Marks,
}

impl FileFacts {
    /// The file's name without its directory.
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }

    /// Whether the head is the whole file.
    pub fn is_whole(&self) -> bool {
        self.is_read && usize::try_from(self.size).is_ok_and(|size| size <= self.head.len())
    }
}

/// Files that are all unknown: for commands without an image.
pub struct NoFiles;

impl Files for NoFiles {
    fn find(&self, _: &str) -> Found {
        Found::Unknown
    }
}

/// The last component of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
