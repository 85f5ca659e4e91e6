//! Writes images to an engine.

use super::channel::{IsClosed, pipe};
use super::client::Engine;
use crate::error::{Error, Remedy, Result};
use crate::image::{Content, Descriptor, Digest, Manifest, Reference, authored};
use crate::transport::archive_sink::ArchiveSink;
use crate::transport::docker_archive::manifest_json;
use crate::transport::files::task_failed;
use crate::transport::oci_archive::member;
use crate::transport::{ImageName, Offer, Origin, Payload, Sink, Slot, index_json};
use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

/// An image name in an engine's store, as a destination.
///
/// The image is sent to the engine as one tar while it is created. The tar is an OCI layout with a
/// `manifest.json`, as written by Docker 25 and later: an engine that stores manifests reads those of the
/// layout, and any other engine reads `manifest.json`. Both lists are at the end, so that an engine that
/// receives only a part of the tar does not move its tag.
pub struct DaemonSink {
    engine: Arc<Engine>,
    name: Reference,
    /// The image that the name must still refer to when it is replaced.
    replaces: Option<Digest>,
    load: OnceCell<Load>,
}

/// A load in progress.
struct Load {
    archive: ArchiveSink,
    is_closed: IsClosed,
    answer: Shared<BoxFuture<'static, Result<()>>>,
    task: AbortHandle,
}

impl DaemonSink {
    /// Creates a destination.
    pub fn new(engine: Arc<Engine>, name: Reference) -> Self {
        DaemonSink { engine, name, replaces: None, load: OnceCell::new() }
    }

    /// Creates a destination that is also the source. The name is not moved if it was changed since it was
    /// read.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached.
    pub async fn in_place(engine: Arc<Engine>, name: Reference) -> Result<Self> {
        let sink = Self::new(engine, name);
        let replaces = sink.id().await?;
        Ok(DaemonSink { replaces, ..sink })
    }

    fn place(&self) -> String {
        format!("docker-daemon:{}", self.name)
    }

    /// Returns the ID of the image that the name refers to.
    async fn id(&self) -> Result<Option<Digest>> {
        let image = self.engine.image(&self.name.to_string()).await?;
        Ok(image.map(|image| image.id))
    }

    /// Starts to load the image, when its first part is written.
    async fn load(&self) -> Result<&Load> {
        self.load.get_or_try_init(|| self.begin()).await
    }

    async fn begin(&self) -> Result<Load> {
        let (writer, stream, is_closed) = pipe();
        let archive = ArchiveSink::to_stream(Box::new(writer), self.place());
        let engine = self.engine.clone();
        let task = tokio::spawn(async move { engine.load(stream).await });
        let abort = task.abort_handle();
        let answer = task.map(|done| done.unwrap_or_else(|e| Err(task_failed(&e)))).boxed().shared();
        archive.add("oci-layout".into(), authored::oci_layout()?.into(), None).await?;
        Ok(Load { archive, is_closed, answer, task: abort })
    }

    /// Writes the manifest and the two lists that name the image.
    async fn write_lists(&self, archive: &ArchiveSink, manifest: &Manifest) -> Result<()> {
        let Content::Image { config, layers } = &manifest.content else { return Err(no_index()) };
        let path = member(&manifest.digest);
        archive.add(path, manifest.bytes.clone(), Some(manifest.digest.clone())).await?;
        let mut paths = Vec::new();
        for layer in layers {
            paths.push(archive.member(&layer.digest).await?);
        }
        let config = archive.member(&config.digest).await?;
        let list = manifest_json(&config, &[self.name.familiar()], &paths)?;
        archive.add("manifest.json".into(), list.into(), None).await?;
        let empty = index_json::parse(&authored::empty_index()?)?;
        let index = index_json::with_image(&empty, manifest, &[], None, &image_name(&self.name))?;
        archive.add("index.json".into(), index.into(), None).await
    }

