//! The records of Docker manifest lists. Such lists have no annotations, so the record is in their first image.

use super::tree::{Child, IndexNode, Node};
use crate::error::Result;
use crate::image::media_type::Family;
use crate::image::{Content, Manifest};
use crate::read::{Reader, select};
use crate::rewrite::index::{self, History, Replaced};
use crate::rewrite::list::List;
use crate::rewrite::{Image, repeat};

/// Returns the position of the first child that may be an image to wrap.
fn first_image(index: &Manifest) -> Option<usize> {
    index.children().iter().position(|child| !child.is_index() && select::carried(child).is_none())
}

/// The record of a Docker manifest list.
pub struct Recorded {
    list: List,
    /// Whether the list is as wrap wrote it.
    is_intact: bool,
}

impl Recorded {
    /// Reads the record, which the first image has.
    pub async fn read(reader: &Reader, list: &Manifest) -> Option<Self> {
        if list.family() != Family::Docker {
            return None;
        }
        let position = first_image(list)?;
        let manifest = reader.child(&list.children()[position]).await.ok()?;
        let Content::Image { config, .. } = &manifest.content else { return None };
        let config = reader.config(config).await.ok()?;
        let image = Image::new(manifest.as_ref().clone(), config, true).ok()?;
        let record = List::read(&image.config.labels)?;
        let is_intact = image.original().is_some_and(|original| original.exact)
            && repeat::others(list, position).is_ok_and(|others| others == record.others);
        Some(Recorded { list: record, is_intact })
    }

    /// Adds the record to what the children of the list tell of its history. With `is_part`, some of them were
    /// not read.
    pub fn add_to(self, history: &mut History, is_part: bool) {
        history.is_changed = !self.is_intact;
        if self.is_intact && is_part {
            history.source = self.list.source.clone();
        } else if self.is_intact && self.list.source != history.original.digest {
            // The record does not say how many children were dropped.
            history.dropped = 1;
        }
        history.recorded = Some(self.list.source);
    }
}

/// Returns the record of a Docker manifest list, if it describes this list.
pub async fn recorded_list(reader: &Reader, list: &Manifest) -> Option<List> {
    Recorded::read(reader, list).await.filter(|recorded| recorded.is_intact).map(|recorded| recorded.list)
}

/// Writes the record of a wrapped list into its first image, and returns the list with that image.
pub fn record(mut list: IndexNode, recipe: impl FnOnce() -> crate::image::Digest) -> Result<IndexNode> {
    let families = [list.history.original.family(), list.output.family()];
    let Some(position) = first_image(&list.output).filter(|_| families == [Family::Docker; 2]) else {
        return Ok(list);
    };
    let others = repeat::others(&list.output, position)?;
    let is_narrower = list.dropped > 0;
    // The first child of the result that is an image, at its position among the children that are kept.
    let Some(Child { node: Node::Image(image), digest, position: listed, .. }) =
        list.children.get_mut(position)
    else {
        return Ok(list);
    };
    let record = List { source: list.history.source.clone(), recipe: recipe(), others };
    if let Some(manifest) = image.record_list(&record, is_narrower)? {
        *digest = index::name(&list.history.input, *listed, &manifest);
        list.output = index::relink(&list.output, Replaced { position, manifest })?;
    }
    Ok(list)
}
