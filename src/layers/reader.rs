//! The layers of an image, read on demand.

use super::cache::Cache;
use super::index::{Builder, LayerIndex, MAX_SIZE, clean};
use super::view::{Found, View};
use super::walk;
use crate::error::{Context, Error, Result};
use crate::image::{Content, Descriptor, Digest, ImageConfig, ImagePath, Manifest};
use crate::rewrite::paths::{self, Directory, PathState};
use crate::transport::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The layers of an image, read on demand.
pub struct Layers {
    source: Arc<dyn Source>,
    /// The layers from highest to lowest, with their diff_ids if the config has one for each.
    layers: Vec<(Descriptor, Option<Digest>)>,
    view: View,
    cache: Option<Cache>,
}

impl Layers {
    /// Creates the view of an image's layers without reading any.
    pub fn new(
        source: Arc<dyn Source>,
        manifest: &Manifest,
        config: &ImageConfig,
        cache: Option<Cache>,
    ) -> Self {
        let layers = match &manifest.content {
            Content::Image { layers, .. } => layers.as_slice(),
            _ => &[],
        };
        let diff_ids = &config.diff_ids;
        let has_all = layers.len() == diff_ids.len();
        let diff_id = |at: usize| diff_ids.get(at).filter(|_| has_all).and_then(|id| id.parse().ok());
        let layers = layers.iter().enumerate().rev().map(|(i, layer)| (layer.clone(), diff_id(i))).collect();
        Layers { source, layers, view: View::default(), cache }
    }

    /// Returns how many layers the image has.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Returns whether the image has no layers.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Returns the view of the layers read so far.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Returns how many bytes may still be kept of the image's layers.
    fn room(&self) -> usize {
        let kept = self.view.layers().iter().map(|layer| layer.size());
        MAX_SIZE.saturating_sub(kept.sum())
    }

    /// Reads the next lower layer. Returns whether there was one.
    pub async fn deeper(&mut self) -> Result<bool> {
        let depth = self.view.layers().len();
        let Some((layer, diff_id)) = self.layers.get(depth) else {
            self.view.complete();
            return Ok(false);
        };
        let known = match (&self.cache, diff_id) {
            (Some(cache), Some(diff_id)) => cache.get(diff_id).await,
            _ => None,
        };
        let index = match known {
            Some(index) if index.size() <= self.room() => Arc::new(index),
            // An index that exceeds the limit fails in the same way as without a cache.
            _ => self.read(layer, diff_id.as_ref(), BTreeSet::new(), self.room()).await?,
        };
        self.view.push(index);
        if self.view.layers().len() == self.layers.len() {
            self.view.complete();
        }
        Ok(true)
    }

    /// Reads what is missing to answer questions about these paths: lower layers, until it is known where each path
    /// leads, or the contents of files that are already located. Returns the paths whose contents were read.
    pub async fn fetch(&mut self, paths: BTreeSet<String>) -> Result<BTreeSet<String>> {
        let is_open = |view: &View, path: &String| view.find(path) == Found::Deeper;
        let (open, known): (BTreeSet<String>, BTreeSet<String>) =
            paths.into_iter().partition(|path| is_open(&self.view, path));
        let mut again: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for path in &known {
            let place = match self.view.find(path) {
                Found::Plain(place) => place,
                Found::File(place, file) if file.head == super::Head::Unread => place,
                _ => continue,
            };
            again.entry(place.depth).or_default().insert(clean(&place.path));
        }
        for (depth, wanted) in again {
            self.read_again(depth, wanted).await?;
        }
        while open.iter().any(|path| is_open(&self.view, path)) {
            self.deeper().await?;
        }
        Ok(known)
    }

    /// Returns the state of a path, without following links.
    pub async fn state(&mut self, path: &str) -> Result<PathState> {
        let path = clean(path);
        loop {
            match self.view.state(&path) {
                Some(state) => return Ok(state),
                None => drop(self.deeper().await?),
            }
        }
    }

    /// Returns the directories above `path`, if the reaper can be placed there. `replace` allows it to replace a
    /// file.
    pub async fn parents(&mut self, path: &ImagePath, replace: bool) -> Result<Vec<Directory>> {
        let mut parents = Vec::new();
        for above in path.parents() {
            parents.push(paths::parent(&above, self.state(above.in_layer()).await?)?);
        }
        paths::target(path, &self.state(path.in_layer()).await?, replace)?;
        Ok(parents)
    }

    /// Reads a layer again for the contents of files that its index did not keep.
    async fn read_again(&mut self, depth: usize, wanted: BTreeSet<String>) -> Result<()> {
        let (layer, diff_id) = &self.layers[depth];
        let room = self.room() + self.view.layers()[depth].size();
        let more = self.read(layer, diff_id.as_ref(), wanted, room).await?;
        let mut index = LayerIndex::clone(&self.view.layers()[depth]);
        index.add_files(LayerIndex::clone(&more));
        self.view.replace(depth, Arc::new(index));
        Ok(())
    }

    async fn read(
        &self,
        layer: &Descriptor,
        diff_id: Option<&Digest>,
        wanted: BTreeSet<String>,
        room: usize,
    ) -> Result<Arc<LayerIndex>> {
        if layer.is_foreign() {
            return Err(Error::unsupported(format!(
                "cannot read the layer {}: it is a foreign layer",
                layer.digest
            )));
        }
        let reading = walk::read(&*self.source, layer, Builder::new(wanted, room));
        let (builder, found) = reading.await.context(|| format!("the layer {}", layer.digest))?;
        let index = Arc::new(builder.finish());
        // Cache the index only if the layer has the diff_id under which other images would find it.
        if let Some(cache) = self.cache.as_ref().filter(|_| diff_id == Some(&found)) {
            cache.put(&found, index.clone()).await;
        }
        Ok(index)
    }
}