    /// Checks that the name still refers to the image that was read.
    async fn check_unmoved(&self) -> Result<()> {
        match &self.replaces {
            Some(replaced) if self.id().await?.as_ref() != Some(replaced) => Err(Error::network(format!(
                "{}: another program moved the tag in the meantime",
                self.place()
            ))
            .hint("nothing was tagged; run the command again")),
            _ => Ok(()),
        }
    }

    /// Returns the error for a name that does not refer to the loaded image.
    fn other_image(&self, image: &Manifest, id: Option<Digest>) -> Error {
        let found = id.map_or("no image".into(), |id| id.to_string());
        let loaded = &image.digest;
        Error::verification(format!(
            "{}: the engine loaded {loaded}, but the name refers to {found}",
            self.place()
        ))
        .hint("another program may have moved the tag; run the command again")
    }
}

/// Returns whether this can be an image's ID: the digest of its manifest or of its config.
fn is_id_of(id: &Digest, image: &Manifest) -> bool {
    let config = match &image.content {
        Content::Image { config, .. } => Some(&config.digest),
        _ => None,
    };
    *id == image.digest || Some(id) == config
}

impl Load {
    /// Returns the error of writing a part, or the engine's error if it closed the connection.
    async fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() && self.is_closed.get() {
            self.answer.clone().await?;
            return Err(Error::network(
                "the engine closed the connection before it received the whole image",
            ));
        }
        outcome
    }
}

#[async_trait]
impl Sink for DaemonSink {
    async fn current(&self) -> Result<Option<Manifest>> {
        Ok(None)
    }

    async fn holds(&self, image: &Manifest) -> Result<Option<Digest>> {
        Ok(self.id().await?.filter(|id| is_id_of(id, image)))
    }

    async fn is_taken(&self) -> Result<bool> {
        Ok(self.id().await?.is_some())
    }

    fn takes_early(&self) -> bool {
        false
    }

    async fn offer(&self, descriptor: &Descriptor, _from: Option<&str>) -> Result<Offer> {
        let is_written = match self.load.get() {
            Some(load) => load.archive.has(&descriptor.digest).await,
            None => false,
        };
        Ok(if is_written { Offer::Existing } else { Offer::Wanted(None) })
    }

    async fn put(&self, _slot: Option<Slot>, descriptor: &Descriptor, payload: Payload<'_>) -> Result<()> {
        let load = self.load().await?;
        let outcome = load.archive.put(member(&descriptor.digest), descriptor, payload).await;
        load.explain(outcome).await
    }

    async fn put_manifest(&self, manifest: &Manifest, digest: Option<&Digest>) -> Result<Digest> {
        let Content::Image { layers, .. } = &manifest.content else { return Err(no_index()) };
        if digest.is_some() {
            return Err(no_index());
        }
        if layers.iter().any(Descriptor::is_foreign) {
            return Err(Error::unsupported("docker-daemon: cannot store foreign layers")
                .hint("write to oci-archive: instead"));
        }
        self.check_unmoved().await?;
        let load = self.load().await?;
        let outcome = self.write_lists(&load.archive, manifest).await;
        load.explain(outcome).await?;
        let outcome = load.archive.finish().await;
        load.explain(outcome).await?;
        load.answer.clone().await?;
        match self.id().await? {
            Some(id) if is_id_of(&id, manifest) => Ok(id),
            other => Err(self.other_image(manifest, other)),
        }
    }

    async fn release(&self) {
        if let Some(load) = self.load.get() {
            load.task.abort();
        }
    }

    fn origin(&self) -> Option<Origin> {
        None
    }

    fn takes_indexes(&self) -> bool {
        false
    }
}

/// Returns the name of an image in the form that layouts use.
pub fn image_name(name: &Reference) -> ImageName {
    let full = name.tag().map(|tag| format!("{}:{tag}", name.repository_name()));
    ImageName { tag: name.tag().map(String::from), full }
}

fn no_index() -> Error {
    Error::usage("docker-daemon: can hold only a single-platform image, not an index")
        .hint(Remedy::ChooseOneImage { platforms: Vec::new() })
}
