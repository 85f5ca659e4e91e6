//! Inspection of what a name refers to: one image, or the images of an index.

use super::look::look;
use super::report::{self, Report};
use crate::error::{Error, Result};
use crate::image::{Descriptor, Location, Platform, StatedPlatform};
use crate::layers::{Cache, Layers};
use crate::read::select::{self, Selection};
use crate::read::{Reader, Tree};
use crate::reapers::Reapers;
use crate::transport::Source;
use std::sync::Arc;

/// Inspects an image, or the images of an index for the wanted platforms; for all if none is named.
///
/// Without `cache` the layers are not read; the inner `None` means that nothing about them is kept.
///
/// # Errors
///
/// Returns an error if the image cannot be read, is not a container image, or has none of the wanted platforms.
pub async fn image(
    location: &Location,
    source: Arc<dyn Source>,
    wanted: &[Platform],
    cache: Option<&Option<Cache>>,
) -> Result<Report> {
    let manifest = source.manifest().await?;
    let reader = Reader::new(source.clone());
    let selection = Selection::new(&reader, &manifest, wanted).await?;
    let may_be_image = |child: &Descriptor| {
        let is_unknown = child.platform.as_ref().is_some_and(StatedPlatform::is_unknown);
        child.is_manifest() && !child.is_attestation() && !is_unknown
    };
    let is_meant = |child: &Descriptor| may_be_image(child) && selection.keeps(child);
    let tree = reader.tree(manifest.clone(), &is_meant).await?;
    if matches!(tree, Tree::Other(_)) {
        return Err(crate::rewrite::artifact(manifest.artifact_type()));
    }
    if let Tree::Image(image, _) = &tree {
        select::check_alone(image.config.platform().ok().as_ref(), wanted)?;
    }
    let reapers = Reapers::default();
    let mut findings = Vec::new();
    for (image, listed) in tree.images() {
        let mut layers =
            cache.map(|cache| Layers::new(source.clone(), &image.manifest, &image.config, cache.clone()));
        findings.push(look(&image, listed.as_ref(), &reapers, layers.as_mut()).await?);
    }
    if findings.is_empty() {
        return Err(Error::unsupported("the index holds no container image"));
    }
    let referrers = source.referrers(&manifest.digest).await?;
    Ok(report::report(location, &manifest, findings, &referrers))
}
