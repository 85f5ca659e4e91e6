//! An OCI image layout in a directory (OCI image specification, "Image Layout").

use super::checked::checked_manifest;
use super::{BlobStream, Offer, Origin, Payload, Sink, Slot, Source};
use crate::error::{Context, Error, Result};
use crate::image::json::{Document, quote};
use crate::image::{Descriptor, Digest, MAX_MANIFEST, Manifest, media_type};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The name of a tag in an index of a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name of an image, as containerd and Docker from 25 on write it beside the tag: in what `docker save` makes
/// of several images, tags alone may stand for more than one.
const FULL_NAME: &str = "io.containerd.image.name";
/// The whole of the `oci-layout` file.
pub const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// An index without children.
pub const EMPTY_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
/// A layout may hold many images, but has an end.
const MAX_INDEX: u64 = 64 << 20;
/// How much of a file is read at once.
pub const PIECE: usize = 128 << 10;

/// A directory that holds images.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Layout {
    /// Names an image in a directory. Nothing is read yet.
    pub fn new(dir: PathBuf, tag: Option<String>, digest: Option<Digest>) -> Self {
        Layout { dir, tag, digest }
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::not_found(format!("the layout {} has no blob {digest}", self.dir.display()))
            }
            _ => Error::from(e).context(path.display()),
        })
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        let mut bytes = Vec::new();
        self.open_blob(&descriptor.digest)?.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)?;
        checked_manifest(bytes.into(), descriptor)
    }

    /// The text of `index.json`; `None` where there is no layout.
    fn index(&self) -> Result<Option<String>> {
        let path = self.dir.join("index.json");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(Error::usage(format!("{} is not a directory", self.dir.display())).hint(
                    format!("if it is a tar with a layout in it, say oci-archive:{}", self.dir.display()),
                ));
            }
            Err(e) => return Err(Error::from(e).context(path.display())),
        };
        let mut text = String::new();
        file.take(MAX_INDEX + 1).read_to_string(&mut text).context(|| path.display().to_string())?;
        match text.len() as u64 > MAX_INDEX {
            true => Err(Error::unsupported(format!("{} is larger than 64 MiB", path.display()))),
            false => Ok(Some(text)),
        }
    }

    /// Changes `index.json`, one process at a time: the lock is on the file that never changes, and
    /// `index.json` itself is replaced.
    fn update_index(&self, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let layout = self.dir.join("oci-layout");
        let lock = match File::open(&layout) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                // Of several that create it, the first one's is locked by all.
                let mut file = temporary_in(&self.dir)?;
                file.write_all(LAYOUT_FILE)?;
                match file.persist_noclobber(&layout) {
                    Ok(_) => {
                        use std::os::unix::fs::PermissionsExt;
                        fs::set_permissions(&layout, fs::Permissions::from_mode(0o644))?;
                    }
                    Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(Error::from(e.error).context(layout.display())),
                }
                File::open(&layout).context(|| layout.display().to_string())?
            }
            Err(e) => return Err(Error::from(e).context(layout.display())),
        };
        lock.lock().context(|| format!("cannot lock {}", layout.display()))?;
        let index = self.index()?.unwrap_or_else(|| EMPTY_INDEX.into());
        let index = change(&index).context(|| format!("{}/index.json", self.dir.display()))?;
        self.write(&self.dir.join("index.json"), index.as_bytes())
    }

    /// The temporary file is in the same directory, so that it can be renamed.
    fn write(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut file = temporary_in(path.parent().unwrap_or(&self.dir))?;
        file.write_all(content).map_err(|e| unwritable(e, path))?;
        persist(file, path)
    }
}

/// A file in a directory, which is made if it is not there, to be renamed when it is whole.
fn temporary_in(dir: &Path) -> Result<tempfile::NamedTempFile> {
    fs::create_dir_all(dir)
        .and_then(|()| tempfile::NamedTempFile::new_in(dir))
        .inspect(|file| crate::temporary::note(file.path()))
        .map_err(|e| unwritable(e, dir))
}

