//! An OCI image layout in a directory (OCI image specification, "Image Layout").

use super::checked::checked_manifest;
use super::files::{self, blocking, file_stream, persist, persist_new, temporary_for, unwritable};
use super::{BlobStream, ImageName, Offer, Origin, Payload, Referrer, Sink, Slot, Source, index_json};
use crate::error::{Context, Error, Result};
use crate::image::{Choice, Descriptor, Digest, MAX_MANIFEST, Manifest, authored};
use async_trait::async_trait;
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An OCI image layout in a directory.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
    image: Choice<String>,
    onto_itself: bool,
}

impl Layout {
    /// Creates a layout for an image in a directory. Reads nothing.
    pub fn new(dir: PathBuf, image: Choice<String>) -> Self {
        Layout { dir, image, onto_itself: false }
    }

    /// States that the image is rewritten in place as the directory's only one. Otherwise, an image that is written
    /// without a name is added to those in the directory.
    #[must_use]
    pub fn onto_itself(mut self) -> Self {
        self.onto_itself = true;
        self
    }

    /// Returns the directory as the user names it.
    fn place(&self) -> String {
        format!("oci:{}", self.dir.display())
    }

    /// Returns the image as the user names it.
    fn name(&self) -> String {
        format!("{}{}", self.place(), self.image)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::not_found(format!("{}: missing blob {digest}", self.name())),
            _ => self.unreadable(e),
        })
    }

    /// Returns whether there is a file of the right size for a blob.
    fn has_size(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.blob_path(&descriptor.digest)).is_ok_and(|file| file.len() == descriptor.size)
    }

    /// Returns whether the content of a blob matches its digest.
    fn is_intact(&self, descriptor: &Descriptor) -> Result<bool> {
        let file = self.open_blob(&descriptor.digest)?;
        let found = files::hash(file, descriptor.digest.algorithm()).map_err(|e| self.unreadable(e))?;
        Ok(found == descriptor.digest)
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let mut bytes = Vec::new();
        let file = self.open_blob(&descriptor.digest)?;
        file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes).map_err(|e| self.unreadable(e))?;
        checked_manifest(bytes.into(), descriptor).context(|| self.name())
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        Error::from(error).context(self.place())
    }

    fn unwritable(&self, error: &std::io::Error) -> Error {
        unwritable(error, &self.place())
    }

    /// Reads `index.json`; `None` if there is no layout.
    fn index(&self) -> Result<Option<Manifest>> {
        let file = match File::open(self.dir.join("index.json")) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotADirectory => {
                return Err(Error::usage(format!("{} is not a directory", self.place())).hint(format!(
                    "use oci-archive:{} for a tar archive that contains a layout",
                    self.dir.display()
                )));
            }
            Err(e) => return Err(self.unreadable(e)),
        };
        let mut bytes = Vec::new();
        file.take(index_json::MAX_INDEX + 1).read_to_end(&mut bytes).map_err(|e| self.unreadable(e))?;
        if bytes.len() as u64 > index_json::MAX_INDEX {
            return Err(Error::unsupported(format!("{}: index.json is larger than 64 MiB", self.place())));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::unsupported(format!("{}: index.json is not valid UTF-8", self.place())))?;
        index_json::parse(text).context(|| self.place()).map(Some)
    }

    /// Changes `index.json`, one process at a time: the lock is held on a file that never changes, because
    /// `index.json` itself is replaced.
    fn update_index(&self, change: impl FnOnce(&Manifest) -> Result<String>) -> Result<()> {
        let path = self.dir.join("oci-layout");
        if !path.exists() {
            // If several processes create it, all lock the first one's file.
            let mut file = temporary_for(&path).map_err(|e| self.unwritable(&e))?;
            let content = authored::oci_layout()?;
            let written = file.write_all(content.as_bytes()).and_then(|()| persist_new(file, &path));
            written.map_err(|e| self.unwritable(&e))?;
        }
        let lock = File::open(&path).map_err(|e| self.unreadable(e))?;
        lock.lock().map_err(|e| self.unreadable(e))?;
        let index = match self.index()? {
            Some(index) => index,
            None => index_json::parse(&authored::empty_index()?)?,
        };
        self.write(&self.dir.join("index.json"), change(&index)?.as_bytes())
    }

    /// The temporary file is in the same directory, so that it can be renamed.
    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let written = temporary_for(path).and_then(|mut file| {
            file.write_all(content)?;
            persist(file, path)
        });
        written.map_err(|e| self.unwritable(&e))
    }

    /// Adds an image whose blobs are already written to `index.json`.
    fn list(&self, manifest: &Manifest) -> Result<()> {
        let place = self.place();
        self.update_index(|index| {
            let at = index_json::replaced(index, &self.image, self.onto_itself, &place)?;
            let old = at.first().and_then(|i| self.read_manifest(&index.children()[*i]).ok());
            let name = ImageName { tag: self.image.name().cloned(), full: None };
            index_json::with_image(index, manifest, &at, old.as_ref(), &name).context(|| &place)
        })
    }

    /// Runs work on a clone, off the thread that drives all transfers.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(Layout) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let layout = self.clone();
        blocking(move || work(layout)).await
    }
}

/// The maximum number of entries of a layout that are searched for referrers.
const MAX_REFERRERS: usize = 1024;

