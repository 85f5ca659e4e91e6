//! The judge's questions about files, and their answers, which the caller reads from the layers.

pub use crate::layers::marks::{Mark, Marks};
use std::sync::Arc;

/// How many bytes of a file's beginning [`FileFacts::head`] holds.
pub const HEAD: usize = 256 * 1024;

/// The files of an image, as far as they have been read.
pub trait Files: Sync {
    /// Looks up an absolute path through symbolic links.
    fn find(&self, path: &str) -> Found;
}

/// The result of looking up a path.
#[derive(Debug, Clone)]
pub enum Found {
    /// The layers have not been searched for the path yet.
    Unread,
    /// The path cannot be looked up.
    Unknown,
    /// No layer has the path.
    Absent,
    /// The path is a directory.
    Directory,
    /// The path is a file.
    File(FileFacts),
}

/// The facts about a file.
#[derive(Debug, Clone)]
pub struct FileFacts {
    /// The path after following symbolic links.
    pub path: String,
    /// The index of the layer that contains the file, counted from the base.
    pub layer: Option<usize>,
    /// Whether any user may execute it.
    pub is_executable: bool,
    /// The size in bytes; 0 if it is not known.
    pub size: u64,
    /// Whether the content has been read. If not, only the file's existence is known.
    pub is_read: bool,
    /// The first [`HEAD`] bytes.
    pub head: Arc<[u8]>,
    /// The marks found in the whole file.
    pub marks: Marks,
}

impl FileFacts {
    /// Returns the file's name without its directory.
    pub fn name(&self) -> &str {
        file_name(&self.path)
    }

    /// Returns whether the head is the complete file.
    pub fn is_whole(&self) -> bool {
        self.is_read && usize::try_from(self.size).is_ok_and(|size| size <= self.head.len())
    }
}

/// Files that are all unknown, for commands without an image.
pub struct NoFiles;

impl Files for NoFiles {
    fn find(&self, _: &str) -> Found {
        Found::Unknown
    }
}

/// Returns the last component of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