/// The error for a place that cannot be written. That something is not there says nothing of the image.
pub fn unwritable(error: std::io::Error, place: &Path) -> Error {
    let message = format!("cannot write to {}: {error}", place.display());
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => Error::denied(message),
        _ => Error::other(message),
    }
    .hint("check that the destination's directory is there, or can be made, and has room")
}

/// Gives a finished file its name, readable by all as any file would be.
pub fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(|e| unwritable(e.error, path))
}

/// Finds an image in the index of a layout: by digest, by tag, or the only one.
pub fn find(
    index: &str,
    tag: Option<&str>,
    digest: Option<&Digest>,
    place: &str,
) -> Result<Option<Descriptor>> {
    let index = Manifest::parse(index.to_string(), Some(media_type::OCI_INDEX))
        .context(|| format!("{place}: index.json"))?;
    let named = |d: &&Descriptor| {
        // What refers to an image is meant only by its digest.
        digest.map_or(d.artifact_type.is_none(), |digest| d.digest == *digest)
            && (tag.is_none() || d.annotation(REF_NAME) == tag || d.annotation(FULL_NAME) == tag)
    };
    let found: Vec<&Descriptor> = index.children().iter().filter(named).collect();
    match found[..] {
        [] => Ok(None),
        // The same image may stand there under several names.
        [first, ref more @ ..] if more.iter().all(|d| d.digest == first.digest) => Ok(Some(first.clone())),
        _ => {
            let name = |d: &&Descriptor| d.annotation(FULL_NAME).or(d.annotation(REF_NAME)).map(String::from);
            let tags: Vec<String> = found.iter().filter_map(name).collect();
            Err(Error::usage(format!("{place} holds {} images", found.len()))
                .hint(format!("say which: {place}:TAG or {place}@DIGEST; tags: {}", tags.join(", "))))
        }
    }
}

/// The index of a layout after an image was put under a tag: the entry of that tag is replaced.
pub fn with_image(index: &str, manifest: &Manifest, tag: Option<&str>) -> Result<String> {
    let parsed = Manifest::parse(index.to_string(), Some(media_type::OCI_INDEX))?;
    let name =
        tag.map(|tag| format!(",\"annotations\":{{{}:{}}}", quote(REF_NAME), quote(tag))).unwrap_or_default();
    let entry = format!(
        "{{\"mediaType\":{},\"digest\":{},\"size\":{}{name}}}",
        quote(&manifest.media_type),
        quote(&manifest.digest.to_string()),
        manifest.bytes.len()
    );
    let mut text = Document::new(index.as_bytes())?;
    let is_replaced = |child: &Descriptor| child.annotation(REF_NAME) == tag && child.artifact_type.is_none();
    let children = parsed.children().iter().enumerate();
    let replaced: Vec<usize> = children.filter(|(_, child)| is_replaced(child)).map(|(i, _)| i).collect();
    text.remove_elements("/manifests", &replaced)?;
    text.push("/manifests", &entry)?;
    Ok(text.to_string())
}

/// The index of a layout with one more manifest, without a name, if it is not there already.
fn with_referrer(index: &str, manifest: &Manifest) -> Result<String> {
    let parsed = Manifest::parse(index.to_string(), Some(media_type::OCI_INDEX))?;
    if parsed.children().iter().any(|d| d.digest == manifest.digest) {
        return Ok(index.to_string());
    }
    let kind = match &manifest.content {
        crate::image::Content::Artifact { kind, .. } => format!(",\"artifactType\":{}", quote(kind)),
        _ => String::new(),
    };
    let mut text = Document::new(index.as_bytes())?;
    text.push(
        "/manifests",
        &format!(
            "{{\"mediaType\":{},\"digest\":{},\"size\":{}{kind}}}",
            quote(&manifest.media_type),
            quote(&manifest.digest.to_string()),
            manifest.bytes.len()
        ),
    )?;
    Ok(text.to_string())
}