/// Returns the digest of the manifest's subject.
fn subject(manifest: &Manifest) -> Option<Digest> {
    #[derive(Deserialize)]
    struct View {
        subject: Option<Subject>,
    }
    #[derive(Deserialize)]
    struct Subject {
        digest: String,
    }
    let view: View = serde_json::from_slice(&manifest.bytes).ok()?;
    view.subject?.digest.parse().ok()
}

#[async_trait]
impl Source for Layout {
    async fn manifest(&self) -> Result<Manifest> {
        self.off_thread(|layout| {
            let place = layout.place();
            let index = layout.index()?.ok_or_else(|| {
                let why = match layout.dir.is_dir() {
                    true => "is not an OCI layout: it has no index.json",
                    false => "does not exist, or is not a directory",
                };
                Error::not_found(format!("{place} {why}"))
                    .hint("use the directory that contains index.json and blobs/")
            })?;
            match index_json::find(&index, &layout.image, &place)? {
                Some(descriptor) => layout.read_manifest(descriptor),
                None => Err(index_json::no_such_image(&index, &layout.image, &place)),
            }
        })
        .await
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let descriptor = descriptor.clone();
        self.off_thread(move |layout| layout.read_manifest(&descriptor)).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        let digest = descriptor.digest.clone();
        self.off_thread(move |layout| layout.open_blob(&digest).map(file_stream)).await
    }

    async fn names(&self) -> Result<Vec<ImageName>> {
        self.off_thread(|layout| {
            let index = layout.index()?;
            Ok(index.map(|index| index_json::names(&index, &layout.image)).unwrap_or_default())
        })
        .await
    }

    /// Finds referrers among the entries of `index.json`, by the subjects in their manifests.
    async fn referrers(&self, digest: &Digest) -> Result<Vec<Referrer>> {
        let digest = digest.clone();
        self.off_thread(move |layout| {
            let Some(index) = layout.index()? else { return Ok(Vec::new()) };
            let entries = index.children().iter().filter(|entry| entry.is_manifest()).take(MAX_REFERRERS);
            // An entry that cannot be read has no known subject.
            let refers = |entry: &&Descriptor| {
                layout.read_manifest(entry).is_ok_and(|manifest| subject(&manifest).as_ref() == Some(&digest))
            };
            Ok(entries.filter(refers).cloned().map(Referrer::from).collect())
        })
        .await
    }

    fn origin(&self) -> Option<Origin> {
        let dir = fs::canonicalize(&self.dir).unwrap_or_else(|_| self.dir.clone());
        Some(Origin { store: format!("oci:{}", dir.display()), repository: String::new() })
    }
}

#[async_trait]
impl Sink for Layout {
    async fn current(&self) -> Result<Option<Manifest>> {
        self.off_thread(|layout| {
            let Some(index) = layout.index()? else { return Ok(None) };
            let current = index_json::current(&index, &layout.image, layout.onto_itself, &layout.place())?;
            // A damaged entry or one of another kind may be replaced like any other.
            Ok(current.and_then(|descriptor| layout.read_manifest(descriptor).ok()))
        })
        .await
    }

    async fn is_taken(&self) -> Result<bool> {
        self.off_thread(|layout| {
            let Some(index) = layout.index()? else { return Ok(false) };
            let current = index_json::current(&index, &layout.image, layout.onto_itself, &layout.place())?;
            Ok(current.is_some())
        })
        .await
    }

    /// Checks the content, because a tag is about to refer to the blob; once per run.
    async fn offer(&self, descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        let is_there = self.has_intact(descriptor).await?;
        Ok(if is_there { Offer::Existing } else { Offer::Wanted(None) })
    }

    async fn put(&self, _slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let path = self.blob_path(&descriptor.digest);
        let out = path.clone();
        let stream = payload.open().await?;
        files::write_stream(
            stream,
            self.place(),
            move || temporary_for(&out),
            move |file| persist(file, &path),
        )
        .await
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let (manifest, child) = (manifest.clone(), digest.cloned());
        self.off_thread(move |layout| {
            let stored_as = child.as_ref().unwrap_or(&manifest.digest);
            layout.write(&layout.blob_path(stored_as), &manifest.bytes)?;
            match child {
                Some(child) => Ok(child),
                None => layout.list(&manifest).map(|()| manifest.digest.clone()),
            }
        })
        .await
    }

    fn takes_referrers(&self) -> bool {
        true
    }

    /// Adds a referrer to `index.json`, without a name.
    async fn put_referrer(&self, manifest: &Manifest, _subject: &Digest) -> Result<()> {
        let manifest = manifest.clone();
        self.off_thread(move |layout| {
            layout.write(&layout.blob_path(&manifest.digest), &manifest.bytes)?;
            layout.update_index(|index| index_json::with_referrer(index, &manifest))
        })
        .await
    }

    fn origin(&self) -> Option<Origin> {
        Source::origin(self)
    }

    async fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let descriptor = descriptor.clone();
        self.off_thread(move |layout| Ok(layout.has_size(&descriptor))).await
    }

    async fn has_intact(&self, descriptor: &Descriptor) -> Result<bool> {
        let descriptor = descriptor.clone();
        self.off_thread(move |layout| Ok(layout.has_size(&descriptor) && layout.is_intact(&descriptor)?))
            .await
    }

    fn as_source(self: Arc<Self>) -> Option<Arc<dyn Source>> {
        Some(self)
    }
}
