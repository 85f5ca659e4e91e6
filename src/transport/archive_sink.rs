//! Tar archives being written: to a temporary file that is renamed when it is complete. Devices and pipes are written
//! directly.

use super::Payload;
use super::files::{self, blocking, persist, persist_new, temporary_for, unwritable};
use crate::error::{Error, Remedy, Result};
use crate::image::location::FileOrStdio;
use crate::image::{Descriptor, Digest};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

/// A stream that an archive is written to, which must be told when the archive is whole.
pub trait Stream: Write + Send {
    /// Ends the stream. Without it, the archive is not whole.
    fn end(self: Box<Self>) -> std::io::Result<()>;
}

/// An archive to which blobs are written concurrently; it accepts one at a time.
pub struct ArchiveSink {
    state: Mutex<State>,
    place: String,
    /// Whether the archive is a file, which gets its name when it is complete.
    is_file: bool,
}

struct State {
    writer: Writer,
    /// A member that is written before all others. A run that fails before it has content writes nothing.
    first: Option<(String, Bytes)>,
    /// The members by the digest of their content.
    written: HashMap<Digest, String>,
}

/// The state of an archive that was started.
enum Writer {
    Open(Box<Archive>),
    Failed(Error),
    Done,
}

impl ArchiveSink {
    /// Starts an archive. Returns an error if the file exists, unless `force` is set.
    pub async fn create(file: &FileOrStdio, place: String, force: bool) -> Result<Self> {
        let file = file.clone();
        let named = place.clone();
        let archive = blocking(move || Archive::create(&file, named, force)).await?;
        Ok(Self::of(archive, place))
    }

    /// Begins an archive that goes to a stream; `place` is what messages call it.
    pub fn to_stream(stream: Box<dyn Stream>, place: String) -> Self {
        let builder = tar::Builder::new(Output::Stream(stream));
        Self::of(Archive { builder, place: place.clone() }, place)
    }

    /// Sets the first member.
    #[must_use]
    pub fn beginning_with(mut self, name: &str, content: impl Into<Bytes>) -> Self {
        self.state.get_mut().first = Some((name.into(), content.into()));
        self
    }

    fn of(archive: Archive, place: String) -> Self {
        let is_file = matches!(archive.builder.get_ref(), Output::New { .. });
        let state = State { writer: Writer::Open(Box::new(archive)), first: None, written: HashMap::new() };
        ArchiveSink { state: Mutex::new(state), place, is_file }
    }

    /// Returns whether what is written can be discarded. Output to a pipe or a device cannot be withdrawn.
    pub fn can_discard(&self) -> bool {
        self.is_file
    }

    /// Returns whether a digest was written.
    pub async fn has(&self, digest: &Digest) -> bool {
        self.state.lock().await.written.contains_key(digest)
    }

    /// Returns the member that contains a digest.
    pub async fn member(&self, digest: &Digest) -> Result<String> {
        let member = self.state.lock().await.written.get(digest).cloned();
        member.ok_or_else(|| Error::other(format!("{}: the blob {digest} was not written", self.place)))
    }

    /// Adds a blob, unless it was added before.
    pub async fn put(&self, name: String, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let mut state = self.state.lock().await;
        if state.written.contains_key(&descriptor.digest) {
            return Ok(());
        }
        state.begin(&self.place).await?;
        let archive = state.take(&self.place)?;
        let (member, size) = (name.clone(), descriptor.size);
        let added = match payload.open().await {
            Ok(stream) => {
                let open = move || archive.member(&member, size);
                files::write_stream(stream, self.place.clone(), open, Member::finish).await
            }
            Err(error) => Err(error),
        };
        state.written.insert(descriptor.digest.clone(), name);
        state.put_back(added)
    }

    /// Adds a member with this content, and remembers it by its digest if there is one.
    pub async fn add(&self, name: String, content: Bytes, digest: Option<Digest>) -> Result<()> {
        let mut state = self.state.lock().await;
        if digest.as_ref().is_some_and(|digest| state.written.contains_key(digest)) {
            return Ok(());
        }
        state.begin(&self.place).await?;
        let archive = state.take(&self.place)?;
        let member = name.clone();
        let added = blocking(move || archive.add(&member, &content)).await;
        state.written.extend(digest.map(|digest| (digest, name)));
        state.put_back(added)
    }

    /// Ends the archive and renames it to its final name.
    pub async fn finish(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        let archive = state.take(&self.place)?;
        state.writer = Writer::Done;
        blocking(move || archive.finish()).await
    }
}

impl State {
    /// Writes the first member, if that was not done yet.
    async fn begin(&mut self, place: &str) -> Result<()> {
        let Some((name, content)) = self.first.take() else { return Ok(()) };
        let archive = self.take(place)?;
        let added = blocking(move || archive.add(&name, &content)).await;
        self.put_back(added)
    }

    /// Takes the archive while something is added to it. If that fails or is cancelled, the archive is lost.
    fn take(&mut self, place: &str) -> Result<Box<Archive>> {
        let given_up = Error::other(format!("{place}: writing was cancelled"));
        match std::mem::replace(&mut self.writer, Writer::Failed(given_up)) {
            Writer::Open(archive) => Ok(archive),
            Writer::Failed(error) => {
                self.writer = Writer::Failed(error.clone());
                Err(error)
            }
            Writer::Done => Err(Error::other(format!("{place}: the archive is finished"))),
        }
    }

