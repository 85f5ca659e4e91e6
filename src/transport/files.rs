//! Files that are written completely or not at all, and streams to and from files, off the thread that drives all
//! transfers.

use super::BlobStream;
use crate::error::{Error, Result};
use crate::image::Digest;
use crate::image::digest::{Algorithm, Hasher};
use bytes::Bytes;
use futures_util::StreamExt;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The size of the pieces in which a file is read.
pub const PIECE: usize = 128 << 10;
/// The maximum number of pieces of a stream that wait to be written.
const QUEUE: usize = 4;
/// The length of the longest file name that is part of the name of a temporary file.
const LONGEST_NAME: usize = 200;

/// Runs blocking work off the thread that drives all transfers.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(task_failed(&error)),
    }
}

/// Returns the error for a task that panicked.
pub fn task_failed(error: &tokio::task::JoinError) -> Error {
    Error::other(format!("internal error: a background task failed: {error}"))
}

/// Fills a buffer while there are bytes; returns how many were read.
pub fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match input.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// Computes the digest of everything that a reader yields.
pub fn hash(mut input: impl Read, algorithm: Algorithm) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut piece = vec![0; PIECE];
    loop {
        match read_up_to(&mut input, &mut piece)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// Streams a file's bytes.
pub fn file_stream(file: impl Read + Send + 'static) -> BlobStream {
    Box::pin(futures_util::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let read = blocking(move || {
            let mut piece = vec![0; PIECE];
            let len = read_up_to(&mut file, &mut piece)?;
            piece.truncate(len);
            Ok((file, piece))
        });
        match read.await {
            Ok((_, piece)) if piece.is_empty() => None,
            Ok((file, piece)) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

/// Writes a stream to the writer that `open` returns, and calls `finish` when all of it is written, but not if the
/// stream fails or is cancelled. Few pieces are queued, so that memory stays constant. `place` names the destination
/// in errors.
pub async fn write_stream<W: Write, T: Send + 'static>(
    mut stream: BlobStream,
    place: String,
    open: impl FnOnce() -> std::io::Result<W> + Send + 'static,
    finish: impl FnOnce(W) -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Option<Bytes>>(QUEUE);
    let writing = tokio::task::spawn_blocking(move || {
        let unwritable = |e| unwritable(&e, &place);
        let mut output = open().map_err(unwritable)?;
        loop {
            match receiver.blocking_recv() {
                Some(Some(piece)) => output.write_all(&piece).map_err(unwritable)?,
                Some(None) => return finish(output).map_err(unwritable),
                None => return Err(Error::other("writing was cancelled")),
            }
        }
    });
    let mut failed = None;
    loop {
        let piece = match stream.next().await.transpose() {
            Ok(piece) => piece,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        let is_last = piece.is_none();
        // If the writer has stopped, it reports the reason itself.
        if sender.send(piece).await.is_err() || is_last {
            break;
        }
    }
    drop(sender);
    let written = writing.await.unwrap_or_else(|error| Err(task_failed(&error)));
    failed.map_or(written, Err)
}

/// Creates a temporary file beside a file, whose directory is created if necessary. It is meant to be renamed to that
/// file when complete: its name says so, and its mode follows the umask, like that of any other file.
pub fn temporary_for(path: &Path) -> std::io::Result<NamedTempFile> {
    let dir = parent(path);
    fs::create_dir_all(dir)?;
    let mut prefix = OsString::from(".");
    if let Some(name) = path.file_name().filter(|name| name.len() <= LONGEST_NAME) {
        prefix.push(name);
        prefix.push(".");
    }
    prefix.push("reapify-");
    let mode = fs::Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().prefix(&prefix).permissions(mode).tempfile_in(dir)?;
    crate::temporary::note(file.path());
    Ok(file)
}

/// A temporary file that replaces another when it is complete, with the permissions of that one. If its name is a
/// symbolic link, the target is replaced.
pub struct Replacement {
    file: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Creates the temporary file.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let path = match path.canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound => path.to_owned(),
            target => target?,
        };
        let file = temporary_for(&path)?;
        match fs::metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            before => file.as_file().set_permissions(before?.permissions())?,
        }
        Ok(Replacement { file, path })
    }

    /// Returns the temporary file.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Replaces the file.
    pub fn persist(self) -> std::io::Result<()> {
        persist(self.file, &self.path)
    }
}

/// Renames a finished file to its final name, replacing an existing file.
pub fn persist(file: NamedTempFile, path: &Path) -> std::io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_dir(path)
}

/// Renames a finished file to its final name unless a file of that name exists; returns whether it was renamed.
pub fn persist_new(file: NamedTempFile, path: &Path) -> std::io::Result<bool> {
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_dir(path).map(|()| true),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error),
    }
}

/// Flushes a directory to disk, without which a new name is not durable.
fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// Returns the directory that contains a file.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the error for a destination that cannot be written. `NotFound` here means the directory, not the image.
pub fn unwritable(error: &std::io::Error, place: &str) -> Error {
    let message = format!("cannot write to {place}: {error}");
    let hint = "check that the destination directory exists or can be created, and that the disk is not full";
    match error.kind() {
        ErrorKind::PermissionDenied => Error::denied(message).hint(hint),
        ErrorKind::BrokenPipe => Error::other(message),
        ErrorKind::ReadOnlyFilesystem => Error::other(message).hint("write to another directory"),
        _ => Error::other(message).hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn streams_a_file_to_its_end() {
        for size in [0, 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let content = b"abc".repeat(size)[..size].to_vec();
            let input = std::io::Cursor::new(content.clone());
            let dir = tempfile::tempdir().unwrap();
            let (path, out) = (dir.path().join("new/file"), dir.path().join("new/file"));
            run(write_stream(
                file_stream(input),
                "a file".into(),
                move || temporary_for(&out),
                move |file| persist(file, &path),
            ))
            .unwrap();
            assert!(fs::read(dir.path().join("new/file")).unwrap() == content);
        }
    }

    #[test]
    fn a_failed_stream_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, out) = (dir.path().join("file"), dir.path().join("file"));
        let pieces = vec![Ok(Bytes::from_static(b"half")), Err(Error::verification("not what it should be"))];
        let outcome = run(write_stream(
            Box::pin(futures_util::stream::iter(pieces)),
            "a file".into(),
            move || temporary_for(&out),
            move |file| persist(file, &path),
        ));
        assert_eq!(outcome.unwrap_err().kind(), crate::error::Kind::Verification);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn persist_new_never_replaces_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (content, is_new) in [("first", true), ("second", false)] {
            let mut file = temporary_for(&path).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            assert_eq!(persist_new(file, &path).unwrap(), is_new);
        }
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_replacement_keeps_symbolic_links_and_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "before").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        let replacement = Replacement::create(&link).unwrap();
        replacement.file().write_all(b"after").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"before");
        replacement.persist().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"after");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_name_of_a_temporary_file_says_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        for (name, prefix) in [("app.tar".into(), ".app.tar.reapify-"), ("x".repeat(255), ".reapify-")] {
            let file = temporary_for(&dir.path().join(name)).unwrap();
            assert!(file.path().file_name().unwrap().to_string_lossy().starts_with(prefix));
        }
    }
}
