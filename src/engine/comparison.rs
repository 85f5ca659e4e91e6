//! Decides with few requests whether the destination already is the wrapped source.

use super::copy::Copier;
use super::destination::Destination;
use super::docker_list::recorded_list;
use super::plan::Planner;
use super::report::{Action, Delivery, PlatformReport, Report, SAME};
use super::task::{Task, Wrap};
use super::tree::{Node, Root};
use crate::error::{Context, Result};
use crate::image::media_type::Family;
use crate::image::{Content, Descriptor, Manifest, MediaType, Platform};
use crate::read::{Reader, select};
use crate::rewrite::record::Annotations;
use crate::rewrite::{DEFAULT_PATH, Image, ImageOrArtifact, index, repeat};
use crate::transport::Head;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};

/// Compares a source with the image that the destination has now.
pub struct Comparison<'a> {
    pub task: &'a Task,
    pub wrap: &'a Wrap,
    pub reader: &'a Reader,
    pub copier: &'a Copier,
    pub destination: &'a Destination,
}

impl Comparison<'_> {
    /// Returns a report if there is nothing to do, provided that the destination's records are right.
    pub async fn up_to_date(&self, source: &Manifest, current: &Manifest) -> Result<Option<Report>> {
        if let Some(annotations) = Annotations::read(current) {
            if !self.is_described(source, current, &annotations) {
                return Ok(None);
            }
            let platforms = match &current.content {
                Content::Index { .. } => self.children(source, current).await?,
                // Whether the source is for the wanted platforms is decided where it is read.
                _ if !self.is_wanted(annotations.platform.as_ref()) => return Ok(None),
                _ => vec![PlatformReport {
                    platform: annotations.platform,
                    action: Action::Unchanged,
                    reason: Some(SAME.into()),
                    source_digest: source.digest.clone(),
                    digest: current.digest.clone(),
                }],
            };
            return Ok(Some(Report::up_to_date(source, current, platforms)));
        }
        self.docker_types(source, current).await
    }

    /// Returns a report if there is nothing to do, provided that the destination's records are right. Knows
    /// the source by its digest only, without reading it.
    pub async fn by_digest(&self, source: &Head, current: &Manifest) -> Result<Option<Report>> {
        let Some(family) = source.media_type.as_deref().map(|text| MediaType::from(text).family()) else {
            return Ok(None);
        };
        let is_one = current.digest == source.digest;
        if let Some(annotations) = Annotations::read(current)
            && self.has_recipe(family, current, &annotations)
            && (is_one || annotations.source == source.digest)
            && annotations.describe(current)
            && self.has_our_layer(current)
        {
            return Ok(Some(Report::held(&source.digest, current)));
        }
        // Skipped images have no annotations, and neither have Docker's media types.
        let is_docker = family == Family::Docker && current.family() == Family::Docker;
        let Some(reader) = self.destination.reader().filter(|_| is_one || is_docker) else {
            return Ok(None);
        };
        if !is_one && !self.has_our_layer(current) {
            return Ok(None);
        }
        let recipe = self.wrap.index_recipe(Family::Docker);
        if !is_one
            && let Some(list) = recorded_list(reader, current).await
            && list.source == source.digest
            && list.recipe == recipe
        {
            return Ok(Some(Report::held(&source.digest, current)));
        }
        let planner = Planner::new(self.task, reader, self.copier, 1, true);
        let Ok(root) = planner.root(current.clone(), None).await else { return Ok(None) };
        // A source that gets no reaper is copied, even if its image at the destination has one.
        let is_result = is_one || (*root.origin() == source.digest && !root.keeps_reaper());
        let is_done = root.output().digest == current.digest && is_result;
        Ok(is_done.then(|| Report::held(&source.digest, current)))
    }

    fn has_recipe(&self, family: Family, current: &Manifest, annotations: &Annotations) -> bool {
        match current.content {
            Content::Index { .. } => self.wrap.index_recipe(family) == annotations.recipe,
            _ => self.wrap.recipes(family).any(|recipe| recipe == annotations.recipe),
        }
    }

    /// Returns whether a single image may be for all wanted platforms.
    fn is_wanted(&self, platform: Option<&Platform>) -> bool {
        select::check_alone(platform, &self.wrap.platforms).is_ok()
    }

    /// Returns whether the annotations describe this source, and the manifests do not contradict them.
    fn is_described(&self, source: &Manifest, current: &Manifest, annotations: &Annotations) -> bool {
        let same_recipe = self.has_recipe(source.family(), current, annotations);
        let is_source = current.digest == source.digest
            || (annotations.source == source.digest && repeat::is_possible_result(source, current));
        // An index that was narrowed, and then wrapped in place with these options, is not the whole result.
        let is_whole = !self.wrap.platforms.is_empty() || repeat::has_all_images(source, current);
        same_recipe && is_source && is_whole && annotations.describe(current) && self.has_our_layer(current)
    }

    /// Returns whether the top layer is one that this wrap adds, as far as that is known without reading
    /// layers.
    pub fn has_our_layer(&self, manifest: &Manifest) -> bool {
        match &manifest.content {
            Content::Image { layers, .. } if self.wrap.policy.path == DEFAULT_PATH => {
                layers.last().is_some_and(|last| self.wrap.may_have_added(&last.digest))
            }
            _ => true,
        }
    }

    /// Reports on the children of both indexes.
    fn children<'s>(
        &'s self,
        source: &'s Manifest,
        current: &'s Manifest,
    ) -> BoxFuture<'s, Result<Vec<PlatformReport>>> {
        async move {
            let kept = index::kept(current);
            let pairs = repeat::pairs(source, current)?.into_iter().map(|(theirs, ours)| {
                let (before, after) = (&source.children()[theirs], &current.children()[ours]);
                self.child(before, after, kept.contains(&ours))
            });
            Ok(try_join_all(pairs).await?.into_iter().flatten().collect())
        }
        .boxed()
    }

    async fn child(
        &self,
        before: &Descriptor,
        after: &Descriptor,
        kept: bool,
    ) -> Result<Vec<PlatformReport>> {
        let reason = select::carried(after);
        if after.is_index()
            && reason.is_none()
            && let Some(place) = self.destination.reader()
        {
            let source =
                self.reader.child(before).await.context(|| format!("the child {}", before.digest))?;
            // A missing child is found by the check for completeness.
            let Ok(current) = place.child(after).await else { return Ok(Vec::new()) };
            return self.children(&source, &current).await;
        }
        let (action, reason) = match reason {
            Some(reason) => (Action::Skipped, reason),
            None if kept => (Action::Skipped, "wrap does not change it".into()),
            None => (Action::Unchanged, SAME.into()),
        };
        Ok(vec![PlatformReport {
            platform: after.complete_platform(),
            action,
            reason: Some(reason),
            source_digest: before.digest.clone(),
            digest: after.digest.clone(),
        }])
    }

    /// Compares images with Docker's media types, which have no annotations. Reads the destination's image:
    /// it is up to date if wrapping it changes nothing and it was made from the source.
    async fn docker_types(&self, source: &Manifest, current: &Manifest) -> Result<Option<Report>> {
        let Some(reader) = self.destination.reader().filter(|_| current.digest != source.digest) else {
            return Ok(None);
        };
        if current.family() != Family::Docker || source.family() != Family::Docker {
            return Ok(None);
        }
        if !self.may_come_from(reader, source, current).await? {
            return Ok(None);
        }
        let planner = Planner::new(self.task, reader, self.copier, 1, true);
        let Ok(root) = planner.root(current.clone(), None).await else { return Ok(None) };
        // In place, an image keeps a reaper that these options would not add; the source is copied without it.
        if root.output().digest != current.digest || *root.origin() != source.digest || root.keeps_reaper() {
            return Ok(None);
        }
        if let Root::Index(index) = &root {
            let read = index.children.iter().filter(|child| !matches!(child.node, Node::Carried(_)));
            read.for_each(|child| self.destination.note(&child.digest));
        }
        let mut report = Report::new(&root, &Delivery::Held(current.digest.clone()));
        report.source_digest = source.digest.clone();
        if let (Root::Image(_), [image]) = (&root, &mut report.platforms[..]) {
            image.source_digest = source.digest.clone();
        } else {
            let pairs = repeat::pairs(source, current)?;
            for image in &mut report.platforms {
                let pair = pairs.iter().find(|(_, ours)| current.children()[*ours].digest == image.digest);
                if let Some((theirs, _)) = pair {
                    image.source_digest = source.children()[*theirs].digest.clone();
                }
            }
        }
        Ok(Some(report))
    }

    /// Makes a cheap check first, so that an unrelated manifest list is not read in full.
    async fn may_come_from(&self, reader: &Reader, source: &Manifest, current: &Manifest) -> Result<bool> {
        match (&source.content, &current.content) {
            (Content::Image { layers: theirs, .. }, Content::Image { layers: ours, .. }) => {
                let same = |(a, b): (&Descriptor, &Descriptor)| a.digest == b.digest;
                Ok(ours.len() == theirs.len() + 1
                    && theirs.iter().zip(ours).all(same)
                    && self.has_our_layer(current))
            }
            (Content::Index { children: theirs }, Content::Index { children: ours }) => {
                let pairs = repeat::pairs(source, current)?;
                if pairs.len() != ours.len() || ours.len() != theirs.len() {
                    return Ok(false);
                }
                let changed =
                    pairs.into_iter().map(|(theirs_at, ours_at)| (&theirs[theirs_at], &ours[ours_at]));
                match changed
                    .into_iter()
                    .find(|(theirs, ours)| theirs.digest != ours.digest && ours.is_image())
                {
                    Some((theirs, ours)) => comes_from(reader, theirs, ours).await,
                    None => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }
}

/// Returns whether one image was wrapped from the other, according to its record.
async fn comes_from(reader: &Reader, source: &Descriptor, result: &Descriptor) -> Result<bool> {
    let Ok(manifest) = reader.child(result).await else { return Ok(false) };
    let Content::Image { config, .. } = &manifest.content else { return Ok(false) };
    let Ok(config) = reader.config(config).await else { return Ok(false) };
    let image = match Image::read(manifest.as_ref().clone(), config, true) {
        Ok(ImageOrArtifact::Image(image)) => image,
        _ => return Ok(false),
    };
    Ok(image.original().is_some_and(|original| original.manifest.digest == source.digest))
}