    fn put_back(&mut self, outcome: Result<Box<Archive>>) -> Result<()> {
        match outcome {
            Ok(archive) => self.writer = Writer::Open(archive),
            Err(error) => {
                self.writer = Writer::Failed(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A tar archive being written.
struct Archive {
    builder: tar::Builder<Output>,
    place: String,
}

enum Output {
    /// A temporary file that is renamed to `path`.
    New {
        file: tempfile::NamedTempFile,
        path: PathBuf,
        force: bool,
    },
    /// A device or a pipe.
    Existing(File),
    Stdout(std::io::Stdout),
    Stream(Box<dyn Stream>),
    /// An archive that was given up.
    Nowhere,
}

impl Output {
    /// Opens the output; `None` if a file exists that must not be replaced.
    fn open(name: &FileOrStdio, force: bool) -> std::io::Result<Option<Self>> {
        let path = match name {
            FileOrStdio::Pipe => return Ok(Some(Output::Stdout(std::io::stdout()))),
            FileOrStdio::Path(path) => path,
        };
        let kind = match std::fs::metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(e) if e.kind() == ErrorKind::NotFound => return Self::create(path, force).map(Some),
            Err(e) => return Err(e),
        };
        // Writing would destroy the content of a block device, like that of a file.
        if !force && (kind.is_file() || kind.is_block_device()) {
            return Ok(None);
        }
        if kind.is_file() {
            // A symbolic link is kept, and its target is replaced.
            return Self::create(&path.canonicalize()?, force).map(Some);
        }
        File::options().write(true).open(path).map(|file| Some(Output::Existing(file)))
    }

    fn create(path: &Path, force: bool) -> std::io::Result<Self> {
        // Parent directories are created only for layouts.
        std::fs::metadata(files::parent(path))?;
        Ok(Output::New { file: temporary_for(path)?, path: path.into(), force })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Output::New { file, .. } => file.write(bytes),
            Output::Existing(file) => file.write(bytes),
            Output::Stdout(stdout) => stdout.write(bytes),
            Output::Stream(stream) => stream.write(bytes),
            Output::Nowhere => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Output::New { file, .. } => file.flush(),
            Output::Existing(file) => file.flush(),
            Output::Stdout(stdout) => stdout.flush(),
            Output::Stream(stream) => stream.flush(),
            Output::Nowhere => Ok(()),
        }
    }
}

impl Drop for Archive {
    /// The tar library ends an archive when it is dropped: one that was given up must not look as if it were whole.
    fn drop(&mut self) {
        *self.builder.get_mut() = Output::Nowhere;
    }
}

impl Archive {
    fn create(name: &FileOrStdio, place: String, force: bool) -> Result<Self> {
        match Output::open(name, force).map_err(|e| unwritable(&e, &place))? {
            Some(output) => Ok(Archive { builder: tar::Builder::new(output), place }),
            None => Err(exists(&place)),
        }
    }

    fn add(mut self: Box<Self>, name: &str, content: &[u8]) -> Result<Box<Self>> {
        let mut header = header(content.len() as u64);
        let added = self.builder.append_data(&mut header, name, content);
        added.map_err(|e| unwritable(&e, &self.place))?;
        Ok(self)
    }

    /// Starts a member of `size` bytes.
    fn member(mut self: Box<Self>, name: &str, size: u64) -> std::io::Result<Member> {
        // Appending an empty body writes only the header; the content follows piece by piece.
        self.builder.append_data(&mut header(size), name, std::io::empty())?;
        Ok(Member { archive: self, written: 0 })
    }

    fn finish(mut self) -> Result<()> {
        let builder = std::mem::replace(&mut self.builder, tar::Builder::new(Output::Nowhere));
        let place = self.place.clone();
        let ended = builder.into_inner().and_then(|mut output| {
            output.flush()?;
            match output {
                Output::New { file, path, force: true } => persist(file, &path).map(|()| true),
                // The file may have been created meanwhile.
                Output::New { file, path, force: false } => persist_new(file, &path),
                Output::Existing(..) | Output::Stdout(_) | Output::Nowhere => Ok(true),
                Output::Stream(stream) => stream.end().map(|()| true),
            }
        });
        if ended.map_err(|e| unwritable(&e, &place))? { Ok(()) } else { Err(exists(&place)) }
    }
}

/// Returns the error for an archive that would replace a file.
fn exists(place: &str) -> Error {
    Error::usage(format!("{place} exists")).hint(Remedy::ReplaceArchive)
}

/// A member being written.
struct Member {
    archive: Box<Archive>,
    written: u64,
}

impl Write for Member {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.archive.builder.get_mut().write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.archive.builder.get_mut().flush()
    }
}

impl Member {
    fn finish(mut self) -> std::io::Result<Box<Archive>> {
        let padding = self.written.next_multiple_of(512) - self.written;
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), padding), &mut self)?;
        Ok(self.archive)
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
