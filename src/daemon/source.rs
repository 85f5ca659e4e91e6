//! Reads images from an engine.

use super::answer::Image;
use super::client::Engine;
use crate::error::{Context, Error, Result};
use crate::image::location::EngineImage;
use crate::image::{Choice, Content, Descriptor, Digest, Manifest, Reference};
use crate::transport::archive::Archive;
use crate::transport::docker_archive::DockerArchive;
use crate::transport::files::blocking;
use crate::transport::oci_archive::OciArchive;
use crate::transport::{BlobStream, ImageName, Origin, Source};
use async_trait::async_trait;
use futures_util::StreamExt;
use std::fs::File;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

/// An image in an engine's store.
///
/// The API returns an image as one tar only. It is stored in an unnamed temporary file, so that nothing is
/// left of it, however the program ends.
pub struct DaemonSource {
    engine: Arc<Engine>,
    image: EngineImage,
    saved: OnceCell<Saved>,
}

/// An image that the engine has saved.
struct Saved {
    archive: Box<dyn Source>,
    manifest: Manifest,
}

impl DaemonSource {
    /// Creates a source without sending anything.
    pub fn new(engine: Arc<Engine>, image: EngineImage) -> Self {
        DaemonSource { engine, image, saved: OnceCell::new() }
    }

    fn place(&self) -> String {
        format!("docker-daemon:{}", self.image)
    }

    async fn saved(&self) -> Result<&Saved> {
        self.saved.get_or_try_init(|| self.save()).await
    }

    async fn save(&self) -> Result<Saved> {
        let image = self.find().await?;
        // The image is saved by its ID, because the name may refer to another image by now.
        let pieces = self.engine.save(&image.id).await?;
        let file = spool(pieces, image.most_saved()).await.context(|| self.place())?;
        let place = self.place();
        let archive = blocking(move || Archive::of_file(file, place)).await?;
        self.read(archive, &image.id).await
    }

    /// Looks up the image in the engine.
    async fn find(&self) -> Result<Image> {
        for name in self.image.queries() {
            if let Some(image) = self.engine.image(&name).await? {
                return Ok(image);
            }
        }
        let address = self.engine.address();
        let missing =
            Error::not_found(format!("{}: the engine at {address} has no such image", self.place()));
        // Podman also finds its own images by short names, and names them localhost/NAME.
        let short = self.image.name().map(Reference::familiar);
        let other = match short {
            Some(short) => self.engine.image(&short).await?.and_then(|image| image.named(&short)),
            None => None,
        };
        Err(match other {
            Some(name) => missing.hint(format!("the engine has docker-daemon:{name}")),
            None => missing.hint("run `docker images` to list its images"),
        })
    }

    /// Reads the archive in the form that preserves more of the image.
    ///
    /// An engine that stores manifests, such as Docker with containerd's image store, uses the digest of the
    /// manifest or index as the ID: the entry of `index.json` with this digest is the original. Other engines
    /// use the digest of the config. They store no manifests; if there is an `index.json`, they generated its
    /// content, so the image is the entry of `manifest.json` with this digest.
    async fn read(&self, archive: Archive, id: &Digest) -> Result<Saved> {
        let image = Choice::Digest(id.clone(), None);
        let oci = OciArchive::of(archive.clone(), Choice::Digest(id.clone(), None), self.place());
        if archive.has("index.json") && oci.lists(id).await? {
            let manifest = self.present(&oci, oci.manifest().await?).await?;
            return Ok(Saved { archive: Box::new(oci), manifest });
        }
        let docker = DockerArchive::of(archive, image, self.place())?;
        let manifest = docker.manifest().await?;
        Ok(Saved { archive: Box::new(docker), manifest })
    }

    /// Returns the part of an image or an index that the engine has. `docker pull` fetches an index with the
    /// image of only one platform, which is the image that the engine runs, and is used instead of the index.
    async fn present(&self, archive: &OciArchive, root: Manifest) -> Result<Manifest> {
        let Content::Index { children } = &root.content else {
            let is_whole = archive.has_all(&root.descriptor()).await?;
            return if is_whole { Ok(root) } else { Err(self.incomplete()) };
        };
        let is_image = |child: &&Descriptor| {
            let is_unknown = child.platform.as_ref().is_some_and(|platform| platform.is_unknown());
            child.is_manifest() && !child.is_attestation() && !is_unknown
        };
        let images: Vec<&Descriptor> = children.iter().filter(is_image).collect();
        let mut there = Vec::new();
        for image in &images {
            if archive.has_all(image).await? {
                there.push(*image);
            }
        }
        match there[..] {
            [] if !images.is_empty() => Err(self.incomplete()),
            [only] if images.len() > 1 => {
                let platform = only.platform.as_ref().map(|p| format!(" for {p}")).unwrap_or_default();
                tracing::info!("{}: the engine has only the image{platform} of the index", self.place());
                archive.child(only).await
            }
            _ => Ok(root),
        }
    }

    /// Returns the error for an image whose layers the engine does not have. When containerd's image store
    /// pulls an image whose files it already has from another image, it does not fetch the layers, which are
    /// then missing from what it saves.
    fn incomplete(&self) -> Error {
        Error::not_found(format!("{}: the engine saved the image without its layers", self.place())).hint(
            "the engine has the files of the layers from another image, and never fetched these; \
             read the image from its registry",
        )
    }
}

/// Writes an archive to an unnamed temporary file.
async fn spool(mut pieces: BlobStream, limit: u64) -> Result<File> {
    let unwritable = |e: std::io::Error| {
        let dir = std::env::temp_dir();
        Error::other(format!("cannot write a temporary file in {}: {e}", dir.display()))
            .hint("the saved image needs space there; set TMPDIR to another directory")
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(unwritable)?);
    let mut written = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        written += piece.len() as u64;
        if written > limit {
            return Err(Error::unsupported(format!(
                "the engine sent more than {limit} bytes, far more than the size that it reports for the image"
            )));
        }
        file.write_all(&piece).await.map_err(unwritable)?;
    }
    file.flush().await.map_err(unwritable)?;
    Ok(file.into_std().await)
}

#[async_trait]
impl Source for DaemonSource {
    async fn manifest(&self) -> Result<Manifest> {
        Ok(self.saved().await?.manifest.clone())
    }

    async fn child(&self, descriptor: &Descriptor) -> Result<Manifest> {
        self.saved().await?.archive.child(descriptor).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobStream> {
        self.saved().await?.archive.blob(descriptor).await
    }

    async fn names(&self) -> Result<Vec<ImageName>> {
        Ok(self.image.name().map(super::sink::image_name).into_iter().collect())
    }

    fn origin(&self) -> Option<Origin> {
        None
    }

    fn keeps_manifests(&self) -> bool {
        self.saved.get().is_some_and(|saved| saved.archive.keeps_manifests())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use bytes::Bytes;
    use std::io::{Read, Seek};

    fn run(pieces: &[&'static str], limit: u64) -> Result<File> {
        let pieces: Vec<Result<Bytes>> =
            pieces.iter().map(|p| Ok(Bytes::from_static(p.as_bytes()))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(spool(Box::pin(futures_util::stream::iter(pieces)), limit))
    }

    #[test]
    fn spooling_stops_at_the_limit() {
        let mut file = run(&["ab", "", "cd"], 4).unwrap();
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcd");
        let error = run(&["ab", "cde"], 4).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("more than 4 bytes"), "{error}");
    }
}
