//! The file of an archive as a destination, which is checked before anything is read: a dry run does not open it.

use crate::error::{Error, Remedy, Result};
use crate::image::Location;
use crate::image::location::FileOrStdio;
use crate::transport::files::{parent, unwritable};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;

/// Checks that a destination, if it is an archive, may be written. Returns whether that replaces a file.
pub fn check(destination: &Location, force: bool) -> Result<bool> {
    let (Location::OciArchive { file: FileOrStdio::Path(path), .. }
    | Location::DockerArchive { file: FileOrStdio::Path(path), .. }) = destination
    else {
        return Ok(false);
    };
    let place = destination.without_target();
    match path.metadata() {
        Ok(found) if found.is_dir() => {
            Err(Error::usage(format!("{place} is a directory, and an archive is a file"))
                .hint(format!("name a file in it, or use oci:{} for an OCI layout", path.display())))
        }
        Ok(found) if !found.is_file() && !found.file_type().is_block_device() => Ok(false),
        Ok(_) if force => Ok(true),
        Ok(_) => Err(Error::usage(format!("{place} exists")).hint(Remedy::ReplaceArchive)),
        Err(e) if e.kind() == ErrorKind::NotFound => match parent(path).metadata() {
            Ok(_) => Ok(false),
            Err(e) => Err(unwritable(&e, &place)),
        },
        Err(e) => Err(unwritable(&e, &place)),
    }
}