/// A stream of a file's bytes. Reads block, but only as long as the page cache or the disk does.
pub fn file_stream(file: impl Read + Send + 'static) -> BlobStream {
    Box::pin(futures_util::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = vec![0; PIECE];
        let mut len = 0;
        while len < PIECE {
            match file.read(&mut piece[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Some((Err(e.into()), None)),
            }
        }
        piece.truncate(len);
        (len > 0).then_some((Ok(Bytes::from(piece)), Some(file)))
    }))
}

#[async_trait]
impl Source for Layout {
    async fn manifest(&self) -> Result<Manifest> {
        let place = format!("oci:{}", self.dir.display());
        let index = self.index()?.ok_or_else(|| {
            Error::not_found(format!("{place} is no OCI layout: it has no index.json"))
                .hint("give the directory that holds index.json and blobs/")
        })?;
        match find(&index, self.tag.as_deref(), self.digest.as_ref(), &place)? {
            Some(descriptor) => self.read_manifest(&descriptor),
            None => Err(no_such_image(&place, self.tag.as_deref(), self.digest.as_ref())),
        }
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        self.read_manifest(descriptor)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        Ok(file_stream(self.open_blob(&descriptor.digest)?))
    }

    fn origin(&self) -> Option<Origin> {
        let dir = fs::canonicalize(&self.dir).unwrap_or_else(|_| self.dir.clone());
        Some(Origin { store: format!("oci:{}", dir.display()), repository: String::new() })
    }
}

/// The error for a layout that holds other images only.
pub fn no_such_image(place: &str, tag: Option<&str>, digest: Option<&Digest>) -> Error {
    let wanted = match (tag, digest) {
        (_, Some(digest)) => format!("image {digest}"),
        (Some(tag), None) => format!("image with the tag {tag:?}"),
        (None, None) => "image".into(),
    };
    Error::not_found(format!("{place} holds no {wanted}"))
}

#[async_trait]
impl Sink for Layout {
    async fn current(&self) -> Result<Option<Manifest>> {
        let Some(index) = self.index()? else { return Ok(None) };
        let parsed = Manifest::parse(index, Some(media_type::OCI_INDEX))?;
        let named = parsed.children().iter().find(|d| d.annotation(REF_NAME) == self.tag.as_deref());
        // What is broken or of another kind is replaced like anything else.
        Ok(named.and_then(|d| self.read_manifest(d).ok()))
    }

    async fn offer(&self, descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        let there = fs::metadata(self.blob_path(&descriptor.digest));
        Ok(match there {
            Ok(file) if file.len() == descriptor.size => Offer::Existing,
            _ => Offer::Wanted(None),
        })
    }

    async fn put(&self, _slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let path = self.blob_path(&descriptor.digest);
        let mut file = temporary_in(path.parent().unwrap_or(&self.dir))?;
        let mut stream = payload.open().await?;
        while let Some(piece) = stream.next().await {
            file.write_all(&piece?).map_err(|e| unwritable(e, &path))?;
        }
        persist(file, &path)
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let stored_as = digest.unwrap_or(&manifest.digest);
        self.write(&self.blob_path(stored_as), &manifest.bytes)?;
        if digest.is_some() {
            return Ok(stored_as.clone());
        }
        self.update_index(|index| with_image(index, manifest, self.tag.as_deref()))?;
        Ok(manifest.digest.clone())
    }

    fn takes_referrers(&self) -> bool {
        true
    }

    /// In a layout a referrer is one of the images, without a name.
    async fn put_referrer(&self, manifest: &Manifest, _subject: &Digest) -> Result<()> {
        self.write(&self.blob_path(&manifest.digest), &manifest.bytes)?;
        self.update_index(|index| with_referrer(index, manifest))
    }

    fn origin(&self) -> Option<Origin> {
        Source::origin(self)
    }
}
